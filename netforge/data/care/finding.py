"""What a check of stored data says: one sentence of what was found, and one of what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from netforge.errors import DataError, NetforgeError

RESTORE = "restore the database from a copy, or move it away and import its sources again"
REPLACE = "import the source again with --replace"
CLEAN = "see what goes and remove it: netforge data clean"


@dataclass(frozen=True)
class Finding:
    """Something that a check found.

    where: the file, source or record. found: what, in one sentence. mend: what to do about it. harmless: the data are
    right; it is worth knowing, or takes space for nothing.
    """

    where: str
    found: str
    mend: str
    harmless: bool = False

    def __str__(self) -> str:
        return str(DataError(self.found, where=self.where, mend=self.mend))


def found_in(error: NetforgeError, where: str) -> Finding:
    """The finding that an error is; `where` is told where the error does not say."""
    return Finding(str(error.where or where), error.found, error.mend or RESTORE)


def guarded(findings: Iterator[Finding], where: str) -> Iterator[Finding]:
    """The findings; an error of reading becomes the last one."""

    try:
        yield from findings
    except NetforgeError as error:
        yield found_in(error, where)
    except (sqlite3.Error, OSError, MemoryError) as error:
        yield Finding(where, f"this cannot be read: {error}", RESTORE)
