"""Files of weights and state as such: telling them apart, reading them, and replacing them in one step."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from netforge.atomic import write_whole
from netforge.errors import SnapshotError, did_you_mean

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
WEIGHTS = "weights"
STATE = "solver state"
UNKNOWN = "unknown"

_HEAD_BYTES = 4096
# What a file may turn out to be: its words after "found", and the mend.
_FOUND = {
    "empty": ("an empty file", "copy it again"),
    "lfs": ("a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
    "text": ("a text file", "give a file of weights or state; a prototxt describes a net and holds no weights"),
    "mean": ("an image mean", "name it as mean_file in transform_param"),
    STATE: ("a file of solver state", "resume from it with --snapshot; weights are in the .caffemodel beside it"),
    WEIGHTS: ("a file of weights", "start from it with --weights; to resume, give the .solverstate beside it"),
    UNKNOWN: ("a file of no known kind", "give a .caffemodel or .solverstate file, in protobuf or HDF5"),
}


def write_snapshot(path: Path, write: Callable[[Path], object]) -> None:
    """Make `path` hold what `write` writes, or leave it as it was: see `write_whole`.

    Raises SnapshotError where the disk refuses.
    """
    write_whole(
        path,
        write,
        error=SnapshotError,
        mend="free some space there or set snapshot_prefix to another folder; the files written before are whole",
    )


def check_writable(folder: Path) -> None:
    """Make `folder` if it is missing and prove that files can be made in it; raises SnapshotError."""
    probe = folder / f".netforge-probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SnapshotError(
            f"snapshots cannot be written here: {error.strerror or error}",
            where=str(folder),
            mend="set snapshot_prefix to a folder that you may write to",
        ) from error


def check_kind(path: Path, wanted: str) -> bool:
    """Whether the file is HDF5, after proving that it is of the `wanted` kind (WEIGHTS or STATE) by its content.

    Raises SnapshotError where it is missing, a folder, empty, text, or of another kind.
    """
    head = _read_head(path)
    is_hdf5 = head.startswith(HDF5_MAGIC)
    kind = _kind_of_hdf5(path) if is_hdf5 else _kind_of_bytes(head)
    if kind != wanted:
        found, mend = _FOUND[kind]
        raise SnapshotError(f"expected a file of {wanted}, found {found}", where=str(path), mend=mend)
    return is_hdf5


def _read_head(path: Path) -> bytes:
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SnapshotError("no such file", where=str(path), mend=did_you_mean(path.name, siblings) or "check the path")
    if path.is_dir():
        raise SnapshotError("this is a folder, expected a file", where=str(path), mend="name a file inside it")
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise SnapshotError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _kind_of_bytes(head: bytes) -> str:
    """Guess from the first protobuf tags: a state starts with `iter`, weights with a name or a layer."""
    if not head:
        return "empty"
    if head.startswith(b"version https://git-lfs"):
        return "lfs"
    if _is_text(head):
        return "text"
    if head[0] == 0x08:  # field 1, a number: SolverState.iter or BlobProto.num
        end = next((i for i, byte in enumerate(head[1:11], start=2) if byte < 0x80), len(head))
        return "mean" if head[end : end + 1] == b"\x10" else STATE
    return WEIGHTS if head[0] in (0x0A, 0x12, 0x1A) or head[:2] == b"\xa2\x06" else UNKNOWN


def _is_text(head: bytes) -> bool:
    """Whether the bytes are UTF-8 without control characters (the last character may be cut off)."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\n\r\t" for character in text)


def _kind_of_hdf5(path: Path) -> str:
    import h5py

    from netforge.snapshot.hdf5 import opened

    with opened(path) as file:
        if isinstance(file.get("data"), h5py.Group):
            return WEIGHTS
        return STATE if "iter" in file else UNKNOWN
