"""Arrays in .npz files: all forms that images have, and files that lie."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netforge.data import ImageDatabase, NpzKeys, import_npz
from netforge.data.formats.npz import Npz, read_header
from netforge.errors import DataError, NetforgeError, UnknownNameError
from tests.data.helpers import fill_database

KEYS = NpzKeys("x", "y")
GREY = np.random.default_rng(3).integers(0, 256, (30, 6, 5), np.uint8)
LABELS = np.arange(30) // 3 - 2


def imported(tmp_path: Path, keys: NpzKeys = KEYS, *, options: dict | None = None, **arrays: np.ndarray):
    """The source that these arrays make."""
    path = tmp_path / "file.npz"
    np.savez_compressed(path, **arrays)
    with ImageDatabase() as database:
        import_npz(database, path, keys, name="a", replace=True, **(options or {}))
        return database.open("a")


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_become_a_source(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "file.npz"
    names = np.array([f"class {k}" for k in range(10)])
    save = np.savez_compressed if compressed else np.savez
    save(path, x=GREY, y=np.abs(LABELS).astype(np.int16), who=np.arange(30, dtype=np.uint64), names=names)
    with ImageDatabase() as database:
        done = import_npz(database, path, NpzKeys("x", "y", "who", "names"), name="a")
        source = database.open("a")
    assert (done.name, done.count, done.shape) == ("a", 30, (1, 6, 5))
    np.testing.assert_array_equal(source.images[:], GREY[:, None])
    assert source.labels.tolist() == np.abs(LABELS).tolist() and source.groups.tolist() == list(range(30))
    assert source.class_names == {k: f"class {k}" for k in range(8)}
    np.testing.assert_allclose(source.mean, GREY.mean(0)[None], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", ">u2", "float16", "float32", ">f8"])
def test_pixels_become_bytes(tmp_path: Path, dtype: str) -> None:
    kind = np.dtype(dtype).kind
    wanted = np.where(GREY > 99, 255, 0).astype(np.uint8) if kind == "b" else GREY
    given_pixels = {"b": wanted > 0, "f": wanted / 255}.get(kind, wanted).astype(dtype)
    np.testing.assert_array_equal(imported(tmp_path, x=given_pixels, y=LABELS).images[:], wanted[:, None])


def test_colours_stand_in_either_place(tmp_path: Path) -> None:
    colour = np.random.default_rng(4).integers(0, 256, (9, 3, 6, 5), np.uint8)
    last = np.ascontiguousarray(colour.transpose(0, 2, 3, 1))
    for pixels, layout in ((colour, None), (last, None), (colour, "NCHW"), (last, "NHWC")):
        source = imported(tmp_path, options={"layout": layout}, x=pixels, y=np.arange(9))
        np.testing.assert_array_equal(source.images[:], colour)
    for shape in ((9, 3, 6, 3), (9, 4, 6, 5)):
        with pytest.raises(DataError, match="not clear which axis") as caught:
            imported(tmp_path, x=np.zeros(shape, np.uint8), y=np.arange(9))
        assert "Say so with --layout" in str(caught.value)
    assert imported(tmp_path, options={"layout": "NHWC"}, x=np.zeros((9, 3, 6, 3)), y=np.arange(9)).shape == (3, 3, 6)


def test_images_of_other_labels_are_left_out_and_sizes_changed(tmp_path: Path) -> None:
    flat = np.broadcast_to(np.arange(30, dtype=np.uint8)[:, None, None], (30, 6, 5))
    options = {"only_labels": "-1, 2-3 ,7", "size": (3, 4)}
    source = imported(tmp_path, NpzKeys("x", "y", "g"), options=options, x=flat, y=LABELS, g=np.arange(30))
    chosen = np.flatnonzero(np.isin(LABELS, [-1, 2, 3, 7]))
    assert source.shape == (1, 3, 4) and source.labels.tolist() == LABELS[chosen].tolist()
    assert source.images[:][:, 0, 1, 2].tolist() == chosen.tolist() == source.groups.tolist()


def test_every_pixel_counts_when_an_image_shrinks(tmp_path: Path) -> None:
    thin = np.zeros((1, 40, 40), np.uint8)
    thin[0, 20, :] = 255
    small = imported(tmp_path, options={"size": (10, 10)}, x=thin, y=np.zeros(1, int)).images[0]
    assert small.sum() == pytest.approx(255 * 10 / 4, rel=0.1)


def test_a_large_array_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netforge.data.formats.npz.BLOCK_BYTES", 100)
    seen: list[int] = []
    source = imported(tmp_path, options={"progress": seen.append, "only_labels": "-2-4,7"}, x=GREY, y=LABELS)
    chosen = (LABELS <= 4) | (LABELS == 7)
    np.testing.assert_array_equal(source.images[:], GREY[chosen][:, None])
    assert sum(seen) == chosen.sum() and max(seen) == 3


def test_the_mean_of_the_training_images_goes_along(tmp_path: Path) -> None:
    fill_database("training")
    source = imported(tmp_path, options={"mean_of": "training"}, x=GREY[:, :5, [0, 1, 2, 3, 4, 4]], y=LABELS)
    with ImageDatabase() as database:
        np.testing.assert_array_equal(source.mean, database.open("training").mean)
    with pytest.raises(DataError, match=r"the mean image has shape \(1, 5, 6\), the images of \"a\" have"):
        imported(tmp_path, options={"mean_of": "training", "dry_run": True}, x=GREY, y=LABELS)


NAN = GREY / 255
NAN[7, 2, 2] = np.nan
REFUSED: dict[str, tuple[dict, str]] = {
    "no such array": ({"x": GREY, "z": LABELS}, "there is no array 'y' here"),
    "NaN": ({"x": NAN, "y": LABELS}, "image 7 has the value nan, expected 0 to 1 for float64"),
    "floats to 255": ({"x": GREY.astype(float), "y": LABELS}, "expected 0 to 1 for float64. Scale the pixels"),
    "infinity": ({"x": np.full((30, 2, 2), np.inf), "y": LABELS}, "has the value inf"),
    "negative": ({"x": GREY.astype(int) - 1, "y": LABELS}, "has the value -1, expected 0 to 255"),
    "wide integers": ({"x": GREY.astype(int) + 1, "y": LABELS}, "has the value 256"),
    "two axes": ({"x": GREY[0], "y": LABELS}, "these are no images"),
    "no images": ({"x": GREY[:0], "y": LABELS[:0]}, "these are no images"),
    "no pixels": ({"x": GREY[:, :0], "y": LABELS}, "these are no images"),
    "texts as images": ({"x": np.full((30, 2, 2), "a"), "y": LABELS}, "these are no images"),
    "complex": (
        {"x": GREY.astype(complex), "y": LABELS},
        "neither numbers nor texts. Save it as numbers",
    ),
    "objects": (
        {"x": np.array([GREY, None], object), "y": LABELS},
        "neither numbers nor texts. Save it as numbers",
    ),
    "records": ({"x": np.zeros(30, [("a", "u1")]), "y": LABELS}, "not one of numbers or texts"),
    "Fortran's order": (
        {"x": np.asfortranarray(GREY), "y": LABELS},
        "Fortran's order. Save numpy.ascontiguous",
    ),
    "too few labels": ({"x": GREY, "y": LABELS[1:]}, "expected a whole number for each of the 30 images"),
    "labels of two axes": ({"x": GREY, "y": LABELS[:, None]}, "expected a whole number"),
    "labels with fractions": ({"x": GREY, "y": LABELS / 2}, "expected a whole number"),
    "label out of range": ({"x": GREY, "y": LABELS + (1 << 40)}, "number 0 of the array is 1099511627774"),
    "huge sides": ({"x": np.zeros((1, 1, 20_000), np.uint8), "y": LABELS[:1]}, "sides above 16,384"),
}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("kind", REFUSED)
def test_arrays_that_are_refused(tmp_path: Path, netforge_home: Path, kind: str, dry_run: bool) -> None:
    arrays, message = REFUSED[kind]
    with pytest.raises(NetforgeError) as caught:
        imported(tmp_path, options={"dry_run": dry_run}, **arrays)
    assert message in str(caught.value) and str(tmp_path / "file.npz") in str(caught.value)
    with ImageDatabase() as database:
        assert database.sources() == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (np.array(["a", "b"]), "label 2 has no name among 2"),
        (np.array(["a", "b\nc", "d"]), r"'b\\nc' cannot name a class"),
        (np.array(["a", "", "d"]), "'' cannot name a class"),
        (np.array(["a", "x" * 300, "d"]), "cannot name a class"),
        (np.arange(3), "no texts"),
        (np.array([["a", "b", "c"]]), "no texts"),
        (np.frombuffer(b"\xff" * 12, "<U1"), "cannot name a class"),
    ],
)
def test_names_that_are_refused(tmp_path: Path, names: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        imported(tmp_path, NpzKeys("x", "y", names="n"), x=GREY[:3], y=np.arange(3), n=names)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive(path: Path, images: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("x.npy", images)
        file.writestr("y.npy", npy(LABELS))
    return path


def refused(path: Path) -> str:
    """The message with which a file is refused."""
    with ImageDatabase() as database:
        with pytest.raises(NetforgeError) as caught:
            import_npz(database, path, KEYS, name="a")
        assert database.sources() == []
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_files_that_lie_about_their_size(tmp_path: Path) -> None:
    good = npy(GREY)
    claim = good.replace(b"(30, 6, 5)", b"(30,60,55)")
    assert "the header asks for 99,000 bytes, the file holds 900" in refused(archive(tmp_path / "a", claim))
    assert "the file holds 900" in refused(archive(tmp_path / "b", good.replace(b"(30, 6, 5)", b"(30, 6, 4)")))
    whole = archive(tmp_path / "c", good).read_bytes()
    directory = whole.rindex(b"PK\x01\x02", 0, whole.rindex(b"PK\x01\x02"))  # the first entry: x.npy
    for offset, value in ((24, b"\xff\xff\xff\x7f"), (20, b"\xff\xff\xff\x7f")):
        lying = tmp_path / f"lying{offset}"
        lying.write_bytes(whole[: directory + offset] + value + whole[directory + offset + 4 :])
        assert "more than the file can hold" in refused(lying)


def test_damaged_files(tmp_path: Path) -> None:
    whole = archive(tmp_path / "good", npy(GREY), zipfile.ZIP_DEFLATED).read_bytes()
    for name, content in (("empty", b""), ("cut", whole[:-30]), ("text", b"no archive at all" * 9)):
        (tmp_path / name).write_bytes(content)
        assert "this is no .npz file, or it is damaged" in refused(tmp_path / name)
    (tmp_path / "one.npy").write_bytes(npy(GREY))
    assert "an .npy file, which holds a single array. Save images and labels" in refused(tmp_path / "one.npy")
    middle = whole.index(b"x.npy") + 400
    (tmp_path / "flipped").write_bytes(whole[:middle] + bytes([whole[middle] ^ 0x55]) + whole[middle + 1 :])
    assert "damaged" in refused(tmp_path / "flipped")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "a way that numpy does not write" in refused(archive(tmp_path / "odd", npy(GREY), method))
    flags = bytearray(whole)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        flags[flags.index(mark) + offset] |= 1  # encrypted
    (tmp_path / "encrypted").write_bytes(flags)
    assert "encrypted" in refused(tmp_path / "encrypted")


def test_the_dry_run_of_a_good_file_is_not_refused_and_a_damaged_one_is(tmp_path: Path, netforge_home: Path) -> None:
    path = archive(tmp_path / "good", npy(GREY))
    with ImageDatabase() as database:
        done = import_npz(database, path, KEYS, name="a", dry_run=True)
        assert (done.count, done.shape) == (30, (1, 6, 5))
        whole = path.read_bytes()
        place = whole.index(GREY.tobytes()[:50])
        path.write_bytes(whole[:place] + b"\x00\x01\x02" + whole[place + 3 :])
        with pytest.raises(DataError, match="Bad CRC"):
            import_npz(database, path, KEYS, name="a", dry_run=True)
    assert not list(netforge_home.iterdir())


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00\x20\x00\x00\x00"]))
def test_any_bytes_are_a_header_or_a_value_error(data: bytes, start: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        read_header(io.BytesIO(start + data))


@pytest.mark.parametrize(
    "text", ["{}", "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "(" * 3000, "{" * 20]
)
def test_headers_that_are_none_of_ours(text: str) -> None:
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    with pytest.raises((ValueError, DataError), match=r"header|neither"):
        read_header(io.BytesIO(data))


def test_arrays_are_listed_and_closest_names_given(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=GREY, label=LABELS)
    with Npz(tmp_path / "a.npz") as file:
        assert file.keys == ["images", "label"]
        np.testing.assert_array_equal(file.whole("label"), LABELS)
        with pytest.raises(UnknownNameError, match=r"there is no array 'labels' here\. Did you mean \"label\""):
            file.header("labels")


def test_real_sets(image_data: Path) -> None:
    omniglot = image_data / "omniglot" / "omniglot_background_small.npz"
    keys = NpzKeys("images28", "label", "drawer", "char_names")
    with ImageDatabase() as database:
        import_npz(database, omniglot, keys, name="omniglot", only_labels="183-241")
        source = database.open("omniglot")
        assert (source.count, source.shape, len(np.unique(source.labels))) == (1180, (1, 28, 28), 59)
        assert source.class_name(183) == "Sanskrit/character01" and np.unique(source.groups).tolist() == [*range(1, 21)]
        faces = image_data / "orl_faces" / "orl_faces_112x92.npz"
        done = import_npz(database, faces, KEYS, name="faces", only_labels="1-30", size=(56, 46))
    assert (done.count, done.shape) == (300, (1, 56, 46))
