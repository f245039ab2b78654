"""Correcting the labels of a source in the image database: every edit is one transaction, and can be taken back."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping

from netforge.data.labels.changes import Changes, LabelChange
from netforge.data.labels.history import Edit, in_force, read_edits
from netforge.data.labels.query import ALL_IMAGES, Query, parse
from netforge.data.source import LARGEST_LABEL
from netforge.data.store.builtin import make_builtin
from netforge.data.store.database import ImageDatabase, SourceInfo
from netforge.data.store.writer import Writer, check_class_name, label_stamp
from netforge.errors import DataError, UnknownNameError, counted, did_you_mean

NO_TWINS = "choose another name; to make one class of two, give their images one label: netforge data relabel"
LARGEST_BOOST = (1 << 31) - 1
WHOLE = re.compile(r"-?\d{1,30}")
RESETS = {
    "labels": {"label": "original_label", "auto": "CASE WHEN label = original_label THEN auto ELSE 0 END"},
    "boosts": {"boost": "0"},
    "disabled": {"active": "1"},
}

Where = str | Query
Label = int | str


class Labels:
    """The labels of the source `name`: changes them, tells their history, and takes changes back.

    dry_run: every method says what it would change, and changes nothing. `where` is a query such as
    "label = 3 and auto", see `netforge.data.labels.query`; disabled images can be meant too. A label is a number, or
    the name of a class of the source. The labels at import are never lost. Whoever has the source open keeps what it
    has read.
    """

    def __init__(self, database: ImageDatabase, name: str, *, dry_run: bool = False) -> None:
        self._database = database
        self._name = name
        self._dry_run = dry_run
        make_builtin(database, name)
        database.find(name)

    def relabel(self, where: Where, to: Label) -> LabelChange:
        """Give images another label. They no longer count as labelled by a net, even where the label stays."""

        def plan(changes: Changes) -> None:
            label = label_number(to, changes.class_names)
            changes.set(parse(where), {"label": ":to", "auto": "0"}, {"to": label})

        return self._edit(f"relabel to {to}, {_words(where)}", plan)

    def map(self, mapping: Mapping[Label, Label], where: Where = ALL_IMAGES) -> LabelChange:
        """Give images with the label of a key the label of its value; all at once, so two labels can be swapped."""

        def plan(changes: Changes) -> None:
            names = changes.class_names
            numbers = {label_number(old, names): label_number(new, names) for old, new in mapping.items()}
            if len(numbers) != len(mapping):
                raise DataError("the mapping names a label twice")
            changes.connection.execute("DROP TABLE IF EXISTS temp.mapping")
            changes.connection.execute("CREATE TEMP TABLE mapping (old INTEGER PRIMARY KEY, new INTEGER)")
            changes.connection.executemany("INSERT INTO temp.mapping VALUES (?, ?)", numbers.items())
            keys = f"label in {', '.join(map(str, numbers))}"
            old = parse(where).restricted("label IN (SELECT old FROM temp.mapping)", keys)
            changes.set(old, {"label": "(SELECT new FROM temp.mapping WHERE old = label)", "auto": "0"})

        pairs = ", ".join(f"{old} -> {new}" for old, new in mapping.items())
        return self._edit(f"map {pairs}, {_words(where)}", plan)

    def disable(self, where: Where) -> LabelChange:
        """Take images out of use: no net sees them, until they are enabled again."""
        return self._edit(f"disable {_words(where)}", lambda changes: changes.set(parse(where), {"active": "0"}))

    def enable(self, where: Where) -> LabelChange:
        """Bring disabled images back into use."""
        return self._edit(f"enable {_words(where)}", lambda changes: changes.set(parse(where), {"active": "1"}))

    def boost(self, where: Where, to: int) -> LabelChange:
        """Give images a boost, which boosted selection goes by; 0 is none. Raises DataError for one out of range."""
        if not 0 <= to <= LARGEST_BOOST:
            raise DataError(f"a boost is {to}, expected 0 to {LARGEST_BOOST:,}")
        return self._edit(
            f"boost {to}, {_words(where)}", lambda changes: changes.set(parse(where), {"boost": ":to"}, {"to": to})
        )

    def rename(self, names: Mapping[Label, str]) -> LabelChange:
        """Name classes: label, or present name, to the new name. No two classes get one name."""

        def plan(changes: Changes) -> None:
            old = changes.class_names
            new = {label_number(label, old): name for label, name in names.items()}
            if len(new) != len(names):
                raise DataError("a class is named twice")
            for label, name in new.items():
                check_class_name(name)
                _check_label_is_used(changes, label)
                _check_name_is_free(label, name, {**old, **new})
            changes.name(new)

        pairs = ", ".join(f'{label} "{name}"' for label, name in names.items())
        return self._edit(f"rename {pairs}", plan)

    def reset(self, where: Where = ALL_IMAGES, what: Iterable[str] = tuple(RESETS)) -> LabelChange:
        """Bring images back to what they were at import.

        what: some of "labels" (the original ones), "boosts" (none) and "disabled" (enabled). The names of classes stay.
        Raises UnknownNameError for another one.
        """
        chosen = list(what)
        for kind in chosen:
            if kind not in RESETS:
                raise UnknownNameError(f'"{kind}" is nothing that can be reset', mend=did_you_mean(kind, RESETS))
        values = {column: value for kind in chosen for column, value in RESETS[kind].items()}
        action = f"reset {', '.join(chosen)}, {_words(where)}"
        return self._edit(action, lambda changes: changes.set(parse(where), values))

    def history(self) -> list[Edit]:
        """All edits, the oldest first."""
        info = self._database.find(self._name)
        with self._database.snapshot() as connection:
            return read_edits(connection, info.id)

    def undo(self, steps: int = 1) -> LabelChange:
        """Take back the newest edits that are in force; the history keeps them, and says that they were taken back.

        Raises DataError where there are not so many.
        """

        def plan(changes: Changes) -> None:
            done, _ = in_force(read_edits(changes.connection, changes.source))
            if not 1 <= steps <= len(done):
                there = f"{counted(len(done), 'edit')} can be taken back" if done else "there is nothing to take back"
                raise DataError(there, where=self._name, mend="look at them with data history")
            changes.take_back(done[-steps:])

        return self._edit("undo", plan)

    def redo(self) -> LabelChange:
        """Take back the newest undo; raises DataError where none came after the newest other edit."""

        def plan(changes: Changes) -> None:
            _, undone = in_force(read_edits(changes.connection, changes.source))
            if not undone:
                raise DataError("no undo can be taken back", where=self._name, mend="only an undo can be redone")
            changes.take_back(undone[-1:])

        return self._edit("redo", plan)

    def _edit(self, action: str, plan: Callable[[Changes], None]) -> LabelChange:
        """Carry a plan out in one transaction."""
        if self._dry_run:
            with self._database.snapshot() as connection:
                changes = Changes(connection, self._database.find(self._name).id, action)
                plan(changes)
                return changes.summary()
        with self._database.write() as writer, self._database.snapshot() as connection:
            info = self._database.find(self._name)
            changes = Changes(connection, info.id, action)
            plan(changes)
            change = changes.summary()
            if change.images or change.renamed or changes.undoes is not None:
                changes.apply(change)
            if change.moves or change.disabled or change.enabled or change.boosted:
                self._stamp(connection, writer, info)
        return change

    def _stamp(self, connection: sqlite3.Connection, writer: Writer, info: SourceInfo) -> None:
        """Store the count of the images in use and the digest of their labels."""
        columns = self._database.label_columns(info)
        new = len(columns[0]), label_stamp(*columns)
        connection.execute("UPDATE sources SET count = ?, label_stamp = ? WHERE id = ?", (*new, info.id))
        writer.dropped_stamps.add(info.label_stamp)


def label_number(label: Label, class_names: Mapping[int, str]) -> int:
    """The number of a label that is given as a number, as its digits, or by the name of its class.

    Raises DataError where the number is too large, UnknownNameError where no class has that name.
    """
    text = str(label).strip()
    if WHOLE.fullmatch(text):
        if abs(int(text)) > LARGEST_LABEL:
            raise DataError(
                f"label {text} is too large", mend=f"labels go up to {LARGEST_LABEL:,}, which a blob holds exactly"
            )
        return int(text)
    found = [number for number, name in class_names.items() if name == label]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f'several classes are named "{label}": {found}', mend="give the number")
    mend = did_you_mean(text, class_names.values())
    raise UnknownNameError(f'"{label}" is no label and no name of a class', mend=mend or "give a whole number")


def _words(where: Where) -> str:
    return where if isinstance(where, str) else where.text


def _check_label_is_used(changes: Changes, label: int) -> None:
    row = (changes.source, label)
    used = changes.connection.execute("SELECT EXISTS (SELECT 1 FROM images WHERE source = ? AND label = ?)", row)
    if used.fetchone() != (1,) and label not in changes.class_names:
        raise DataError(f"no image has label {label}", mend="relabel images first, then name their class")


def _check_name_is_free(label: int, name: str, names: Mapping[int, str]) -> None:
    for other, taken in names.items():
        if taken == name and other != label:
            raise DataError(f'label {other} is named "{name}" already', mend=NO_TWINS)
