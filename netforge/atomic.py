"""Files that appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from netforge.errors import DataError, NetforgeError

MEND = "check the free space and the rights of its folder, or name another one"


def write_whole(
    path: Path,
    write: Callable[[Path], object],
    *,
    what: str = "this file",
    mend: str = MEND,
    error: type[NetforgeError] = DataError,
    partial: Path | None = None,
) -> Path:
    """Make `path` hold what `write` writes, or leave it as it was; gives `path`.

    `write` fills a file beside it, which is synced to disk and renamed, so that a crash, Ctrl-C or a full disk at any
    moment leaves the old file whole, and two processes that write the same file do not mix. Missing folders are made;
    a link stays one, and what it leads to is replaced; what is no file, such as /dev/stdout, is written to as it is.

    partial: the file beside it, PATH.PROCESS.partial if None: what killed processes left under such names is removed.
    Raises `error`, which says that `what` cannot be written, and `mend`, where the disk refuses.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            write(path)
        else:
            _replace(Path(os.path.realpath(path)), write, partial)
    except OSError as refusal:
        raise error(f"{what} cannot be written: {refusal.strerror or refusal}", where=str(path), mend=mend) from refusal
    return path


def _replace(path: Path, write: Callable[[Path], object], partial: Path | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if partial is None:
        _sweep(path)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what processes that were killed while writing `path` have left."""
    for partial in path.parent.glob(f"{glob.escape(path.name)}.*.partial"):
        process = partial.suffixes[-2][1:]
        if process.isdecimal() and not _is_running(int(process)):
            partial.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether a process of this number may be there; always True where that cannot be asked."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk; Windows cannot open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
