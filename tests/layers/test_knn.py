"""Knn: scores by what the training stored, shared with a test net and kept in files of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netforge.errors import DataError, NetforgeError
from netforge.net import Net
from netforge.schema import parse_net
from netforge.testing import LayerRun
from tests.layers.cases import row


def knn(x, labels, settings: str = "", **options) -> LayerRun:
    bottoms = [np.asarray(x, float)] + ([] if labels is None else [np.asarray(labels, float)])
    names = " ".join(["x", "label"][: len(bottoms)])
    return LayerRun(row("Knn", names, "scores", f"knn_param {{ {settings} }}"), bottoms, **options)


def step(run: LayerRun, x, labels) -> np.ndarray:
    """One forward that keeps what it stores."""
    run.feed([np.asarray(x, float), np.asarray(labels, float)])
    run.layer.reshape(run.bottom, run.top)
    run.layer.forward(run.bottom, run.top)
    return run.top[0].data.copy()


def reference(x: np.ndarray, stored: list[tuple[np.ndarray, int]], classes: int, k: int) -> np.ndarray:
    scores = np.zeros((len(x), classes))
    for i, item in enumerate(x):
        means = {}
        for c in range(classes):
            distances = sorted(float(((item - other) ** 2).sum()) for other, label in stored if label == c)[:k]
            if distances:
                means[c] = np.mean(distances)
        for c, mean in means.items():
            span = max(means.values()) - min(means.values())
            scores[i, c] = 1 - (mean - min(means.values())) / span if span else 1
    return scores


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5), k=st.integers(1, 5), seed=st.integers(0, 99))
def test_it_is_what_a_plain_loop_gives(sizes: list[int], k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    run = knn(np.zeros((2, 3)), [0, 0], f"num_output: 3 k: {k} max_stored_batches: 4")  # eight slots
    stored: list[tuple[np.ndarray, int]] = []
    for size in sizes:
        x, labels = rng.standard_normal((size, 3)), rng.integers(0, 3, size)
        np.testing.assert_allclose(step(run, x, labels), reference(x, stored, 3, k), rtol=1e-9, atol=1e-12)
        stored = [*stored, *zip(x, labels.tolist(), strict=True)][-8:]


def test_a_label_that_is_no_class_is_named() -> None:
    with pytest.raises(DataError, match='label 3 at index 1 of "label" is not a class: there are 3'):
        step(knn(np.zeros((2, 3)), [0, 0], "num_output: 3"), np.zeros((2, 3)), [2, 3])


def test_refusals() -> None:
    with pytest.raises(NetforgeError, match="labels are missing"):
        knn(np.zeros((2, 3)), None)
    with pytest.raises(NetforgeError, match="Give at least one label an item"):
        knn(np.zeros((2, 3)), np.zeros((2, 0)))
    with pytest.raises(NetforgeError, match="4 values an item"):
        step(knn(np.zeros((2, 3)), [0, 0]), np.zeros((2, 4)), [0, 0])


NET = """
layer { name: "x" type: "Input" top: "x" top: "label"
  input_param { shape { dim: 4 dim: 2 } shape { dim: 4 } } exclude { phase: RUN } }
layer { name: "one" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } include { phase: RUN } }
layer { name: "knn" type: "Knn" bottom: "x" bottom: "label" top: "scores" exclude { phase: RUN }
  knn_param { num_output: 2 k: 1 } }
layer { name: "knn" type: "Knn" bottom: "x" top: "scores" include { phase: RUN } knn_param { num_output: 2 k: 1 } }
"""


def test_a_test_net_and_a_file_hold_what_was_stored(tmp_path: Path) -> None:
    x, labels = np.array([[0.0, 0], [0, 1], [5, 5], [5, 6]]), np.array([1.0, 1, 0, 0])
    train, test = Net(parse_net(NET), "TRAIN", seed=1), Net(parse_net(NET), "TEST", seed=1)
    test.share_weights(train)
    train.forward(x=x, label=labels)
    asked = x + 0.25
    np.testing.assert_array_equal(test.forward(x=asked, label=labels)["scores"], np.eye(2)[[1, 1, 0, 0]])
    np.testing.assert_array_equal(test.forward(x=asked, label=labels)["scores"], np.eye(2)[[1, 1, 0, 0]])
    train.save(tmp_path / "knn.caffemodel")
    run = Net(parse_net(NET), "RUN", weights=tmp_path / "knn.caffemodel")
    np.testing.assert_array_equal(run.forward(x=[[5, 5]])["scores"], [[1, 0]])
