"""The tables of the image database.

Pixels are stored apart from the images' labels, many images in one row: a whole source loads at the speed of the disk,
and a change of labels rewrites no pixels. `stamp` and `label_stamp` are digests of what a source holds; the cache files
beside the database are named after them, so a file in the cache is either right or never looked at.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from netforge.errors import DataError

LOCK_TIMEOUT_S = 60.0
APPLICATION_ID = 0x4E46_4442  # "NFDB": tells an image database from any other SQLite file
VERSION = 3
REMOVED = -1  # in the place of the version: nobody may write here any more

# What people did to labels, newest last, and what to put back to undo it; and the boxes of annotated images.
CREATE_EDITS = """
CREATE TABLE edits (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    source  INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    time    TEXT NOT NULL,                      -- UTC, ISO 8601
    action  TEXT NOT NULL,                      -- what was done, for people
    count   INTEGER NOT NULL,                   -- images or classes that it changed
    undoes  INTEGER                             -- the oldest edit that it takes back; NULL where it takes none back
);
CREATE TABLE image_edits (
    edit     INTEGER NOT NULL REFERENCES edits (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    label    INTEGER NOT NULL,                  -- this and the next three as they were before
    auto     INTEGER NOT NULL,
    boost    INTEGER NOT NULL,
    active   INTEGER NOT NULL,
    PRIMARY KEY (edit, position)
) WITHOUT ROWID;
CREATE TABLE class_edits (
    edit  INTEGER NOT NULL REFERENCES edits (id) ON DELETE CASCADE,
    label INTEGER NOT NULL,
    name  TEXT,                                 -- as it was before; NULL where the class had none
    PRIMARY KEY (edit, label)
) WITHOUT ROWID;
CREATE TABLE boxes (
    source    INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,                 -- of the image
    number    INTEGER NOT NULL,                 -- 0, 1, ... within the image
    label     INTEGER NOT NULL,
    xmin      REAL NOT NULL,                    -- this and the next three in shares of the stored image's sides
    ymin      REAL NOT NULL,
    xmax      REAL NOT NULL,
    ymax      REAL NOT NULL,
    difficult INTEGER NOT NULL DEFAULT 0,       -- 1: hard to see, left out where detection is judged
    PRIMARY KEY (source, position, number)
) WITHOUT ROWID;
"""

# What takes a database from the version of the key to the next one.
UPGRADES = {
    1: "ALTER TABLE images ADD COLUMN group_number INTEGER",
    2: "ALTER TABLE images ADD COLUMN origin TEXT;\n" + CREATE_EDITS,
}

CREATE = """
CREATE TABLE sources (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    channels    INTEGER NOT NULL,
    height      INTEGER NOT NULL,
    width       INTEGER NOT NULL,
    dtype       TEXT NOT NULL CHECK (dtype IN ('uint8', 'float32')),
    color_order TEXT NOT NULL CHECK (color_order IN ('RGB', 'BGR')),
    count       INTEGER NOT NULL,      -- images that are not disabled
    stamp       TEXT NOT NULL,         -- digest of the pixels
    label_stamp TEXT NOT NULL,         -- digest of positions, labels and groups of the images that are not disabled
    created     TEXT NOT NULL          -- UTC, ISO 8601
);
CREATE TABLE classes (
    source INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    label  INTEGER NOT NULL,
    name   TEXT NOT NULL,
    PRIMARY KEY (source, label)
) WITHOUT ROWID;
CREATE TABLE images (
    source         INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    position       INTEGER NOT NULL,            -- 0, 1, ... in the order of the pixels
    original_label INTEGER NOT NULL,            -- as imported, never changed
    label          INTEGER NOT NULL,            -- the label in use
    auto           INTEGER NOT NULL DEFAULT 0,  -- 1: the label in use was given by a net
    boost          INTEGER NOT NULL DEFAULT 0,
    active         INTEGER NOT NULL DEFAULT 1,  -- 0: disabled, no net sees it
    group_number   INTEGER,                     -- what else images have in common: a drawer, a writer, a session
    origin         TEXT,                        -- the file or record it came from, relative to what was imported
    PRIMARY KEY (source, position)
) WITHOUT ROWID;
CREATE TABLE pixels (
    source INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    first  INTEGER NOT NULL,                    -- position of the first image of this row
    data   BLOB NOT NULL,                       -- whole images, one after the other: C x H x W, little-endian
    PRIMARY KEY (source, first)
);
CREATE TABLE means (
    source INTEGER PRIMARY KEY REFERENCES sources (id) ON DELETE CASCADE,
    data   BLOB NOT NULL                        -- C x H x W, float32, little-endian
);
CREATE TABLE queries (
    source INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    run    TEXT NOT NULL,                       -- which training run drew the images
    label  INTEGER NOT NULL,
    boost  INTEGER NOT NULL DEFAULT 0,
    count  INTEGER NOT NULL,                    -- images of this label that the run has drawn
    PRIMARY KEY (source, run, label, boost)
) WITHOUT ROWID;
"""


def prepare(connection: sqlite3.Connection, where: str) -> None:
    """Make the tables of a new file, or check that the file is ours and bring it to this version.

    where: the file, for messages. Raises DataError where it is another kind of database, or of a newer version.
    """
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN")  # another process may be making the tables: either none of it is seen, or all
    try:
        version = _version(connection, where)
    finally:
        if connection.in_transaction:  # SQLite itself ends it after some errors
            connection.execute("ROLLBACK")
    if version == VERSION:
        return
    if version == 0:
        _set_write_ahead_log(connection)
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection, where)  # another process may have been first
    if version == 0:
        _run(connection, CREATE + CREATE_EDITS)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    else:
        for old in range(version, VERSION):
            _run(connection, UPGRADES[old])
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Execute statements inside the transaction that is open (`executescript` would end it)."""
    for statement in script.split(";\n"):
        connection.execute(statement)


class RemovedError(Exception):
    """The file that was opened has just been taken away (see `take_back`); what has its name now is to be opened."""


def take_back(connection: sqlite3.Connection, path: Path) -> None:
    """Remove a database in which nothing was ever stored, if no other process has it open; the connection is used up.

    Another process may open the file at this very moment. It waits for the lock, then finds the version REMOVED in what
    it opened, and must not write there: hence `RemovedError`.
    """
    if not _is_unused(connection):
        return
    with suppress(sqlite3.OperationalError):  # another process has it open: it stays
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()  # needs that nobody else has it open
        connection.execute("BEGIN EXCLUSIVE")
        if not _is_unused(connection):
            connection.execute("ROLLBACK")
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        connection.execute(f"PRAGMA user_version = {REMOVED}")
        connection.execute("COMMIT")  # and the lock is kept
        with suppress(OSError):
            path.unlink()


def _is_unused(connection: sqlite3.Connection) -> bool:
    """Whether no source was ever stored."""
    (count,) = connection.execute("SELECT count(*) FROM sqlite_sequence").fetchone()
    return bool(count == 0)


def _version(connection: sqlite3.Connection, where: str) -> int:
    """The version of the tables, 0 for an empty file."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == REMOVED:
        raise RemovedError
    if count == application == version == 0:
        return 0
    if application != APPLICATION_ID:
        raise DataError("this SQLite file is no image database", where=where, mend="name another file")
    if version > VERSION:
        raise DataError(
            f"the image database has format {version}, this netforge knows formats up to {VERSION}",
            where=where,
            mend="use a newer netforge, or another database",
        )
    if count == 0 or version < 1:
        raise DataError(
            f"the image database is damaged: it has {count} tables of format {version}",
            where=where,
            mend="restore it from a copy, or move it away and import the sources again",
        )
    return int(version)


def _set_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait for other processes here, so this does."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def checkpoint(connection: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the file and empty it; False where readers or the disk do not let it.

    Neither is waited for: what was committed is safe in the log, which is emptied after a later transaction.
    """
    (timeout,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {timeout}")
    return not busy
