"""The history of a source's labels: which edits are in force, which one an undo takes back, and which one a redo.

Nothing is ever taken out of the history. An undo is an edit that takes others back, a redo one that takes an undo back:
the edits that were undone are in force again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from netforge.errors import DataError


@dataclass(frozen=True)
class Edit:
    """What was done to the labels of a source at one time.

    id: in the table `edits`. number: 1, 2, ... within the source. time: UTC, ISO 8601. action: for people. count:
    images, or classes, that changed. undoes: id of the oldest edit that it takes back; None for other edits.
    """

    id: int
    number: int
    time: str
    action: str
    count: int
    undoes: int | None


def read_edits(connection: sqlite3.Connection, source: int) -> list[Edit]:
    """All edits of a source, the oldest first; source: its number in the table `sources`."""
    rows = connection.execute(
        "SELECT id, time, action, count, undoes FROM edits WHERE source = ? ORDER BY id", (source,)
    )
    return [Edit(row[0], number, *row[1:]) for number, row in enumerate(rows, 1)]


def in_force(edits: Sequence[Edit]) -> tuple[list[Edit], list[Edit]]:
    """The edits that are in force, which undo takes back from the end, and the undos that redo can take back.

    Raises DataError where an edit takes back one that was not in force then, which no undo and no redo does.
    """
    done: list[Edit] = []
    undone: list[tuple[Edit, list[Edit]]] = []  # undos, and what they took back
    for edit in edits:
        if edit.undoes is None:
            done.append(edit)
            undone.clear()
        elif undone and undone[-1][0].id == edit.undoes:  # a redo
            done += undone.pop()[1]
        else:
            oldest = next((place for place, other in enumerate(done) if other.id == edit.undoes), None)
            if oldest is None:
                found = f"the history of labels is damaged: edit {edit.number} takes back what was not in force"
                raise DataError(found, mend="copy the images into a new source: netforge data copy SOURCE NAME")
            undone.append((edit, done[oldest:]))
            del done[oldest:]
    return done, [undo for undo, _ in undone]
