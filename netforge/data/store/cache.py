"""Arrays in files that are mapped into memory: what was read from the image database once is not read again.

A file is named after a digest of its content, written under another name, synced and renamed. So a file that is there
is whole and right, and two processes that write the same one at once do no harm.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.atomic import write_whole
from netforge.errors import DataError

ABANDONED_AFTER_S = 600.0  # a file that nobody has written to for so long
ATTEMPTS = 8
# What NumPy raises for damaged headers.
_UNREADABLE = (EOFError, MemoryError, OSError, OverflowError, SyntaxError, TokenError, TypeError, ValueError)
REMOVE = "remove it; it is made again when it is needed"


class Cache:
    """A folder of .npy files; made when the first file is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """The file of the array named `key`."""
        return self.folder / f"{key}.npy"

    def array(self, key: str, store: Callable[[Path], None]) -> npt.NDArray[Any]:
        """The array named `key` (any shape), mapped read-only; `store` writes what is missing or cut short to a path.

        Raises DataError where the folder cannot be written.
        """
        path = self.path(key)
        for _ in range(ATTEMPTS):
            found = self._load(path)
            if found is not None:
                return found
            self._write(path, store)  # and a process that changes the source may discard it at once
        raise DataError("a file of the cache cannot be read back", where=str(path), mend="check the disk")

    def peek(self, key: str) -> npt.NDArray[Any] | None:
        """The array named `key` (any shape), None where there is none; raises DataError where it cannot be read."""
        path = self.path(key)
        if not path.exists():
            return None
        found = self._load(path)
        if found is None:
            raise DataError("this file of the cache is damaged", where=str(path), mend=REMOVE)
        return found

    @staticmethod
    def _load(path: Path) -> npt.NDArray[Any] | None:
        try:
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except _UNREADABLE:
            return None

    def _write(self, path: Path, store: Callable[[Path], None]) -> None:
        def sweep_and_store(partial: Path) -> None:
            for part in self.abandoned():
                part.unlink(missing_ok=True)
            store(partial)

        write_whole(
            path,
            sweep_and_store,
            what="the cache of the image database",
            mend="check the free space and the rights of this folder, or choose another one through NETFORGE_HOME",
            partial=self.folder / f"{path.stem}.{os.getpid()}-{secrets.token_hex(4)}.part",
        )

    def abandoned(self) -> list[Path]:
        """What processes that were killed while writing have left, which is what has not grown for ten minutes."""
        return [part for part in sorted(self.folder.glob("*.part")) if time.time() - _changed(part) > ABANDONED_AFTER_S]

    def unneeded(self, stamps: Container[str]) -> list[Path]:
        """The files that are named after other digests than these."""
        return [path for path in sorted(self.folder.glob("*.npy")) if path.name.partition(".")[0] not in stamps]

    def discard(self, stamps: Iterable[str]) -> None:
        """Remove the files named after these digests; one that another process has open on Windows stays."""
        for stamp in stamps:
            for path in self.folder.glob(f"{stamp}.*.npy"):
                try:
                    path.unlink(missing_ok=True)
                except PermissionError:
                    continue


def _changed(path: Path) -> float:
    """When a file was last written to; now, where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
