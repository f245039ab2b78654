"""Label queries in the image database: one set of counts for each training run and source."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from netforge.data.labels.label_queries import LabelQueryCounts, side_by_side
from netforge.data.store.database import ImageDatabase, SourceInfo
from netforge.errors import UnknownNameError, did_you_mean

PATIENCE_S = 2.0
"""How long to wait for another writer: training waits meanwhile, and comes again at the next snapshot."""


def store_label_queries(counts: LabelQueryCounts, run: str) -> None:
    """Put the counts of a run into the database of its source, in the place of what is stored under that name.

    Raises DataError where the database is locked or cannot be written, UnknownNameError where the source is gone.
    """
    assert counts.database is not None
    with ImageDatabase(counts.database, timeout_s=PATIENCE_S) as database:
        database.find(counts.source)
        with database.write() as writer:
            writer.set_label_queries(counts.source, run, counts.labels.tolist(), counts.counts.tolist())


def stored_runs(database: ImageDatabase, info: SourceInfo) -> list[str]:
    """Names of the runs whose queries of a source are stored, in alphabetical order."""
    with database.snapshot() as connection:
        rows = connection.execute("SELECT DISTINCT run FROM queries WHERE source = ? ORDER BY run", (info.id,))
        return [run for (run,) in rows]


def stored_label_queries(database: ImageDatabase, info: SourceInfo, run: str) -> LabelQueryCounts:
    """The counts of a run, beside the number of images that each label has now.

    Raises UnknownNameError, with the closest names, where nothing is stored under that name.
    """
    with database.snapshot() as connection:
        drawn = connection.execute(
            "SELECT label, sum(count) FROM queries WHERE source = ? AND run = ? GROUP BY label", (info.id, run)
        ).fetchall()
        sizes = connection.execute(
            "SELECT label, count(*) FROM images WHERE source = ? AND active GROUP BY label", (info.id,)
        ).fetchall()
        runs = stored_runs(database, info)
    if not drawn:
        mend = did_you_mean(run, runs) or 'name one of those that "netforge data stats" lists'
        raise UnknownNameError(
            f'no run "{run}" is stored for source "{info.name}"', where=str(database.path), mend=mend
        )
    tables = [np.array(rows, np.int64).reshape(-1, 2).T for rows in (drawn, sizes)]
    labels, counts, images = side_by_side(*((table[0], table[1]) for table in tables))
    return LabelQueryCounts(info.name, labels, counts, images, Path(database.path))
