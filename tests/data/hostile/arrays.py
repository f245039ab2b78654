"""IDX and npz files that lie."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Iterator

import numpy as np

from tests.data.helpers import idx_bytes
from tests.data.hostile.case import Case, Content, damages, zipped_damages
from tests.data.hostile.packing import zip_of


def idx_cases() -> Iterator[tuple[str, Case]]:
    files: dict[str, bytes] = {}
    for part in ("train", "t10k"):
        files[f"{part}-images-idx3-ubyte"] = idx_bytes(np.arange(120).reshape(4, 6, 5))
        files[f"{part}-labels-idx1-ubyte"] = idx_bytes(np.arange(4))
    for name, good in files.items():
        contents = damages(good) | zipped_damages(good)
        contents |= {
            "wrong magic": b"\0\0\x0d\x03" + good[4:],
            "4 GiB claim": good[:4] + b"\xff\xff\xff\xff" + good[8:],
            "claim of 2^96 bytes": good[:4] + b"\xff" * 12,
            "claim of 4 GiB in gz": gzip.compress(good[:4] + b"\xff\xff\xff\xff" + good[8:]),
            "none": good[:4] + bytes(4) + good[8:],
            "too long": good + b"x",
        }
        for damage, content in contents.items():
            yield f"{name}, {damage}", Case(("mnist", "{}"), files | {name: content})
    for name in ("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"):
        yield f"{name}, too few", Case(("mnist", "{}"), files | {name: idx_bytes(np.arange(3))})
    other = {"t10k-images-idx3-ubyte": idx_bytes(np.zeros((4, 2, 2)))}
    yield "shapes that differ", Case(("mnist", "{}"), files | other)
    yield "nothing", Case(("mnist", "{}"), {})
    yield "a file", Case(("mnist", "{}/a"), {"a": b"x"})
    yield "a name of control characters", Case(("mnist", "{}", "--name", "a\x1b[2J"), files)
    yield "a long name", Case(("mnist", "{}", "--name", "x" * 999), files)
    yield "a surrogate in the name", Case(("mnist", "{}", "--name", "\udcff"), files)


def npy(header: str, data: bytes = bytes(64), version: bytes = b"\x01\x00") -> bytes:
    """An .npy file with a header of one's own."""
    text = header.encode("latin-1")
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + data


def _saved(**arrays: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()


def npz_cases() -> Iterator[tuple[str, Case]]:
    x, y = np.zeros((4, 4, 4), np.uint8), np.arange(4)
    good = _saved(x=x, y=y)
    arguments = ("npz", "{}/a.npz", "--name", "a", "--image-array", "x", "--label-array", "y")
    content: dict[str, Content] = damages(good) | {
        "one array": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (64,), }"),
        "no images": _saved(y=y),
        "no labels": _saved(x=x),
        "too few labels": _saved(x=x, y=y[:3]),
        "fractional labels": _saved(x=x, y=y / 2),
        "large labels": _saved(x=x, y=y + (1 << 40)),
        "labels of the largest uint64": _saved(x=x, y=np.full(4, 2**64 - 1, np.uint64)),
        "labels of texts": _saved(x=x, y=y.astype(str)),
        "labels of dates": _saved(x=x, y=y.astype("datetime64[s]")),
        "labels of two axes": _saved(x=x, y=y[None]),
        "pixels above 255": _saved(x=x + np.int32(256), y=y),
        "negative pixels": _saved(x=x - np.int32(1), y=y),
        "nan": _saved(x=x + np.float32("nan"), y=y),
        "inf": _saved(x=x - np.float64("inf"), y=y),
        "floats above 1": _saved(x=x + 1.5, y=y),
        "complex": _saved(x=x + 1j, y=y),
        "a structure": _saved(x=np.zeros((4, 4, 4), [("a", "u1"), ("b", "u1")]), y=y),
        "no axes": _saved(x=np.array(1), y=y),
        "two axes": _saved(x=x[0], y=y),
        "five axes": _saved(x=x[None, None], y=y),
        "no image": _saved(x=x[:0], y=y[:0]),
        "images of no pixels": _saved(x=x[:, :0], y=y),
        "seven channels": _saved(x=np.zeros((4, 7, 4, 7), np.uint8), y=y),
        "long lines": _saved(x=np.zeros((4, 1, 20_000), np.uint8), y=y),
        "objects": zip_of(
            {"x.npy": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"\x80\x04."), "y.npy": b""}
        ),
        "members of no arrays": zip_of({"x.npy": b"text", "y.npy": b"text"}),
        "other members": zip_of({"x": b"text", "../y.npy": b"text"}),
        "in lzma": zip_of({"x.npy": npy("{}")}, zipfile.ZIP_LZMA),
        "damaged data": good.replace(bytes(64), bytes(63) + b"x", 1),
    }
    headers = {
        "4 GiB": "(4, 32768, 32768)",
        "more bytes than there are numbers": f"({10**17}, {10**17})",
        "a negative size": "(-4, 4, 4)",
        "a fraction": "(4.0, 4, 4)",
        "a long shape": "(" + "1," * 5000 + ")",
        "a product": "(2 ** 9 ** 9,)",
        "a call": "__import__('os').getpid()",
        "no shape": "None",
    }
    for name, shape in headers.items():
        for version in (b"\x01\x00", b"\x02\x00"):
            member = npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}", version=version)
            content[f"header of {name}, version {version[0]}"] = zip_of({"x.npy": member, "y.npy": member})
    plain = "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 4, 4), }"
    for name, header in {
        "an unknown type": plain.replace("|u1", "|q9"),
        "Fortran's order": plain.replace("False", "True"),
        "an open brace": plain[:-1],
        "further keys": plain.replace("}", "'x': 1}"),
        "many braces": "{" * 900,
        "nothing": "",
    }.items():
        content[f"header of {name}"] = zip_of({"x.npy": npy(header), "y.npy": npy(header)})
    content["header of an unknown version"] = zip_of({"x.npy": npy(plain, version=b"\x09\x00")})
    content["header longer than the file"] = zip_of({"x.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"})
    for name, data in content.items():
        yield name, Case(arguments, {"a.npz": data})
