"""One edit of the labels of a source: what would change, counted, and made with what it takes to take it back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from netforge.data.labels.history import Edit
from netforge.data.labels.query import Query
from netforge.errors import DataError, counted

LONGEST_ACTION = 500
VALUES = ("label", "auto", "boost", "active")
OLD = "label, auto, boost, active"
NEW = "new_label, new_auto, new_boost, new_active"


@dataclass(frozen=True)
class LabelChange:
    """What an edit changes, or would change.

    images: how many change. moves: old label, new label and number of images. confirmed: images that keep their label,
    but no longer as one that a net gave; unconfirmed: the other way round. disabled, enabled, boosted: images that
    become so, or get another boost. renamed: label, old and new name of classes; None is no name.
    """

    images: int
    moves: tuple[tuple[int, int, int], ...] = ()
    confirmed: int = 0
    unconfirmed: int = 0
    disabled: int = 0
    enabled: int = 0
    boosted: int = 0
    renamed: tuple[tuple[int, str | None, str | None], ...] = ()


class Changes:
    """New values of images and classes, held in a temporary table until they are applied.

    connection: inside a transaction. source: number of the source in the table `sources`. action: what is done, for the
    history. undoes: id of the oldest edit that is taken back; None where none is.
    """

    def __init__(self, connection: sqlite3.Connection, source: int, action: str) -> None:
        self.connection = connection
        self.source = source
        self.action = action
        self.undoes: int | None = None
        self._names: dict[int, str | None] = {}
        connection.execute("DROP TABLE IF EXISTS temp.changes")
        connection.execute(f"CREATE TEMP TABLE changes (position INTEGER PRIMARY KEY, {OLD}, {NEW})")

    @property
    def class_names(self) -> dict[int, str]:
        """Label to name of the classes that have names, as they are now."""
        return dict(self.connection.execute("SELECT label, name FROM classes WHERE source = ?", (self.source,)))

    def set(self, query: Query, values: Mapping[str, str], parameters: Mapping[str, int] | None = None) -> None:
        """Give the images that a query means new values: SQL for some of `VALUES`, over the columns of `images`.

        Raises DataError where the query means no image, or not all that it lists.
        """
        query.check(self.connection, self.source)
        given = {**query.parameters(self.source), **(parameters or {})}
        (meant,) = self.connection.execute(f"SELECT count(*) {query.rows}", query.parameters(self.source)).fetchone()
        self._check_meant(query, meant)
        new = ", ".join(values.get(name, name) for name in VALUES)
        self.connection.execute(
            f"INSERT INTO temp.changes SELECT position, {OLD}, {new} {query.rows} AND ({OLD}) != ({new})", given
        )

    def _check_meant(self, query: Query, meant: int) -> None:
        if query.listed is None and not meant:
            raise DataError(f"no image meets the query '{query.text}'", mend="ask for others; look with data show")
        if query.listed is not None and meant != query.listed:
            rows = self.connection.execute("SELECT count(*) FROM images WHERE source = ?", (self.source,))
            (count,) = rows.fetchone()
            raise DataError(
                f"of the {counted(query.listed, 'image')} '{query.text}', {meant:,} are there",
                mend=f"the source has {counted(count, 'image')}, and the first one is number 0",
            )

    def name(self, names: Mapping[int, str | None]) -> None:
        """Give classes other names, or none."""
        self._names.update(names)

    def take_back(self, edits: Sequence[Edit]) -> None:
        """Give images and classes the values that they had before these edits, of which the oldest comes first."""
        self.undoes = edits[0].id
        self.action += " " + ", ".join(str(edit.number) for edit in edits)
        for edit in reversed(edits):
            self.connection.execute(
                "INSERT OR REPLACE INTO temp.changes"
                " SELECT i.position, i.label, i.auto, i.boost, i.active, e.label, e.auto, e.boost, e.active"
                " FROM image_edits AS e CROSS JOIN images AS i ON i.source = ? AND i.position = e.position"
                " WHERE e.edit = ? ORDER BY e.position",
                (self.source, edit.id),
            )
            names = self.connection.execute("SELECT label, name FROM class_edits WHERE edit = ?", (edit.id,))
            self._names.update(names)
        self.connection.execute(f"DELETE FROM temp.changes WHERE ({OLD}) = ({NEW})")

    def summary(self) -> LabelChange:
        """What changes."""
        groups = self.connection.execute(
            "SELECT label, new_label, count(*), sum(new_auto < auto), sum(new_auto > auto), sum(new_active < active),"
            " sum(new_active > active), sum(new_boost != boost) FROM temp.changes GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        kept = [group for group in groups if group[0] == group[1]]
        return LabelChange(
            images=sum(group[2] for group in groups),
            moves=tuple(group[:3] for group in groups if group[0] != group[1]),
            confirmed=sum(group[3] for group in kept),
            unconfirmed=sum(group[4] for group in kept),
            disabled=sum(group[5] for group in groups),
            enabled=sum(group[6] for group in groups),
            boosted=sum(group[7] for group in groups),
            renamed=self._renamed(),
        )

    def _renamed(self) -> tuple[tuple[int, str | None, str | None], ...]:
        old = self.class_names
        return tuple((k, old.get(k), new) for k, new in sorted(self._names.items()) if old.get(k) != new)

    def apply(self, change: LabelChange) -> None:
        """Make the changes that `change` sums up, and record what was there before."""
        time = datetime.now(UTC).isoformat(timespec="seconds")
        cursor = self.connection.execute(
            "INSERT INTO edits (source, time, action, count, undoes) VALUES (?, ?, ?, ?, ?)",
            (self.source, time, self.action[:LONGEST_ACTION], change.images or len(change.renamed), self.undoes),
        )
        edit = int(cursor.lastrowid or 0)
        self.connection.execute(
            f"INSERT INTO image_edits SELECT ?, position, {OLD} FROM temp.changes ORDER BY position", (edit,)
        )
        self.connection.execute(
            f"UPDATE images SET ({OLD}) = ({NEW})"
            " FROM temp.changes AS c WHERE images.source = ? AND images.position = c.position",
            (self.source,),
        )
        for label, old, new in change.renamed:
            self.connection.execute("INSERT INTO class_edits VALUES (?, ?, ?)", (edit, label, old))
            self.connection.execute("DELETE FROM classes WHERE source = ? AND label = ?", (self.source, label))
            if new is not None:
                self.connection.execute("INSERT INTO classes VALUES (?, ?, ?)", (self.source, label, new))
