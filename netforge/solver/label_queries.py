"""Label queries of a run: gathered from the layers of its net, and kept in the image database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netforge.data.labels.label_queries import LabelQueries, LabelQueryCounts, by_source
from netforge.data.labels.label_query_store import store_label_queries
from netforge.errors import NetforgeError
from netforge.net import Net
from netforge.solver.events import Listener, SnapshotPaths, StopReason
from netforge.solver.runlog import RunLog

if TYPE_CHECKING:
    from netforge.solver.solver import Solver


def label_queries_of(net: Net) -> list[LabelQueryCounts]:
    """How often a net's layers drew each label, one entry a source; empty where no layer draws from a source."""
    found = (getattr(layer, "label_queries", None) for layer in net.layers)
    return by_source(queries.counts for queries in found if isinstance(queries, LabelQueries))


class StoredLabelQueries(Listener):
    """Keeps the label queries of a run in the image database, under the name of its log: at snapshots and at the end.

    Training does not wait for it, nor fail with it: where the database is locked or may not be written, that is said
    once, as a notice, and tried again at the next snapshot. It listens before the log, which closes at the end.

    stored: names of the sources whose database holds the newest counts.
    """

    def __init__(self, log: RunLog) -> None:
        self._log = log
        self._told = False
        self._totals: dict[str, int] = {}
        self.stored: list[str] = []

    def on_snapshot(self, solver: Solver, paths: SnapshotPaths) -> None:
        """Store what was drawn so far."""
        self._store(solver)

    def on_end(self, solver: Solver, reason: StopReason) -> None:
        """Store what was drawn."""
        self._store(solver)

    def _store(self, solver: Solver) -> None:
        for counts in solver.label_queries:
            total = int(counts.counts.sum())
            if counts.database is None or self._totals.get(counts.source, 0) == total:
                continue
            try:
                store_label_queries(counts, self._log.run_name)
            except NetforgeError as error:
                self.stored = [name for name in self.stored if name != counts.source]
                self._tell(solver, error)
                continue
            self._totals[counts.source] = total
            self.stored = [*(name for name in self.stored if name != counts.source), counts.source]

    def _tell(self, solver: Solver, error: NetforgeError) -> None:
        if not self._told:
            self._told = True
            solver.tell("on_notice", f"how often labels were drawn is not stored, training goes on: {error}")
