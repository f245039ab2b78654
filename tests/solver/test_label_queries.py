"""How often training drew each label: told at tests, logged, stored, and exact across a resume."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.data import ImageDatabase
from netforge.data.labels import label_query_store
from netforge.data.labels.label_queries import LabelQueryCounts
from netforge.data.labels.label_query_store import stored_label_queries, stored_runs
from netforge.errors import UnknownNameError
from netforge.solver import Listener, RunLog, Solver, StoredLabelQueries
from tests.data.helpers import fill_database
from tests.solver.helpers import write_solver

DATA = """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: %s }
  data_param { source: "tiny.training" backend: IMAGEDB batch_size: 6 prefetch: 3 } }
"""
NET = f"""
{DATA % "TRAIN"} {DATA % "TEST"}
layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.0001 lr_policy: "fixed" max_iter: 20 random_seed: 7 snapshot_prefix: "out/run"
test_iter: 2 test_interval: 5 snapshot: 10 iter_size: 2 display: 0
"""


class Heard(Listener):
    """Remembers queries and notices."""

    def __init__(self) -> None:
        self.counts: dict[int, list[int]] = {}
        self.notices: list[str] = []

    def on_label_queries(self, solver: Solver, queries: Sequence[LabelQueryCounts]) -> None:
        (entry,) = queries
        self.counts[solver.iteration] = entry.counts.tolist()

    def on_notice(self, solver: Solver, text: str) -> None:
        self.notices.append(text)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(label_query_store, "PATIENCE_S", 0.01)
    fill_database()
    write_solver(tmp_path, SOLVER, NET)


def trained(**options: Any) -> tuple[Heard, RunLog, StoredLabelQueries]:
    heard, log = Heard(), RunLog()
    queries = StoredLabelQueries(log)
    solver = Solver("solver.prototxt", listeners=[queries, log, heard], **options)
    solver.solve()
    solver.close()
    return heard, log, queries


def test_they_are_told_after_tests_and_go_on_exactly() -> None:
    whole, log, _ = trained()
    assert list(whole.counts) == [5, 10, 15, 20]  # at 0 nothing was drawn
    assert [sum(counts) for counts in whole.counts.values()] == [60, 120, 180, 240]  # what was used, not made ahead
    assert whole.counts[20] == [60] * 4  # six epochs of 40 images
    first, _, _ = trained(max_iter=10)
    rest, _, _ = trained(restore="out/run_iter_10.solverstate")
    assert first.counts | rest.counts == whole.counts
    assert log.path is not None
    records = [json.loads(line) for line in log.path.read_text().splitlines()]
    logged = [record for record in records if record["event"] == "queries"]
    assert {r["iteration"]: r["counts"] for r in logged} == whole.counts
    assert logged[-1]["source"] == "tiny.training" and logged[-1]["labels"] == [0, 1, 2, 3]
    assert logged[-1]["hit_percent"] == [25] * 4 and logged[-1]["epochs"] == [6] * 4


def test_each_run_is_stored_with_its_source() -> None:
    _, log, queries = trained()
    _, again, _ = trained(restore="out/run_iter_10.solverstate")
    assert queries.stored == ["tiny.training"]
    with ImageDatabase() as database:
        info = database.find("tiny.training")
        assert stored_runs(database, info) == sorted([log.run_name, again.run_name])
        for run in (log.run_name, again.run_name):
            found = stored_label_queries(database, info, run)
            assert found.labels.tolist() == [0, 1, 2, 3] and found.counts.tolist() == [60] * 4
            assert found.epochs is not None and found.epochs.tolist() == [6] * 4
        with pytest.raises(UnknownNameError, match='no run "ru" is stored'):
            stored_label_queries(database, info, "ru")


def test_counts_are_stored_at_snapshots() -> None:
    seen = []

    class Look(Listener):
        def on_snapshot(self, solver: Solver, paths: Any) -> None:
            with ImageDatabase() as database:
                seen.append(stored_label_queries(database, database.find("tiny.training"), log.run_name).counts.sum())

    log = RunLog()
    Solver("solver.prototxt", listeners=[StoredLabelQueries(log), log, Look()]).solve()
    assert seen == [120, 240]


def test_a_locked_database_is_said_once_and_training_goes_on(netforge_home: Path) -> None:
    with sqlite3.connect(netforge_home / "images.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        heard, log, queries = trained()
        other.execute("ROLLBACK")
    other.close()
    assert len(heard.notices) == 1 and queries.stored == []
    assert heard.notices[0].startswith("how often labels were drawn is not stored, training goes on: ")
    assert "locked" in heard.notices[0]
    assert log.path is not None and '"notice"' in log.path.read_text()
    assert max(heard.counts) == 20


def test_a_source_that_is_gone_is_said_too() -> None:
    class Remove(Listener):
        def on_start(self, solver: Solver) -> None:
            with ImageDatabase() as database, database.write() as writer:
                writer.remove("tiny.training")

    log, heard = RunLog(), Heard()
    Solver("solver.prototxt", listeners=[StoredLabelQueries(log), log, heard, Remove()]).solve()
    assert [text for text in heard.notices if 'has no source "tiny.training"' in text] == heard.notices
    assert len(heard.notices) == 1


def test_labels_that_were_corrected_since_are_both_shown() -> None:
    _, log, _ = trained()
    with sqlite3.connect(ImageDatabase().path) as connection:
        connection.execute("UPDATE images SET label = 9 WHERE label = 3")
    connection.close()
    with ImageDatabase() as database:
        found = stored_label_queries(database, database.find("tiny.training"), log.run_name)
    assert found.labels.tolist() == [0, 1, 2, 3, 9] and found.counts.tolist() == [60, 60, 60, 60, 0]
    assert found.epochs is not None and found.epochs.tolist() == [6, 6, 6, np.inf, 0]
