"""LMDBs made into sources: every kind of record, in both orders of colours, and records that are damaged."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netforge.data import ImageDatabase, LmdbForm, LmdbImport, import_lmdb
from netforge.data.source import ArraySource
from netforge.errors import DataError
from netforge.schema import messages
from tests.data.helpers import datum, fill_database, write_lmdb

COLOUR = np.random.default_rng(2).integers(0, 256, (30, 3, 6, 5), np.uint8)


def encoded(image: np.ndarray, label: int = 0) -> bytes:
    """A record of an image (C, H, W), in the order B, G, R, as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else image[::-1].transpose(1, 2, 0)).save(file, "PNG")
    return bytes(messages.Datum(data=file.getvalue(), encoded=True, label=label).SerializeToString())


def imported(path: Path, records: dict[bytes, bytes], **options: object) -> tuple[ArraySource, LmdbImport]:
    """The source that these records make."""
    with ImageDatabase() as database:
        done = import_lmdb(database, write_lmdb(path / "db", records), name="a", replace=True, **options)
        return database.open("a"), done


def test_records_become_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netforge.data.importers.lmdb.TASK_RECORDS", 2)
    monkeypatch.setattr("netforge.data.importers.lmdb.BLOCK_BYTES", 500)
    records = {f"{i:03}".encode(): datum(COLOUR[i], i % 4 - 1) for i in range(0, 30, 2)}
    records |= {f"{i:03}".encode(): encoded(COLOUR[i], i % 4 - 1) for i in range(1, 30, 2)}
    seen: list[int] = []
    source, done = imported(tmp_path, records, progress=seen.append)
    np.testing.assert_array_equal(source.images[:], COLOUR)
    assert source.labels.tolist() == [i % 4 - 1 for i in range(30)] and source.color_order == "BGR"
    assert source.class_names == {-1: "-1", 0: "0", 1: "1", 2: "2"}
    assert sum(seen) == 30 and len(seen) > 2 and done.unreadable == []
    np.testing.assert_allclose(source.mean, COLOUR.mean(0), rtol=1e-6)
    with ImageDatabase() as database:
        assert database.origins("a") == [f"{i:03}" for i in range(30)]
        import_lmdb(database, tmp_path / "db" / "data.mdb", name="b")
        assert database.origins("b")[29] == "029"


def test_records_in_the_order_rgb(tmp_path: Path) -> None:
    records = {b"0": datum(COLOUR[0, ::-1]), b"1": encoded(COLOUR[1])}
    source, _ = imported(tmp_path, records, form=LmdbForm("RGB"))
    assert source.color_order == "RGB"
    np.testing.assert_array_equal(source.images[:], COLOUR[:2, ::-1])


def test_grey_among_colour_and_other_sizes(tmp_path: Path) -> None:
    grey = COLOUR[0, :1]
    records = {b"0": encoded(grey), b"1": encoded(COLOUR[1]), b"2": datum(np.full((3, 9, 9), 7, np.uint8))}
    source, _ = imported(tmp_path, records, form=LmdbForm(channels=3, size=(6, 5)))
    np.testing.assert_array_equal(source.images[:2], [grey.repeat(3, 0), COLOUR[1]])
    assert (source.images[2] == 7).all()
    source, _ = imported(tmp_path, records, form=LmdbForm(channels=1, size=(6, 5)))
    wanted = np.rint(np.tensordot([0.114, 0.587, 0.299], COLOUR[1], 1))
    np.testing.assert_allclose(source.images[1][0], wanted, atol=1)
    with pytest.raises(DataError, match=r"record '1': the image has shape \(3, 6, 5\), those before it \(1, 6, 5\)"):
        imported(tmp_path, records)


def test_floats_stay_floats(tmp_path: Path) -> None:
    floats = COLOUR[:2].astype(np.float32) / 8 - 1
    source, _ = imported(tmp_path, {b"0": datum(floats[0]), b"1": datum(floats[1])})
    np.testing.assert_array_equal(source.images[:], floats)
    for second, message in ((COLOUR[1], "values of type uint8"), (np.full_like(floats[0], np.nan), "not finite")):
        with pytest.raises(DataError, match=f"record '1': .*{message}"):
            imported(tmp_path, {b"0": datum(floats[0]), b"1": datum(second)})
    with pytest.raises(DataError, match=r"floats keeps its size\. Leave --size out"):
        imported(tmp_path, {b"0": datum(floats[0])}, form=LmdbForm(size=(2, 2)))


def test_keys_of_any_bytes_are_origins(tmp_path: Path) -> None:
    records = {key: datum(COLOUR[0]) for key in (b"\n\x1b[2J", b"\xff\0", "küche".encode())}
    imported(tmp_path, records)
    with ImageDatabase() as database:
        assert database.origins("a") == [r"\n\x1b[2J", "küche", r"\\xff\x00"]


def test_the_mean_comes_from_a_file_or_a_source(tmp_path: Path) -> None:
    records = {b"0": datum(COLOUR[0])}
    mean = tmp_path / "mean.binaryproto"
    values = np.arange(90, dtype=np.float32)
    mean.write_bytes(messages.BlobProto(num=1, channels=3, height=6, width=5, data=values).SerializeToString())
    source, _ = imported(tmp_path, records, mean=mean)
    np.testing.assert_array_equal(source.mean.ravel(), values)
    with ImageDatabase() as database:
        import_lmdb(database, tmp_path / "db", name="b", mean_of="a")
        np.testing.assert_array_equal(database.open("b").mean.ravel(), values)
        with pytest.raises(DataError, match="a mean file and a source"):
            import_lmdb(database, tmp_path / "db", name="c", mean_of="a", mean=mean)
        fill_database("grey")
        with pytest.raises(DataError, match="the mean image has shape"):
            import_lmdb(database, tmp_path / "db", name="c", mean_of="grey")


DAMAGED = {
    "no Datum": (b"\xff\xff\xff", "the record is no Datum"),
    "sizes": (messages.Datum(channels=3, height=99, width=99, data=b"x").SerializeToString(), "asks for 29403"),
    "4 GiB": (messages.Datum(channels=1, height=1 << 16, width=1 << 16, data=b"x").SerializeToString(), "has 1 value"),
    "negative": (messages.Datum(channels=-3, height=-1, width=1, data=b"xyz").SerializeToString(), "at least 1"),
    "picture": (messages.Datum(encoded=True, data=b"\x89PNG").SerializeToString(), "the picture cannot be read"),
    "label": (datum(COLOUR[0], (1 << 24) + 1), "the label is 16777217"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_records_are_named_and_left_out_only_when_asked(tmp_path: Path, kind: str) -> None:
    value, message = DAMAGED[kind]
    records = {b"good": datum(COLOUR[0]), b"bad": bytes(value)}
    with pytest.raises(DataError, match=f"record 'bad': .*{message}"):
        imported(tmp_path, records)
    with ImageDatabase() as database:
        assert database.sources() == []
    source, done = imported(tmp_path, records, skip_unreadable=True)
    assert source.count == 1 and [str(error.where) for error in done.unreadable] == [f"{tmp_path}/db, record 'bad'"]
    with pytest.raises(DataError, match="no record is left"):
        imported(tmp_path / "other", {b"bad": bytes(value)}, skip_unreadable=True)


def test_what_is_no_lmdb(tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "data.mdb").write_bytes(b"x" * 9999)
    with ImageDatabase() as database:
        for path, message in (
            (tmp_path, "there is no LMDB here"),
            (tmp_path / "none", "there is no LMDB here"),
            (tmp_path / "damaged", "the LMDB is damaged"),
            (write_lmdb(tmp_path / "empty", {}), "no record is left"),
        ):
            with pytest.raises(DataError, match=message):
                import_lmdb(database, path, name="a")
        assert database.sources() == []
