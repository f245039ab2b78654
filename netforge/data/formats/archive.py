"""Folders and archives as files by name, read without trust and without being unpacked into the file system.

What an archive says of itself is checked before it is used: a name that leads out of it, a link, a device, an encrypted
or oddly packed member, more files or bytes than the limits here and in `packed` allow, and whatever is damaged end in a
DataError that names the member.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
import zipfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

from netforge.data.formats.packed import (
    FETCH_AGAIN,
    GZIP_MAGIC,
    Part,
    expands_too_far,
    explained,
    file_size,
    guarded,
    gunzipped,
    is_folder,
    most_expanded,
    unpacked,
)
from netforge.errors import DataError, counted

MOST_FILES = 4_000_000
LARGEST_FILE = 1 << 34
LONGEST_NAME = 1024
LONGEST_HEADER = 1 << 20  # of a member of a tar archive; names take less
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Files(ABC):
    """The files in a folder or an archive by their names, such as "cats/1.png"; a context manager.

    path: what was opened. Files and folders whose names begin with a dot, and what macOS adds to archives (__MACOSX),
    are left out. Files may be read from several threads at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sizes: dict[str, int] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the archive."""
        self._closing.close()

    def names(self) -> list[str]:
        """Names of all files, sorted, with "/" between folders."""
        return sorted(self._sizes)

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def size(self, name: str) -> int:
        """Bytes of a file, as it was when folder or archive were opened; raises DataError where there is none."""
        if name not in self._sizes:
            raise DataError("there is no such file", where=self.where(name), mend="correct its path")
        return self._sizes[name]

    def where(self, name: str) -> str:
        """The place of a file, for messages."""
        return os.path.join(self.path, name)  # a tenth of the time of pathlib's, for every picture of a folder

    def open(self, name: str) -> IO[bytes]:
        """A file as a stream; DataError, naming it, where it is missing or damaged, here or while it is read."""
        size = self.size(name)
        with explained(self.where(name)):
            return guarded(self._open(name), size, self.where(name))

    def read(self, name: str, limit: int) -> bytes:
        """A whole file of at most `limit` bytes; raises DataError where it is larger, missing or damaged."""
        size = self.size(name)
        if size > limit:
            raise DataError(f"the file has {size:,} bytes, more than {limit:,}", where=self.where(name))
        with self.open(name) as stream:
            data = stream.read()
        if len(data) != size:
            raise DataError(f"{len(data):,} of {size:,} bytes are there", where=self.where(name), mend=FETCH_AGAIN)
        return data

    @abstractmethod
    def _open(self, name: str) -> IO[bytes] | io.RawIOBase:
        """The bytes of a file that is there."""

    def _add(self, name: str, size: int) -> bool:
        """Note a file, its name and size checked; False where it is one to be left out."""
        check_file_name(name, str(self.path))
        parts = name.split("/")
        if parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts):
            return False
        if name in self._sizes:
            raise DataError("this name is there twice", where=self.where(name), mend=FETCH_AGAIN)
        if not 0 <= size <= LARGEST_FILE:
            raise DataError(f"the file claims {size:,} bytes, more than {LARGEST_FILE:,}", where=self.where(name))
        if len(self._sizes) >= MOST_FILES:
            raise DataError(f"there are more than {counted(MOST_FILES, 'file')} in it", where=str(self.path))
        self._sizes[name] = size
        return True


def open_files(path: str | Path) -> Files:
    """The files of a folder, or of an archive: .zip, .tar, .tar.gz; a .gz of anything else holds one file.

    What an archive is, its first bytes say, not its name. A .gz is unpacked into a temporary file that has no name.
    Raises DataError where there is nothing of that kind, or where it is not to be trusted.
    """
    path = Path(path)
    if is_folder(path):
        return _Folder(path)
    size = file_size(path)
    with explained(str(path)), ExitStack() as closing:
        file: IO[bytes] = closing.enter_context(path.open("rb"))
        start = file.read(tarfile.BLOCKSIZE)
        zipped = start.startswith(GZIP_MAGIC)
        if zipped:
            file.seek(0)
            file = closing.enter_context(unpacked(gunzipped(file, size, str(path)), str(path)))
            start = file.read(tarfile.BLOCKSIZE)
        files: Files
        if _is_tar(start):
            files = _Tar(path, file)
        elif zipped:
            files = _Single(path, file)
        elif start.startswith(ZIP_MAGICS):
            files = _Zip(path, file, size)
        else:
            mend = "name a folder, or a .zip, .tar, .tar.gz or .gz file; unpack others first"
            raise DataError("this is no folder and no archive that can be read", mend=mend)
        files._closing.push(closing.pop_all())
        return files


def check_file_name(name: str, where: str) -> None:
    """Raise DataError where the name of a file leads out of its folder or archive, or cannot be printed.

    where: the folder or archive.
    """
    parts = name.split("/")
    leads_out = name.startswith("/") or ".." in parts or name[1:2] == ":"
    if not leads_out and name.isprintable() and len(name) <= LONGEST_NAME and "" not in parts and "\\" not in name:
        return
    shown = repr(name if len(name) <= 80 else f"{name[:80]}...")
    reason = "leads out of it" if leads_out else "is no printable path of moderate length, with / between its parts"
    raise DataError(f"the name {shown} of a file in it {reason}", where=where, mend="rename the file")


class _Folder(Files):
    """A folder. Links lead to files in the folder only: none of another place comes in unnoticed.

    What has a name and yet is no file to be read, a pipe say, is told when it is opened: it may be of no interest.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._refused: dict[str, DataError] = {}
        root = Path(os.path.realpath(path))
        folders = [""]
        while folders:
            folder = folders.pop()
            with explained(str(path / folder)), os.scandir(path / folder) as entries:
                shown = [(entry, folder + entry.name) for entry in entries if not entry.name.startswith(".")]
                folders += [f"{name}/" for entry, name in shown if entry.is_dir(follow_symlinks=False)]
                for entry, name in shown:
                    if entry.is_symlink() or not entry.is_dir():
                        self._add(name, self._checked_size(name, root, is_link=entry.is_symlink()))

    def _checked_size(self, name: str, root: Path, *, is_link: bool) -> int:
        where, mend = self.where(name), "put the files themselves into the folder"
        if is_link:
            check_file_name(name, str(self.path))  # before it is shown
            if is_folder(Path(where)):
                raise DataError("this is a link to a folder, which is not followed", where=where, mend=mend)
        try:
            if is_link and not Path(os.path.realpath(where)).is_relative_to(root):
                raise DataError("this is a link to a file elsewhere", where=where, mend=mend)
            return file_size(where)
        except DataError as error:
            self._refused[name] = error
            return 0

    def size(self, name: str) -> int:
        """Bytes of a file, as it was when the folder was opened; raises DataError where there is none to be read."""
        if name in self._refused:
            raise self._refused[name]
        return super().size(name)

    def _open(self, name: str) -> IO[bytes]:
        return open(os.path.join(self.path, name), "rb")


class _Zip(Files):
    """A .zip archive in an open file."""

    def __init__(self, path: Path, file: IO[bytes], size: int) -> None:
        super().__init__(path)
        self._archive = zipfile.ZipFile(file)
        self._members: dict[str, zipfile.ZipInfo] = {}
        left = most_expanded(size)
        for member in self._archive.infolist():
            name = member.orig_filename.removeprefix("./")
            if name.endswith("/"):
                check_file_name(name[:-1], str(path))
            elif self._add(name, member.file_size):
                self._check(name, member)
                self._members[name] = member
                left -= member.file_size
                if left < 0:
                    raise expands_too_far(str(path))

    def _check(self, name: str, member: zipfile.ZipInfo) -> None:
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise _no_file(self.where(name))
        if member.flag_bits & 1 or member.compress_type not in ZIP_METHODS:
            found = "the file is encrypted" if member.flag_bits & 1 else "the file is packed in an unusual way"
            raise DataError(found, where=self.where(name), mend="pack it again with deflate and without a password")

    def _open(self, name: str) -> IO[bytes]:
        return self._archive.open(self._members[name])


class _Tar(Files):
    """A .tar archive in an open file."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        super().__init__(path)
        self._file = file
        self._lock = threading.Lock()
        self._places: dict[str, int] = {}
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        archive: Any
        with tarfile.open(fileobj=cast(IO[bytes], _Headers(file)), mode="r:") as archive:
            before = -1
            while (member := archive.next()) is not None:
                archive.members.clear()  # each takes a KiB
                if archive.offset <= before or member.size < 0 or member.offset_data + member.size > end:
                    raise DataError(f"the archive is damaged or cut short at its member {member.name[:80]!r}")
                before = archive.offset
                self._note(member)
            file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise DataError("the archive is damaged or cut short: its end is missing", mend=FETCH_AGAIN)

    def _note(self, member: tarfile.TarInfo) -> None:
        name = member.name.removeprefix("./")
        if member.isdir():
            check_file_name(name, str(self.path))
        elif not member.isreg() or member.issparse():
            check_file_name(name, str(self.path))
            raise _no_file(self.where(name))
        elif self._add(name, member.size):
            self._places[name] = member.offset_data

    def _open(self, name: str) -> io.RawIOBase:
        return Part(self._file, self._lock, self._places[name], self._sizes[name])


class _Single(Files):
    """What was in a .gz file that is no archive, in an open file."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        super().__init__(path)
        self._file = file
        self._lock = threading.Lock()
        self._add(path.stem if path.suffix == ".gz" else path.name, file.seek(0, os.SEEK_END))

    def where(self, name: str) -> str:
        """The place of the file: that of the gzipped one."""
        return str(self.path)

    def _open(self, name: str) -> io.RawIOBase:
        return Part(self._file, self._lock, 0, self._sizes[name])


class _Headers:
    """A file of which tarfile reads the headers: none of them may be long, whatever it claims."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._file = file

    def read(self, size: int) -> bytes:
        """The next bytes."""
        if size > LONGEST_HEADER:
            raise DataError(f"a member has a header of {size:,} bytes", mend=FETCH_AGAIN)
        return self._file.read(size)


def _is_tar(start: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def _no_file(where: str) -> DataError:
    found = "the archive holds something that is no plain file: a link, a device or a file with holes"
    return DataError(found, where=where, mend="pack it again without")
