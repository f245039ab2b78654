"""Archives whose names, members or sizes are not to be trusted."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Iterator

from tests.data.hostile.case import FOLDER, Case, Content, damages
from tests.data.hostile.packing import tar_of, zip_of
from tests.data.hostile.pictures import picture


def archives_cases() -> Iterator[tuple[str, Case]]:
    good = {"a/1.png": picture(), "b/1.png": picture()}
    names = {
        "above": "../../../tmp/evil.png",
        "above later": "a/../../evil.png",
        "above by backslashes": "..\\..\\evil.png",
        "absolute": "/tmp/evil.png",
        "on a drive": "C:/evil.png",
        "of a newline": "a/x\ny.png",
        "of control characters": "a/\x1b]0;title\x07.png",
        "of a long path": "a/" + "x/" * 3000 + "y.png",
        "of a hidden folder above": ".a/../../x.png",
        "of two slashes": "a//x.png",
    }
    forms = {
        "zip": zip_of(good),
        "tar": tar_of(good).rstrip(b"\0"),
        "tar.gz": gzip.compress(tar_of(good), mtime=0),
    }
    for form, whole in forms.items():
        made: dict[str, Content] = {
            name: content for name, content in damages(whole).items() if name not in ("text", "zeros", "noise", "empty")
        }
        for name, path in names.items():
            files = good | {path: picture()}
            made[f"a name {name}"] = {
                "zip": lambda files=files: zip_of(files),
                "tar": lambda files=files: tar_of(files),
                "tar.gz": lambda files=files: gzip.compress(tar_of(files), mtime=0),
            }[form]()
        for name, content in made.items():
            if content == FOLDER:
                continue  # which holds nothing, see above
            yield f"{form}, {name}", Case(("images", f"{{}}/set.{form}", "--name", "a"), {f"set.{form}": content})
    kinds = {"link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "device": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE}
    odd: dict[str, bytes] = {
        f"tar with a {name}": tar_of(good | {"a/2.png": b""}, type=kind, linkname="/etc/passwd")
        for name, kind in kinds.items()
    }
    header = bytearray(tar_of({"a/1.png": picture()}))
    for name, field in {
        "8 GiB": b"77777777777\0",
        "a negative size": b"\xff" * 11 + b"\x9c",
        "no number": b"what is it\0\0",
    }.items():
        header[124:136] = field
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:512])
        odd[f"tar of {name}"] = bytes(header)
    odd["tar of headers of headers"] = tar_of({f"{i}": b"x" * 512 for i in range(3000)}, type=tarfile.XHDTYPE)
    odd |= {
        f"zip with a {name}": zip_of(good, mode=mode | 0o644)
        for name, mode in {
            "link": stat.S_IFLNK,
            "device": stat.S_IFCHR,
            "pipe": stat.S_IFIFO,
            "folder": stat.S_IFDIR,
        }.items()
    }
    odd["zip in lzma"] = zip_of(good, zipfile.ZIP_LZMA)
    odd["zip in bzip2"] = zip_of(good, zipfile.ZIP_BZIP2)
    odd["zip with a wrong checksum"] = zip_of({"a/1.png": picture("PPM")}, zipfile.ZIP_STORED).replace(b"P6", b"P5", 1)
    odd["zip of nothing"] = zip_of({})
    odd["gz bomb"] = gzip.compress(tar_of({"a/1.png": bytes(18 << 20)}))
    odd["zip bomb"] = zip_of({f"a/{i}.png": bytes(1 << 21) for i in range(9)})
    odd["seven zip"] = b"7z\xbc\xaf\x27\x1c" + bytes(99)
    odd["tar.xz"] = b"\xfd7zXZ\0" + bytes(99)
    odd["rar"] = b"Rar!\x1a\x07\x01\0" + bytes(99)
    odd["gz of a picture"] = gzip.compress(picture())
    odd["gz of a gz"] = gzip.compress(gzip.compress(tar_of(good)))
    for name, data in odd.items():
        yield name, Case(("images", "{}/set.zip", "--name", "a"), {"set.zip": data})
