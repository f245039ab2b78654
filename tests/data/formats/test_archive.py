"""Folders and archives as files by name: the same files from each kind, and archives that are not to be trusted."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from netforge.data.formats import archive, packed
from netforge.data.formats.archive import open_files
from netforge.data.formats.packed import open_file
from netforge.errors import DataError

CONTENT = {"cats/1.png": b"one", "cats/deep/2.png": b"", "list.txt": b"cats/1.png 0\n" * 100_000}
HIDDEN = {".git/config": b"x", "cats/.thumb": b"x", "__MACOSX/cats/1.png": b"x"}


def make_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return made.getvalue()


def tarred(members: dict[str, bytes] | list[tarfile.TarInfo], **options: object) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", **options) as file:
        for member in members:
            data = b"" if isinstance(member, tarfile.TarInfo) else members[member]
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = info.size or len(data)
            file.addfile(info, io.BytesIO(data))
    return made.getvalue()


def link(name: str, kind: bytes = tarfile.SYMTYPE, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


FORMS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "stored.zip": lambda files: zipped(files, zipfile.ZIP_STORED),
    "tar": tarred,
    "ustar": lambda files: tarred(files, format=tarfile.USTAR_FORMAT),
    "dot.tar": lambda files: tarred({f"./{name}": data for name, data in files.items()}),
    "tar.gz": lambda files: gzip.compress(tarred(files)),
}


@pytest.mark.parametrize("form", ["folder", *FORMS])
def test_the_same_files_from_every_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / "named without a suffix"
    if form == "folder":
        make_folder(path, CONTENT | HIDDEN)
    else:
        path.write_bytes(FORMS[form](CONTENT | HIDDEN))
    with open_files(path) as files:
        assert files.names() == sorted(CONTENT)
        assert {name: files.read(name, 1 << 21) for name in files.names()} == CONTENT
        assert "cats/1.png" in files and "cats/.thumb" not in files
        assert files.where("cats/1.png") == f"{path}/cats/1.png" and files.size("list.txt") == 1_300_000
        with files.open("list.txt") as first, files.open("list.txt") as second:
            assert first.read(4) + second.read(4) + first.read(6) == b"catscats/1.png"
        with ThreadPoolExecutor(4) as pool:
            read = pool.map(lambda _: files.read("list.txt", 1 << 21), range(16))
            assert set(read) == {CONTENT["list.txt"]}
        with pytest.raises(DataError, match=r"list\.txt: the file has 1,300,000 bytes, more than 1,299,999"):
            files.read("list.txt", 1_299_999)
        with pytest.raises(DataError, match=r"dogs/1\.png: there is no such file"):
            files.open("dogs/1.png")
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_gzipped_file_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "data.bin.gz"
    path.write_bytes(gzip.compress(b"abc" * 99))
    with open_files(path) as files:
        assert files.names() == ["data.bin"] and files.read("data.bin", 297) == b"abc" * 99
        assert files.where("data.bin") == str(path)


@pytest.mark.parametrize("packed_form", [True, False])
def test_a_file_is_unpacked_where_it_is_gzipped(tmp_path: Path, packed_form: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"abc" * 99) if packed_form else b"abc" * 99)
    with open_file(path) as stream:
        assert stream.read() == b"abc" * 99
    assert packed.most_bytes(path) == (packed.ALWAYS_EXPANDED if packed_form else 297)


BAD_NAMES = {
    "up": ("../x", "leads out"),
    "up later": ("a/../../x", "leads out"),
    "hidden up": (".a/../../x", "leads out"),
    "absolute": ("/etc/x", "leads out"),
    "drive": ("C:x", "leads out"),
    "backslash": ("a\\b", "no printable path"),
    "newline": ("a\nb", "no printable path"),
    "escape": ("a\x1b[2J", "no printable path"),
    "long": ("x" * 2000, "no printable path"),
    "double slash": ("a//b", "no printable path"),
}


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("kind", BAD_NAMES)
def test_names_that_lead_out_or_cannot_be_printed(tmp_path: Path, form: str, kind: str) -> None:
    name, message = BAD_NAMES[kind]
    path = tmp_path / "archive"
    path.write_bytes(FORMS[form]({"good": b"x", name: b"x"}))
    with pytest.raises(DataError, match=message) as caught:
        open_files(path)
    assert str(path) in str(caught.value) and str(caught.value).isprintable()


def lying(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) >= 1
    return data.replace(old, new)


def special_zip(mode: int) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = mode << 16
        file.writestr(info, "/etc/passwd")
    return made.getvalue()


def bad_header(field: slice, value: bytes) -> bytes:
    """A tar archive of one member with a damaged field; the checksum is right."""
    data = bytearray(tarred({"a": b"x" * 600}))
    data[field] = value
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def twice() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("a", b"1")
        file.writestr("a", b"2")
    return made.getvalue()


TAR = tarred(CONTENT)
BAD_ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty file": (lambda: b"", "no folder and no archive"),
    "text": (lambda: b"hello" * 999, "no folder and no archive"),
    "seven zip": (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(999), "Name a folder, or a .zip, .tar, .tar.gz or .gz"),
    "zip cut short": (lambda: zipped(CONTENT)[:-30], "damaged or cut short"),
    "zip of nothing but its start": (lambda: b"PK\x03\x04" + bytes(99), "damaged or cut short"),
    "tar cut in a member": (lambda: TAR[: len(TAR) // 2], "damaged or cut short"),
    "tar cut between members": (lambda: tarred({"a": b"x", "b": b"y"})[:1024], "its end is missing"),
    "tar damaged between members": (
        lambda: tarred({"a": b"x", "b": b"y"})[:1024] + b"x" * 9216,
        "damaged or cut short",
    ),
    "gz cut short": (lambda: gzip.compress(TAR)[:-9], "damaged or cut short"),
    "gz of noise": (lambda: b"\x1f\x8b\x08" + bytes(range(99)), "damaged or cut short"),
    "tar with a link": (lambda: tarred([link("a")]), "no plain file"),
    "tar with a hard link": (lambda: tarred([link("a", tarfile.LNKTYPE)]), "no plain file"),
    "tar with a device": (lambda: tarred([link("a", tarfile.CHRTYPE)]), "no plain file"),
    "tar with a pipe": (lambda: tarred([link(".hidden", tarfile.FIFOTYPE)]), "no plain file"),
    "tar with a folder above": (lambda: tarred([link("../x", tarfile.DIRTYPE)]), "leads out"),
    "tar that claims 8 GiB": (lambda: bad_header(slice(124, 136), b"77777777777\0"), "damaged or cut short"),
    "tar of a negative size": (lambda: bad_header(slice(124, 136), b"\xff" * 11 + b"\x9c"), "damaged"),
    "tar with a long header": (lambda: bad_header(slice(124, 157), b"00077777777\0" + b" " * 20 + b"x"), "header of"),
    "tar with a name twice": (lambda: tarred({"a": b"", "./a": b""}), "there twice"),
    "zip with a name twice": (twice, "there twice"),
    "zip with a link": (lambda: special_zip(stat.S_IFLNK | 0o777), "no plain file"),
    "zip with a device": (lambda: special_zip(stat.S_IFBLK | 0o777), "no plain file"),
    "zip by lzma": (lambda: zipped(CONTENT, zipfile.ZIP_LZMA), "unusual way"),
    "zip with a password": (
        lambda: lying(zipped({"a": b""}), b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
        "encrypted",
    ),
}


@pytest.mark.parametrize("kind", BAD_ARCHIVES)
def test_bad_archives(tmp_path: Path, kind: str) -> None:
    make, message = BAD_ARCHIVES[kind]
    path = tmp_path / "archive"
    path.write_bytes(make())
    with pytest.raises(DataError, match=message) as caught:
        open_files(path)
    assert str(path) in str(caught.value)
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_member_that_is_damaged_is_named_when_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(lying(zipped({"a": b"good", "b": b"x" * 99}, zipfile.ZIP_STORED), b"x" * 99, b"y" * 99))
    with open_files(path) as files:
        assert files.read("a", 9) == b"good"
        with pytest.raises(DataError, match=r"a\.zip/b: the file is damaged or cut short: Bad CRC-32"):
            files.read("b", 99)


def test_bombs_are_refused_before_they_go_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "ALWAYS_EXPANDED", 1 << 20)
    path = tmp_path / "bomb"
    zeros = bytes(3 << 20)
    for data in (zipped({"a": zeros}), zipped({str(i): zeros[: 1 << 19] for i in range(6)})):
        path.write_bytes(data)
        with pytest.raises(DataError, match="bomb: the packed file grows to more than 100 times its size"):
            open_files(path)
    for data in (gzip.compress(tarred({"a": zeros})), gzip.compress(zeros)):
        path.write_bytes(data)
        with pytest.raises(DataError, match="bomb: the packed file grows to more than 100 times its size"):
            open_files(path)
        with pytest.raises(DataError, match="bomb: the packed file grows"), open_file(path) as stream:
            while stream.read(1 << 16):
                pass
    path.write_bytes(gzip.compress(os.urandom(1 << 15) * 40))  # grows to forty times its size, which is usual
    with open_files(path) as files:
        assert files.size("bomb") == 40 << 15


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_FILES", 2)
    for form, make in FORMS.items():
        (tmp_path / form).write_bytes(make(CONTENT))
        with pytest.raises(DataError, match="more than 2 files"):
            open_files(tmp_path / form)
    with pytest.raises(DataError, match="more than 2 files"):
        open_files(tmp_path)


def test_no_room_for_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(DataError, match=r"cannot be unpacked into .*: No space left on device") as caught:
        open_files(tmp_path / "a.gz")
    assert "TMPDIR" in str(caught.value)


def test_links_in_a_folder(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "folder", {"real.png": b"x", "sub/b.png": b"y"})
    (tmp_path / "outside.png").write_bytes(b"z")
    (folder / "sub" / "inside.png").symlink_to(folder / "real.png")
    with open_files(folder) as files:
        assert files.read("sub/inside.png", 1) == b"x"
    bad = folder / "bad.png"
    for target in (tmp_path, folder / "sub", Path("../folder")):
        bad.symlink_to(target)
        with pytest.raises(DataError, match=r"bad\.png: this is a link to a folder"):
            open_files(folder)
        bad.unlink()
    for target, message in ((tmp_path / "outside.png", "elsewhere"), ("none", "no such file"), ("bad.png", "levels")):
        bad.symlink_to(target)  # the last one to itself
        with open_files(folder) as files:
            assert files.names() == ["bad.png", "real.png", "sub/b.png", "sub/inside.png"]
            with pytest.raises(DataError, match=rf"bad\.png: .*{message}"):
                files.read("bad.png", 9)
        bad.unlink()


def test_what_is_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for call in (open_files, open_file, packed.most_bytes):
        for path, message in (
            ("none", "no such file"),
            ("pipe", "a device or a pipe"),
            ("x" * 999, "name too long"),
            ("a\0b", "no such file"),
        ):
            with pytest.raises(DataError, match=message):
                call(tmp_path / path)
    with open_files(tmp_path) as files, pytest.raises(DataError, match=r"pipe: .* this is a device or a pipe"):
        files.open("pipe")
    with pytest.raises(DataError, match="this is a folder"):
        open_file(tmp_path)
    os.rename(tmp_path / "pipe", tmp_path / "new\nline")
    with pytest.raises(DataError, match=r"the name 'new\\nline' of a file in it is no printable path"):
        open_files(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(CONTENT))
    for owner, method in ((Path, "open"), (os, "scandir")):
        with monkeypatch.context() as patched:

            def refuse(*arguments: object, **options: object) -> None:
                raise PermissionError(13, "Permission denied")

            patched.setattr(owner, method, refuse)
            with pytest.raises(DataError, match="the file cannot be read: Permission denied"):
                open_files(tmp_path / "a.zip" if method == "open" else tmp_path)
