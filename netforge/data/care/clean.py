"""Removing what is no longer wanted: sources, and what killed processes and other tools have left behind."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from netforge.data.store.database import ImageDatabase, SourceInfo
from netforge.errors import DataError, counted

WORTH_SHARE = 0.01
"""Free pages are given back where they are this share of the file; to do so, the whole file is written anew."""


@dataclass(frozen=True)
class Waste:
    """Something that nothing needs.

    what: in words. size: bytes that it takes, as far as that can be told.
    """

    what: str
    size: int


def remove_sources(database: ImageDatabase, names: Sequence[str], *, dry_run: bool = False) -> list[Waste]:
    """Remove sources with all that belongs to them, all at once; their space is used for other images.

    Returns what they took, source by source. dry_run: remove nothing. Raises UnknownNameError where there is no source
    of a name; then none is removed.
    """
    chosen = dict.fromkeys(names)
    for name in chosen:
        database.find(name)
    if dry_run:
        with database.snapshot() as connection:
            return [_taken(connection, database.find(name)) for name in chosen]
    with database.write() as writer, database.snapshot() as connection:
        taken = [_taken(connection, database.find(name)) for name in chosen]
        for name in chosen:
            writer.remove(name)
    return taken


def _taken(connection: sqlite3.Connection, info: SourceInfo) -> Waste:
    (size,) = connection.execute("SELECT total(length(data)) FROM pixels WHERE source = ?", (info.id,)).fetchone()
    return Waste(f"{info.name}: {counted(info.count, 'image')}", int(size))


def clean_database(database: ImageDatabase, *, dry_run: bool = False) -> Iterator[Waste]:
    """Remove what nothing needs, and yield what it was.

    That is: rows whose source is gone, with pixels, labels, means and label queries; files of the cache that no
    source needs, and those that killed processes were writing; and pages of the file that hold nothing. Whoever is
    killed meanwhile leaves a whole database. dry_run: change nothing, and yield what would go.

    Raises DataError where the database cannot be used, or the disk has no room to write it anew without its free pages.
    """
    if not database.path.exists():
        return
    # With the lock of a writer nobody adds a source meanwhile whose files would be taken for unneeded.
    with nullcontext() if dry_run else database.write(), database.snapshot() as connection:
        waste = [*_orphans(connection, dry_run=dry_run), *_files(database, dry_run=dry_run)]
    yield from waste
    yield from _free_pages(database, dry_run=dry_run)


def _orphans(connection: sqlite3.Connection, *, dry_run: bool) -> Iterator[Waste]:
    """Rows that name a row of another table that is not there."""
    named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    for (table,) in named:
        has_data = any(column == "data" for _, column, *_ in connection.execute(f"PRAGMA table_info({table})"))
        for _, _, parent, column, key, *_ in connection.execute(f"PRAGMA foreign_key_list({table})").fetchall():
            orphaned = f"FROM {table} WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT {key} FROM {parent})"
            size = "total(length(data))" if has_data else "0"
            count, taken = connection.execute(f"SELECT count(*), {size} {orphaned}").fetchone()
            if count:
                yield Waste(f"{counted(count, 'row')} of {table} without their row of {parent}", int(taken))
                if not dry_run:
                    connection.execute(f"DELETE {orphaned}")


def _files(database: ImageDatabase, *, dry_run: bool) -> Iterator[Waste]:
    """Files in the cache."""
    for paths, what in (
        (database.cache.unneeded(database.stamps()), "of the cache that no source needs"),
        (database.cache.abandoned(), "that a killed process was writing"),
    ):
        sizes = [size for path in paths if (size := _gone(path, dry_run=dry_run)) is not None]
        if sizes:
            yield Waste(f"{counted(len(sizes), 'file')} {what}", sum(sizes))


def _gone(path: Path, *, dry_run: bool) -> int | None:
    """Size of a file that was removed; None where it is gone already, or open on Windows."""
    try:
        size = path.stat().st_size
        if not dry_run:
            path.unlink()
        return size
    except FileNotFoundError:
        return None
    except OSError as error:
        if os.name == "nt" and isinstance(error, PermissionError):
            return None
        mend = "check the rights of this folder"
        raise DataError(f"this file cannot be removed: {error.strerror}", where=str(path), mend=mend) from error


def _free_pages(database: ImageDatabase, *, dry_run: bool) -> Iterator[Waste]:
    """Pages that hold nothing; without them the file is written anew, after all transactions."""
    with database.snapshot() as connection:
        free, pages, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("freelist_count", "page_count", "page_size")
        )
    if free < max(1, WORTH_SHARE * pages):
        return
    what = "free pages of the file"
    if not dry_run:
        needed = 2 * (pages - free) * size  # a copy beside the file, and the same in its log
        room = shutil.disk_usage(database.path.parent).free
        if room < needed:
            raise DataError(
                f"to give {free * size:,} free bytes of the file back takes {needed:,} bytes of the disk for a while, "
                f"and it has {room:,}",
                where=str(database.path),
                mend="make room on the disk; if not, new images will use these bytes",
            )
        if not database.shrink():
            what += ", once all who read it have ended and it is written to again"
    yield Waste(what, free * size)
