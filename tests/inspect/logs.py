"""Logs of runs as tests write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

START: dict[str, Any] = {
    "event": "start",
    "time": 100.0,
    "iteration": 0,
    "seed": 7,
    "device": "cpu",
    "execution": "eager",
    "command": ["netforge", "train", "--solver", "s.prototxt"],
    "folder": "/nowhere",
    "source": "s.prototxt",
    "solver": 'base_lr: 0.1\nnet: "n.prototxt"\n',
    "nets": {"n.prototxt": 'name: "tiny"\n'},
    "restored_from": None,
    "weights": [],
    "versions": {"python": "3.11", "netforge": "0.1.0"},
}


def display(iteration: int, loss: float | str) -> dict[str, Any]:
    numbers = {"iteration": iteration, "loss": loss, "rate": 0.1, "outputs": {"loss": loss}}
    return {"event": "display", "time": 100.0 + iteration, **numbers, "iterations": 10, "items": 640, "seconds": 2.0}


def a_test(iteration: int, accuracy: float, net: int = 0) -> dict[str, Any]:
    outputs = {"accuracy": accuracy, "loss": 0.5, "each": [0.1, "nan"]}
    numbers = {"iteration": iteration, "net": net, "batches": 5, "loss": None, "outputs": outputs, "losses": ["loss"]}
    return {"event": "test", "time": 100.5 + iteration, **numbers, "seconds": 0.3}


def queries(iteration: int, *counts: int) -> dict[str, Any]:
    shares = [100 * count / sum(counts) for count in counts]
    entry = {"iteration": iteration, "source": "digits.training", "labels": list(range(len(counts)))}
    return {"event": "queries", "time": 100.0, **entry, "counts": list(counts), "hit_percent": shares, "epochs": None}


END = {"event": "end", "time": 160.0, "iteration": 20, "reason": "finished", "error": None, "execution": "eager"}


def write_log(path: Path, *records: dict[str, Any], tail: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail, encoding="utf-8")
    return path
