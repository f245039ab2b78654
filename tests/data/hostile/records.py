"""CIFAR, LMDB and VOC: damaged records and annotations."""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Iterator

import numpy as np

from netforge.schema import messages
from tests.data.hostile.case import Case, Content, damages, zipped_damages
from tests.data.hostile.packing import tar_of
from tests.data.hostile.pictures import bad_pictures, picture


def cifar_cases() -> Iterator[tuple[str, Case]]:
    rows = np.zeros((5, 3073), np.uint8)
    good = rows.tobytes()
    files: dict[str, Content] = {"data_batch_1.bin": good, "test_batch.bin": good}
    wrong = rows.copy()
    wrong[3, 0] = 10
    contents = damages(good) | {"a label out of range": wrong.tobytes(), "records of CIFAR-100": bytes(3074 * 5)}
    for name, data in contents.items():
        yield name, Case(("cifar10", "{}"), {"data_batch_1.bin": data})
    for name, data in zipped_damages(good).items():
        yield name, Case(("cifar10", "{}"), {"data_batch_1.bin.gz": data})
    for name, data in {"few": b"a\nb\n", "of control characters": b"\x1b\n" * 10, "endless": bytes(1 << 17)}.items():
        yield f"names, {name}", Case(("cifar10", "{}"), files | {"batches.meta.txt": data})
    yield "pickled", Case(("cifar10", "{}"), {"data_batch_1": b"\x80\x04cos\nsystem\n(S'false'\ntR."})
    yield (
        "an archive with a link",
        Case(
            ("cifar10", "{}/a.tar"),
            {"a.tar": tar_of({"data_batch_1.bin": b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd")},
        ),
    )
    yield "an archive that leads out", Case(("cifar10", "{}/a.tar"), {"a.tar": tar_of({"../data_batch_1.bin": good})})
    rows = np.zeros((5, 3074), np.uint8)
    for place, label in ((0, 20), (1, 100)):
        wrong = rows.copy()
        wrong[2, place] = label
        yield f"CIFAR-100, label {place} out of range", Case(("cifar100", "{}"), {"train.bin": wrong.tobytes()})


def datum(**fields: object) -> bytes:
    """A serialized Datum."""
    return bytes(messages.Datum(**fields).SerializeToString())


def lmdb_cases() -> Iterator[tuple[str, Case]]:
    arguments = ("lmdb", "{}/db", "--name", "a")
    good = datum(channels=1, height=2, width=2, data=b"1234")
    floats = [float("nan"), 0.0, float("inf"), 0.0]
    records = {
        "no Datum": b"\xff" * 20,
        "an empty one": b"",
        "too few values": datum(channels=1, height=2, width=2, data=b"123"),
        "4 GiB": datum(channels=1, height=1 << 16, width=1 << 16, data=b"1"),
        "the largest sizes": datum(channels=2**31 - 1, height=2**31 - 1, width=2**31 - 1, data=b"1"),
        "negative sizes": datum(channels=-1, height=-2, width=2, data=b"1234"),
        "no values": datum(channels=1, height=2, width=2),
        "floats among bytes": datum(channels=1, height=2, width=2, float_data=[1.0, 2.0, 3.0, 4.0]),
        "floats that are not finite": datum(channels=1, height=2, width=2, float_data=floats),
        "a large label": datum(channels=1, height=2, width=2, data=b"1234", label=2**31 - 1),
        "another shape": datum(channels=1, height=4, width=1, data=b"1234"),
    }
    records |= {f"a picture, {name}": datum(encoded=True, data=data) for name, data in bad_pictures().items()}
    for name, record in records.items():
        yield f"record of {name}", Case(arguments, {"db": {b"0": good, b"1": record}})
    yield "a key of control characters", Case(arguments, {"db": {b"0": good, b"1\n\x1b[2J\xff": b"\xff"}})
    yield "no records", Case(arguments, {"db": {}})
    for name, data in damages(b"\0" * 16 + struct.pack("<II", 0xBEEFC0DE, 1) + bytes(9999)).items():
        yield f"a data file of {name}", Case(arguments, {"db/data.mdb": data})
    for name, data in damages(b"\x0a\x02ab").items():
        yield f"a mean file of {name}", Case((*arguments, "--mean-file", "{}/mean"), {"db": {b"0": good}, "mean": data})
    yield "a LevelDB", Case(arguments, {"db/CURRENT": b"MANIFEST-000001\n"})


ANNOTATION = (
    "<annotation><size><width>9</width><height>7</height></size><object><name>cat</name><bndbox><xmin>1</xmin>"
    "<ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></object></annotation>"
)


def voc_cases() -> Iterator[tuple[str, Case]]:
    entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    annotations = {
        "entities that explode": f'<!DOCTYPE x [<!ENTITY a "aaaaaaaa">{entities}]><annotation>&i;</annotation>',
        "a file from elsewhere": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>',
        "deep elements": "<a>" * 9999,
        "text": "what is it",
        "nothing": "",
        "no size": "<annotation></annotation>",
        "a size of nan": ANNOTATION.replace("<width>9", "<width>nan"),
        "a size of no pixels": ANNOTATION.replace("<width>9", "<width>0"),
        "a negative corner": ANNOTATION.replace("<xmin>1", "<xmin>-99"),
        "a corner of inf": ANNOTATION.replace("<xmax>4", "<xmax>inf"),
        "corners in the wrong order": ANNOTATION.replace("<xmin>1", "<xmin>8"),
        "an unknown class": ANNOTATION.replace("cat", "unicorn"),
        "a long class": ANNOTATION.replace("cat", "cat" * 9999),
    }
    good: dict[str, Content] = {
        "VOC2012/JPEGImages/1.jpg": picture("JPEG"),
        "VOC2012/Annotations/1.xml": ANNOTATION.encode(),
        "VOC2012/ImageSets/Main/trainval.txt": b"1\n",
    }
    arguments = ("voc0712", "{}/VOC2012", "--year", "2012")
    for name, text in annotations.items():
        yield name, Case(arguments, good | {"VOC2012/Annotations/1.xml": text.encode()})
    for name, line in {
        "that leads out": b"../../../etc/passwd\n",
        "of an escape": b"\x1b[2J\n",
        "of nothing": b"\n",
    }.items():
        yield f"an image {name}", Case(arguments, good | {"VOC2012/ImageSets/Main/trainval.txt": line})
    for name, data in damages(picture("JPEG")).items():
        yield f"a picture of {name}", Case(arguments, good | {"VOC2012/JPEGImages/1.jpg": data})
