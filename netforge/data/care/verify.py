"""Whether stored images are whole: an image database with the cache beside it, or an LMDB.

Nothing is changed, and every check streams, so what is checked may be larger than the memory.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from netforge.data.care.finding import CLEAN, RESTORE, Finding, found_in, guarded
from netforge.data.care.source_check import MOST_NAMED, SourceCheck
from netforge.data.formats.datum import decode_datum
from netforge.data.formats.lmdb_pages import records
from netforge.data.sources.lmdb import is_lmdb
from netforge.data.store.cache import Cache
from netforge.data.store.database import ImageDatabase
from netforge.data.store.drafts import Progress
from netforge.errors import DataError, counted

MOST_RECORDS_NAMED = 20
REDO = "make the LMDB again"


def verify_images(
    database: ImageDatabase, names: Sequence[str] = (), *, progress: Progress | None = None
) -> Iterator[Finding]:
    """Check sources, or the whole of the image database, and yield what is found as soon as it is found.

    names: sources of the database, or folders of LMDBs; none means all of the database, with its file, rows that belong
    to nothing, and the cache. progress: called with the number of further images whose pixels were checked. Do nothing
    else with `database` meanwhile.

    Damage never raises, it is a finding. Raises UnknownNameError where there is no source of a name.
    """
    seen = progress or (lambda count: None)
    if not names:
        if database.path.exists():
            yield from guarded(_database_findings(database, seen), str(database.path))
        return
    folders = [name for name in names if is_lmdb(Path(name))]
    for name in names:
        if name not in folders:
            database.find(name)
    for name in names:
        if name in folders:
            yield from verify_lmdb(Path(name), seen)
        else:
            with database.snapshot() as connection:
                check = SourceCheck(database, connection, database.find(name))
                yield from _source_findings(check, seen)


def _database_findings(database: ImageDatabase, progress: Progress) -> Iterator[Finding]:
    """All of a database, as it is at one moment."""
    where = str(database.path)
    with database.snapshot() as connection:
        yield from guarded(_file_findings(connection, where), where)
        for info in database.sources():
            yield from _source_findings(SourceCheck(database, connection, info), progress)
        yield from _cache_findings(database.cache, database.stamps())


def _file_findings(connection: sqlite3.Connection, where: str) -> Iterator[Finding]:
    """What SQLite says of its file, and rows that belong to nothing."""
    damage = connection.execute(f"PRAGMA integrity_check({MOST_NAMED})")
    lines = [line for (text,) in damage for line in str(text).splitlines() if line != "ok" and line[:3] != "***"]
    for line in lines[:MOST_NAMED]:
        yield Finding(where, f"the file is damaged: {line}", RESTORE)
    orphans = Counter((table, parent) for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"))
    for (table, parent), count in sorted(orphans.items()):
        yield Finding(where, f"{counted(count, 'row')} of {table} without their row of {parent}", CLEAN)


def _source_findings(check: SourceCheck, progress: Progress) -> Iterator[Finding]:
    problem = check.impossible()
    if problem is not None:
        yield problem
        return
    for findings in check.checks(progress):
        yield from guarded(findings, check.where)


def _cache_findings(cache: Cache, stamps: Container[str]) -> Iterator[Finding]:
    """Files beside the database that nothing needs."""
    left = "left by a process that was killed"
    for files, what in ((cache.unneeded(stamps), "that no source needs"), (cache.abandoned(), left)):
        if files:
            yield Finding(str(cache.folder), f"{counted(len(files), 'file')} {what}", CLEAN, harmless=True)


def verify_lmdb(path: Path, progress: Progress) -> Iterator[Finding]:
    """Check that every record of an LMDB is a Datum that can be decoded, and that all are of one shape.

    What is wrong is yielded, not raised.
    """
    shape: tuple[int, ...] = ()
    count = wrong = 0
    try:
        for key, value in records(path):
            where = f"{path}, record {key.decode(errors='backslashreplace')!r}"
            try:
                image, _ = decode_datum(value, where)
                shape = shape or image.shape
                if image.shape != shape:
                    raise DataError(f"the image has shape {image.shape}, the first one {shape}", where=where, mend=REDO)
            except DataError as error:
                wrong += 1
                if wrong <= MOST_RECORDS_NAMED:
                    yield found_in(error, where)
            count += 1
            progress(1)
    except DataError as error:
        yield found_in(error, str(path))
        return
    if wrong > MOST_RECORDS_NAMED:
        yield Finding(
            str(path), f"{wrong:,} of {counted(count, 'record')} are damaged; the first are named above", REDO
        )
    if not count:
        yield Finding(str(path), "the LMDB holds no records", REDO)
