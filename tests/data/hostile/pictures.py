"""Picture files that must not be read, and folders and lists of pictures that lead elsewhere."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.data.hostile.case import FOLDER, PIPE, Case, Content, Laid, Link, damages


def picture(form: str = "PNG", size: tuple[int, int] = (9, 7), mode: str = "RGB") -> bytes:
    """A picture file."""
    made = io.BytesIO()
    noise = np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(made, form)
    return made.getvalue()


def png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8, colour: int = 2) -> bytes:
    """A PNG file of one's own making."""
    header = struct.pack(">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")]
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def bad_pictures() -> dict[str, bytes]:
    """Picture files that must not be read."""
    jpeg, gif, tiff, bmp, webp = (picture(form) for form in ("JPEG", "GIF", "TIFF", "BMP", "WEBP"))
    start = jpeg.index(b"\xff\xc0") + 5
    bad = {
        "PNG of 10 gigapixels": png(100_000, 100_000),
        "PNG of 100 megapixels": png(10_000, 10_000),
        "PNG of many pixels in one line": png(1 << 30, 1),
        "PNG of no pixels": png(0, 0),
        "PNG of a negative size": png(-1, -1),
        "PNG with too little data": png(400, 400),
        "PNG with a text that explodes": png(400, 400, (b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 22)))),
        "PNG with a profile that explodes": png(400, 400, (b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 22)))),
        "PNG of 16 bits": png(2, 2, depth=16, colour=0),
        "PNG of an unknown kind": png(2, 2, colour=5),
        "PNG with a wrong checksum": picture()[:40] + b"x" + picture()[41:],
        "JPEG of 4 gigapixels": jpeg[:start] + b"\xff\xff\xff\xff" + jpeg[start + 4 :],
        "JPEG of no pixels": jpeg[:start] + bytes(4) + jpeg[start + 4 :],
        "GIF of 4 gigapixels": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "BMP of 4 gigapixels": bmp[:18] + struct.pack("<ii", 65_535, 65_535) + bmp[26:],
        "BMP of the largest size": bmp[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + bmp[26:],
        "BMP of negative sizes": bmp[:18] + struct.pack("<ii", -65_535, -65_535) + bmp[26:],
        "PPM of 10 gigapixels": b"P6 99999 99999 255\n" + bytes(99),
        "PPM of a long number": b"P6 " + b"9" * 5000 + b" 1 255\n" + bytes(99),
        "PPM of negative sizes": b"P6 -3 -3 255\n" + bytes(99),
        "PPM of 16 bits": b"P5 4 4 65535\n" + bytes(32),
        "TIFF of a wrong directory": tiff[:4] + b"\xff\xff\xff\x7f" + tiff[8:],
        "TIFF of a directory of itself": b"II*\0\x08\0\0\0\x01\0\0\x01\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
        "WEBP of a wrong size": webp[:4] + b"\xff\xff\xff\x7f" + webp[8:12] + b"VP8X" + webp[16:],
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
        "ICNS": b"icns\0\0\0\x08",
    }
    for form in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"):
        good = picture(form)
        bad |= {f"{form} cut to 20 bytes": good[:20], f"{form} cut in the middle": good[: len(good) // 2]}
    whole = damages(picture())
    del whole["cut by a byte"]  # of its end mark, which nobody misses
    return bad | {f"file, {name}": data for name, data in whole.items() if isinstance(data, bytes)}


IMAGES = ("images", "{}/set", "--name", "a")


def pictures_cases() -> Iterator[tuple[str, Case]]:
    for name, data in bad_pictures().items():
        yield name, Case(IMAGES, {"set/a/1.png": picture(), "set/a/2.png": data})


def trees_cases() -> Iterator[tuple[str, Case]]:
    good = picture()
    special: dict[str, Laid] = {
        "a pipe": {"set/a/2.png": PIPE},
        "a folder in the place of a picture": {"set/a/2.png": FOLDER, "set/b": FOLDER},
        "a link to itself": {"set/a/2.png": Link()},
        "a link to nothing": {"set/a/2.png": Link("nothing")},
        "a link to a file elsewhere": {"set/a/2.png": Link("/etc/passwd")},
        "a link to a picture elsewhere": {"set/a/2.png": Link("../../else.png"), "else.png": good},
        "a link to the folder above": {"set/a/b": Link("..")},
        "a link to a folder elsewhere": {"set/b": Link("/etc")},
        "a newline in a name": {"set/a/\n.png": good},
        "a newline in a class": {"set/a\nb/1.png": good},
        "a control character in a name": {"set/a/\x1b[2J.png": good},
        "a byte that is no UTF-8 in a name": {"set/a/\udcff.png": good},
        "a byte that is no UTF-8 in a class": {"set/\udcff/1.png": good},
        "a backslash in a name": {"set/a/x\\..\\1.png": good},
        "a long class": {f"set/{'x' * 250}/1.png": good},
        "an empty class": {"set/b": FOLDER},
        "another size": {"set/a/2.png": picture(size=(3, 3))},
        "two parts for training": {"set/train/a/1.png": good, "set/training/a/1.png": good},
    }
    for name, content in special.items():
        own = {} if "parts" in name else {"set/a/1.png": good}
        yield name, Case(IMAGES, own | dict(content))
    yield "nothing", Case(IMAGES, {"set": FOLDER})
    yield "no such folder", Case(IMAGES, {})
    yield "pictures without classes", Case(IMAGES, {"set/1.png": good})
    yield "a pipe in the place of all", Case(IMAGES, {"set": PIPE})
    yield "a link to itself in the place of all", Case(IMAGES, {"set": Link()})
    yield "a long path", Case(("images", "{}/" + "x" * 999, "--name", "a"), {})


def lists_cases() -> Iterator[tuple[str, Case]]:
    lists: dict[str, Content] = damages(b"1.png x\n1.png 0") | {
        "a fractional label": b"1.png 0.5\n",
        "no label": b"1.png\n",
        "a label of nan": b"1.png nan\n",
        "a large label": b"1.png 99999999999\n",
        "a label of 10,000 digits": b"1.png " + b"9" * 10_000 + b"\n",
        "a path that leads out": b"../else.png 0\n",
        "an absolute path": b"/etc/passwd 0\n",
        "a file that is not there": b"2.png 0\n",
        "a NUL": b"1\0.png 0\n",
        "an escape": b"\x1b[2J.png 0\n",
        "a long line": b"x" * (1 << 20) + b" 0\n",
        "no UTF-8": b"\xff\xfe1.png 0\n",
        "the list itself": b"list.txt 0\n",
        "a pipe": b"pipe 0\n",
        "a folder": b"folder 0\n",
        "a link": b"link.png 0\n",
    }
    around: Laid = {"1.png": picture(), "pipe": PIPE, "folder": FOLDER, "link.png": Link("/etc/passwd")}
    for name, data in lists.items():
        if name == "a folder" and data == FOLDER:
            continue
        yield f"list of {name}", Case(("images", "{}/list.txt", "--name", "a"), dict(around) | {"list.txt": data})
    tables = {
        "no header": b"1.png,0\n",
        "no columns": b"a,b\n1.png,0\n",
        "too few fields": b"file,label\n1.png\n",
        "too many fields": b"file,label\n1.png,0,1\n",
        "an open quote": b'file,label\n"1.png,0\n',
        "a fractional label and a class": b"file,label,class\n1.png,0.5,a\n",
        "two classes of a label": b"file,label,class\n1.png,0,a\n1.png,0,b\n",
        "a class of a newline": b'file,class\n1.png,"a\nb"\n',
        "a NUL": b"file,label\n1\0.png,0\n",
        "a long field": b"file,label\n1.png," + b"0" * 200_000 + b"\n",
        "no lines": b"file,label\n",
        "nothing": b"",
        "a path that leads out": b"file,label\n../../etc/passwd,0\n",
    }
    for name, data in tables.items():
        yield f"table of {name}", Case(("images", "{}/list.csv", "--name", "a"), dict(around) | {"list.csv": data})
