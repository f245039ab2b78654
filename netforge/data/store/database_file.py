"""The file of the image database: its connection, its transactions, and what SQLite complains about in plain words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from netforge.data.store import tables
from netforge.errors import DataError


class DatabaseFile:
    """A file of `tables` that is opened at the first use, and made at the first transaction that changes it.

    timeout_s: how long to wait while another process writes.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        self.path = path
        self._timeout_s = timeout_s
        self._open_connection: sqlite3.Connection | None = None
        self._is_new = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._open_connection is not None:
            self._open_connection.close()
            self._open_connection = None

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """The connection, for reading: what is read inside belongs together, whatever others write meanwhile.

        One inside another is the outer one.
        """
        with self._explained() as connection:
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:  # SQLite itself ends it after some errors
                    connection.execute("ROLLBACK")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that changes the file: committed at the end, taken back after an exception."""
        with self._explained(create=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if self._is_new:
                    tables.take_back(connection, self.path)
                    self.close()
                raise
            self._is_new = False
            tables.checkpoint(connection)

    def shrink(self) -> bool:
        """Write the file anew, without its free pages; False where it keeps its size until those who read it end."""
        with self._explained() as connection:
            connection.execute("VACUUM")
            return tables.checkpoint(connection)

    @contextmanager
    def _explained(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection; what SQLite complains about becomes a DataError."""
        try:
            yield self._connection(create)
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> DataError:
        text, mend = str(error), "look at the disk; if it is sound, move the file away and import the sources again"
        if "locked" in text:
            mend = "another process is writing to it: wait until that has ended, and try again"
        elif "unable to open" in text or "readonly" in text:
            mend = "check that the folder exists and may be written, or choose another one through NETFORGE_HOME"
        elif "not a database" in text or "malformed" in text:
            mend = "restore it from a copy, or move it away and import the sources again"
        elif "full" in text:
            mend = "free some space on the disk"
        return DataError(f"the image database cannot be used: {text}", where=str(self.path), mend=mend)

    def _connection(self, create: bool) -> sqlite3.Connection:
        if self._open_connection is None:
            if create:
                self._make_folder()
            mode = "rwc" if create else "rw"
            self._is_new = create and not self.path.exists()
            uri = f"{self.path.resolve().as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, timeout=self._timeout_s, isolation_level=None)
            try:
                tables.prepare(connection, str(self.path))
            except tables.RemovedError:
                connection.close()
                return self._connection(create)
            except BaseException:
                connection.close()
                raise
            self._open_connection = connection
        return self._open_connection

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"the folder of the image database cannot be made: {error.strerror}",
                where=str(self.path.parent),
                mend="choose another one through NETFORGE_HOME",
            ) from error
