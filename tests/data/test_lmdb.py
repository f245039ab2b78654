"""LMDB sources: every kind of Datum, damaged records named by their key; and how sources are found."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netforge.data import open_source
from netforge.data.formats import picture
from netforge.data.formats.datum import decode_datum, decode_image
from netforge.data.sources import lmdb as lmdb_source
from netforge.errors import DataError, NetforgeError, SchemaError, UnknownNameError
from netforge.schema import messages
from tests.data.helpers import array_source, datum, fill_database, write_lmdb

RAW = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def encoded(pixels: np.ndarray, form: str = "PNG", label: int = 0, mode: str | None = None) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, form)
    return bytes(messages.Datum(data=file.getvalue(), encoded=True, label=label).SerializeToString())


def test_records_come_in_the_order_of_their_keys(tmp_path: Path) -> None:
    records = {f"{i:03}".encode(): datum(RAW + np.uint8(i), label=i % 3 - 1) for i in reversed(range(12))}
    source = open_source("LMDB", str(write_lmdb(tmp_path, records)))
    assert (source.shape, source.count, source.color_order, source.shuffled) == ((2, 3, 4), 12, "BGR", False)
    assert source.labels.tolist() == [i % 3 - 1 for i in range(12)]
    pixels, labels = source.read(np.array([11, 0, 5]))
    np.testing.assert_array_equal(pixels, [RAW + 11, RAW, RAW + 5])
    assert pixels.dtype == np.uint8 and labels.tolist() == [1, -1, 1]
    assert source.mean is None


def test_floats_among_bytes_make_the_batch_floats(tmp_path: Path) -> None:
    floats = RAW.astype(np.float32) / 8 - 1
    source = open_source("LMDB", str(write_lmdb(tmp_path, {b"a": datum(RAW), b"b": datum(floats), b"c": datum(RAW)})))
    pixels, _ = source.read(np.arange(3))
    np.testing.assert_array_equal(pixels, [RAW, floats, RAW])
    assert pixels.dtype == np.float32


def test_labels_of_a_large_database_are_cheap_once_they_were_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source("LMDB", str(write_lmdb(tmp_path, {b"a": datum(RAW, 3), b"b": datum(RAW, 1)})))
    assert source.labels_are_cheap
    monkeypatch.setattr(lmdb_source, "CHEAP_PASS_BYTES", 2 * RAW.size - 1)
    assert not source.labels_are_cheap
    assert source.labels.tolist() == [3, 1] and source.labels_are_cheap


def test_two_sources_of_one_process_share_an_environment(tmp_path: Path) -> None:
    folder = str(write_lmdb(tmp_path, {b"a": datum(RAW, 3)}))
    first, second = open_source("LMDB", folder), open_source("LMDB", folder)
    del first
    assert second.read(np.array([0]))[1].tolist() == [3]
    assert open_source("LMDB", str(tmp_path / "data.mdb")).count == 1


def test_encoded_images_are_bgr() -> None:
    colour = np.zeros((2, 3, 3), np.uint8)
    colour[..., 0], colour[..., 1], colour[..., 2] = 10, 20, 30
    pixels, label = decode_datum(encoded(colour, label=4), "here")
    assert pixels.shape == (3, 2, 3) and pixels[:, 0, 0].tolist() == [30, 20, 10] and label == 4
    grey, _ = decode_datum(encoded(colour[..., 0]), "here")
    assert grey.shape == (1, 2, 3) and grey[0, 0, 0] == 10
    palette = Image.fromarray(colour).convert("P")
    file = io.BytesIO()
    palette.save(file, "PNG")
    assert decode_image(file.getvalue(), "here").shape == (3, 2, 3)
    jpeg, _ = decode_datum(encoded(np.full((8, 8, 3), (200, 100, 50), np.uint8), "JPEG"), "here")
    assert np.abs(jpeg[:, 4, 4].astype(int) - [50, 100, 200]).max() < 4


def test_encoded_images_are_decoded_by_several_threads_at_once_and_come_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(2).integers(0, 256, (6, 4, 5, 3), np.uint8)
    records = {str(i).encode(): encoded(image, label=i) for i, image in enumerate(images)}
    source = lmdb_source.LmdbSource(write_lmdb(tmp_path / "db", records))
    two_at_work = threading.Barrier(2, timeout=20)

    def decode(record: bytes, where: str) -> tuple[np.ndarray, int]:
        two_at_work.wait()
        return decode_datum(record, where)

    monkeypatch.setattr("netforge.data.sources.lmdb.THREADS", 2)
    monkeypatch.setattr("netforge.data.sources.lmdb.DECODED_AT_A_TIME", 4)
    monkeypatch.setattr("netforge.data.sources.lmdb.decode_datum", decode)
    order = np.array([5, 0, 3, 3, 1, 2])
    pixels, labels = source.read(order)
    np.testing.assert_array_equal(pixels, images[order][..., ::-1].transpose(0, 3, 1, 2))
    assert labels.tolist() == order.tolist()


PNG = encoded(np.zeros((9, 9, 3), np.uint8))
BAD_RECORDS = {
    "no protobuf": (b"\xff\xff\xff", "the record is no Datum"),
    "empty": (b"", "each size must be at least 1"),
    "too few bytes": (
        bytes(messages.Datum(channels=1, height=2, width=2, data=b"abc").SerializeToString()),
        "3 values",
    ),
    "too many": (bytes(messages.Datum(channels=1, height=1, width=1, data=b"ab").SerializeToString()), "2 values"),
    "huge claim": (bytes(messages.Datum(channels=1 << 30, height=1 << 30, width=9).SerializeToString()), "0 values"),
    "negative": (
        bytes(messages.Datum(channels=-1, height=-2, width=2, data=b"abcd").SerializeToString()),
        "at least 1",
    ),
    "no image": (bytes(messages.Datum(data=b"nonsense", encoded=True).SerializeToString()), "it is none of BMP"),
    "cut image": (bytes(messages.Datum(data=PNG[10:60], encoded=True).SerializeToString()), "picture cannot be read"),
    "another shape": (datum(RAW[:, :2]), r"the image has shape \(2, 2, 4\), the first one of the database \(2, 3, 4\)"),
}


@pytest.mark.parametrize("kind", BAD_RECORDS)
def test_a_bad_record_is_named_by_its_key(tmp_path: Path, kind: str) -> None:
    record, message = BAD_RECORDS[kind]
    source = open_source("LMDB", str(write_lmdb(tmp_path, {b"000_good": datum(RAW), b"001_bad": record})))
    assert source.read(np.array([0]))[0].shape == (1, 2, 3, 4)
    with pytest.raises(DataError, match=message) as caught:
        source.read(np.array([0, 1]))
    assert str(caught.value).startswith(f"{tmp_path}, record '001_bad': ")


def test_images_of_sixteen_bits_and_of_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"more than 8 bits a channel\. Save it"):
        decode_datum(encoded(np.zeros((2, 2), np.uint16)), "here")
    monkeypatch.setattr(picture, "MOST_PIXELS", 80)
    with pytest.raises(DataError, match="it has 9 x 9 pixels"):
        decode_datum(PNG, "here")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match="more than 80 pixels"):
        decode_datum(PNG, "here")


def test_databases_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "data.mdb").write_text("no database " * 1000)
    write_lmdb(tmp_path / "hollow", {})
    for name, message in (
        ("empty", "there is no LMDB here"),
        ("text", "the LMDB cannot be read"),
        ("hollow", "the LMDB holds no records"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            open_source("LMDB", str(tmp_path / name))
        assert name in str(caught.value)
    with pytest.raises(NetforgeError, match="nowhere"):
        open_source("LMDB", "nowhere")


def test_a_database_that_is_cut_short_is_refused_rather_than_read(tmp_path: Path) -> None:
    folder = tmp_path / "short"
    write_lmdb(folder, {f"{i:05}".encode(): datum(RAW, label=i % 3) for i in range(500)})
    assert open_source("LMDB", str(folder)).count == 500
    file = folder / "data.mdb"
    os.truncate(file, file.stat().st_size - 4096)
    copy = folder.rename(tmp_path / "copy")
    with pytest.raises(DataError, match="copy: the LMDB is cut short"):
        open_source("LMDB", str(copy))


def test_relative_paths_are_also_sought_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lmdb(tmp_path / "net" / "db", {b"a": datum(RAW)})
    monkeypatch.chdir(tmp_path)
    assert open_source("LMDB", "net/db").count == 1
    assert open_source(None, "db", folder=tmp_path / "net").count == 1


def test_the_backend_is_found_out_where_none_is_given(tmp_path: Path) -> None:
    fill_database("tiny.training")
    write_lmdb(tmp_path / "lmdb", {b"a": datum(RAW)})
    (tmp_path / "leveldb").mkdir()
    (tmp_path / "leveldb" / "CURRENT").write_text("MANIFEST-000001\n")
    (tmp_path / "neither").mkdir()
    assert open_source(None, "tiny.training").count == 40
    assert open_source("LMDB", "tiny.training").count == 40, "MyCaffe writes LMDB for its image database"
    assert open_source(None, str(tmp_path / "lmdb")).shape == (2, 3, 4)
    for backend, name, message in (
        (None, "leveldb", "LevelDB databases cannot be read. Make an LMDB"),
        ("LEVELDB", "leveldb", "LevelDB databases cannot be read"),
        ("LEVELDB", "lmdb", "this is an LMDB, not a LevelDB. Write backend: LMDB"),
        ("LMDB", "leveldb", "LevelDB databases cannot be read"),
        (None, "neither", "this is no LMDB, LevelDB or name"),
    ):
        with pytest.raises(DataError) as caught:
            open_source(backend, str(tmp_path / name))
        assert message in str(caught.value)
    with pytest.raises(DataError, match="is a source of the image database") as caught:
        open_source("LEVELDB", "tiny.training")
    assert "backend: IMAGEDB" in str(caught.value)
    with pytest.raises(UnknownNameError):
        open_source(None, "nothing")
    with pytest.raises(UnknownNameError, match='unknown backend "LMBD"'):
        open_source("LMBD", "nothing")


def test_headers_tell_the_shape_only(tmp_path: Path) -> None:
    fill_database("tiny.training", array_source(shape=(3, 4, 5)))
    header = open_source("IMAGEDB", "tiny.training", header_only=True)
    assert (header.shape, header.count, header.class_names) == ((3, 4, 5), 40, {0: "zero", 1: "one"})
    with pytest.raises(DataError, match="only the header"):
        header.read(np.array([0]))


def test_mean_files(tmp_path: Path) -> None:
    from netforge.data.formats.mean import read_mean

    path = tmp_path / "mean.binaryproto"
    values = list(range(24))
    path.write_bytes(messages.BlobProto(num=1, channels=2, height=3, width=4, data=values).SerializeToString())
    np.testing.assert_array_equal(read_mean(path), RAW)
    path.write_bytes(
        messages.BlobProto(shape=messages.BlobShape(dim=[2, 3, 4]), double_data=values).SerializeToString()
    )
    np.testing.assert_array_equal(read_mean(path), RAW)
    path.write_bytes(messages.BlobProto(num=1, channels=2, height=3, width=5, data=values).SerializeToString())
    with pytest.raises(DataError, match="24 values of shape"):
        read_mean(path)
    path.write_bytes(b"\xff\xff")
    with pytest.raises(SchemaError, match="mean"):
        read_mean(path)
    path.write_bytes(messages.BlobProto(num=1, channels=-2, height=-3, width=4, data=values).SerializeToString())
    with pytest.raises(DataError, match="24 values of shape"):
        read_mean(path)
    path.write_bytes(messages.BlobProto(num=1, channels=1, height=1, width=1, data=[float("nan")]).SerializeToString())
    with pytest.raises(DataError, match="not finite"):
        read_mean(path)
    with pytest.raises(DataError, match="this is a folder"):
        read_mean(tmp_path)
