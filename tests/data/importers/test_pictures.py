"""Folders and archives of pictures: forms of pictures, splits, and pictures that cannot be read."""

from __future__ import annotations

import contextlib
import os
import struct
import tarfile
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from netforge.data import ImageDatabase, PictureForm, import_images, open_source
from netforge.data.formats import decoding
from netforge.data.formats.archive import open_files
from netforge.data.formats.fitting import place
from netforge.data.formats.picture import read_picture
from netforge.errors import DataError, SettingsError

GREY = PictureForm(channels=1)
COLOUR = PictureForm(channels=3)


def write_folder(folder: Path, counts: dict[str, int], size: tuple[int, int] = (7, 5)) -> Path:
    """Grey PNG files, each of one value: 10 for the first of all, 11 for the next ..."""
    value = 10
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("L", size, value).save(folder / name / f"{i:03}.png")
            value += 1
    return folder


def imported(folder: Path, **options: object):
    with ImageDatabase() as database:
        return import_images(database, folder, **({"name": "a", "form": GREY} | options))


def test_sub_folders_in_the_order_of_their_names_are_the_classes(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"a cat": 3, "b": 20, "dög": 2})
    (folder / "b" / "deeper").mkdir()
    Image.new("L", (7, 5), 99).save(folder / "b" / "deeper" / "x.PNG")
    for hidden in (".git", "b/.cache"):
        (folder / hidden).mkdir()
        Image.new("L", (7, 5), 0).save(folder / hidden / "hidden.png")
    (folder / "b" / "notes.txt").write_text("no picture")
    (done,) = imported(folder).sources
    source = open_source("IMAGEDB", "a")
    assert (done.count, done.shape) == (26, (1, 5, 7))
    assert source.class_names == {0: "a cat", 1: "b", 2: "dög"}
    assert source.labels.tolist() == [0] * 3 + [1] * 21 + [2] * 2
    assert source.images[:][:, 0, 0, 0].tolist() == [10, 11, 12, *range(13, 33), 99, 33, 34]


def test_a_share_of_each_class_is_for_testing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"a": 10, "b": 20, "c": 4})
    training, testing = imported(folder, testing=0.2, seed=3).sources
    assert (training.name, testing.name) == ("a.training", "a.testing")
    assert np.bincount(testing.labels).tolist() == [2, 4, 1] and np.bincount(training.labels).tolist() == [8, 16, 3]
    values = [open_source("IMAGEDB", part.name).images[:][:, 0, 0, 0].tolist() for part in (training, testing)]
    assert sorted(values[0] + values[1]) == list(range(10, 44))
    means = [open_source("IMAGEDB", part.name).mean for part in (training, testing)]
    np.testing.assert_array_equal(*means)
    imported(folder, testing=0.2, seed=3, replace=True)
    assert open_source("IMAGEDB", "a.testing").images[:][:, 0, 0, 0].tolist() == values[1]
    imported(folder, testing=0.2, seed=4, replace=True)
    assert open_source("IMAGEDB", "a.testing").images[:][:, 0, 0, 0].tolist() != values[1]
    with pytest.raises(DataError, match=r'no image is left for source "a\.testing"'):
        imported(folder, testing=0.01)
    for share in (-0.5, 1.0, float("nan")):
        with pytest.raises(SettingsError, match=f"testing is {share}"):
            imported(folder, testing=share, replace=True)


@pytest.mark.parametrize(
    ("fit", "rows"),
    [
        ("stretch", [[100, 100, 200, 200]] * 4),
        ("crop", [[100, 100, 200, 200]] * 4),
        ("pad", [[0] * 4, [100, 100, 200, 200], [100, 100, 200, 200], [0] * 4]),
    ],
)
def test_pictures_of_another_shape(tmp_path: Path, fit: str, rows: list) -> None:
    wide = np.repeat([[100] * 20 + [200] * 20], 20, axis=0).astype(np.uint8)
    if fit == "crop":
        wide[:, :5] = wide[:, 35:] = 7
    Image.fromarray(wide).save(tmp_path / "x.png")
    form = PictureForm(1, (4, 4), fit)
    assert read_picture(tmp_path / "x.png", form)[0, :, [0, 3]].T.tolist() == [[r[0], r[3]] for r in rows]


def test_pictures_of_every_kind(tmp_path: Path) -> None:
    red = Image.new("RGB", (6, 4), (200, 0, 0))
    for suffix in ("png", "bmp", "ppm", "tiff", "webp", "gif", "jpg"):
        red.save(tmp_path / f"x.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
        pixels = read_picture(tmp_path / f"x.{suffix}", COLOUR)
        assert pixels.shape == (3, 4, 6) and pixels.dtype == np.uint8
        np.testing.assert_allclose(pixels[:, 1, 1].astype(int), [200, 0, 0], atol=3 if suffix == "jpg" else 0)
    for mode, colour, wanted in (
        ("1", 1, [255] * 3),
        ("L", 77, [77] * 3),
        ("LA", (0, 0), [255] * 3),
        ("RGBA", (255, 0, 0, 51), [255, 204, 204]),
        ("P", 0, [0, 0, 0]),
        ("CMYK", (0, 255, 255, 0), [255, 0, 0]),
    ):
        suffix = "tiff" if mode == "CMYK" else "png"
        Image.new(mode, (6, 4), colour).save(tmp_path / f"{mode}.{suffix}")
        np.testing.assert_allclose(read_picture(tmp_path / f"{mode}.{suffix}", COLOUR)[:, 0, 0], wanted, atol=1)
    assert read_picture(tmp_path / "x.png", GREY).shape == (1, 4, 6)


def test_pictures_stand_upright(tmp_path: Path) -> None:
    lying = Image.new("L", (6, 4))
    lying.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned to the right by a quarter
    lying.save(tmp_path / "x.png", exif=exif)
    pixels = read_picture(tmp_path / "x.png", GREY)
    assert pixels.shape == (1, 6, 4) and pixels[0, 0, 3] == 255


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("training", "testing"), {"training": [0, 1, 2], "testing": [1]}),
        (("Train", "TEST"), {"training": [0, 1, 2], "testing": [1]}),
        (("train", "val"), {"training": [0, 1, 2], "testing": [1]}),
        (("train", "test", "val"), {"training": [0, 1, 2], "testing": [1], "validation": [2]}),
        (("training",), {"training": [0, 1]}),
    ],
)
def test_folders_for_training_and_testing(tmp_path: Path, folders: tuple[str, ...], parts: dict[str, list]) -> None:
    first, *others = folders
    write_folder(tmp_path / first, {"ant": 1, "bee": 1} if not others else {"ant": 1, "bee": 1, "cat": 1})
    for folder, name in zip(others, ("bee", "cat"), strict=False):
        write_folder(tmp_path / folder, {name: 1})
    (tmp_path / "readme.txt").write_text("not a class")
    (tmp_path / first / "list.txt").write_text("not a class either")
    done = imported(tmp_path).sources
    assert {part.name: part.labels.tolist() for part in done} == {f"a.{part}": rows for part, rows in parts.items()}
    names = {label: ["ant", "bee", "cat"][label] for label in range(2 if not others else 3)}
    assert all(open_source("IMAGEDB", part.name).class_names == names for part in done)
    with pytest.raises(DataError, match="there are folders for training and testing already"):
        imported(tmp_path, testing=0.5)


def test_folders_called_like_parts_may_be_classes(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train": 1, "test": 2})
    (done,) = imported(tmp_path).sources
    assert (done.name, done.labels.tolist()) == ("a", [0, 0, 1])
    assert open_source("IMAGEDB", "a").class_names == {0: "test", 1: "train"}


def test_two_folders_for_one_part(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", {"a": 1})
    write_folder(tmp_path / "training", {"a": 1})
    with pytest.raises(DataError, match='the folders "train" and "training" are both for training'):
        imported(tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("around", ["", "pets/", "a/"])
def test_archives_of_folders(tmp_path: Path, kind: str, around: str) -> None:
    folder = write_folder(tmp_path / "in", {"b": 2, "a": 3})
    names = sorted((path.relative_to(folder).as_posix() for path in folder.rglob("*.png")), reverse=True)
    archive = tmp_path / f"x.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in names:
                packed.write(folder / name, around + name)
    else:
        with tarfile.open(archive, "w:gz" if kind == "tar.gz" else "w") as tar:
            for name in names:
                tar.add(folder / name, around + name)
    imported(folder, name="plain")
    imported(archive)
    plain, packed_source = open_source("IMAGEDB", "plain"), open_source("IMAGEDB", "a")
    np.testing.assert_array_equal(plain.images[:], packed_source.images[:])
    assert packed_source.class_names == {0: "a", 1: "b"} and packed_source.labels.tolist() == [0, 0, 0, 1, 1]


def test_a_folder_that_was_packed_with_a_way_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("a/1.png", b"")
        packed.writestr("../a/2.png", b"")
    with pytest.raises(DataError, match="leads out of it"):
        imported(tmp_path / "x.zip")


def test_every_image_knows_its_file(tmp_path: Path) -> None:
    write_folder(tmp_path, {"b": 2, "a": 1})
    imported(tmp_path)
    with ImageDatabase() as database:
        assert database.origins("a") == ["a/000.png", "b/000.png", "b/001.png"]


def test_many_pictures_come_in_order_and_few_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path, {"a": 200})
    monkeypatch.setattr(decoding, "TASK_BYTES", 4 * 35)
    alive, most, lock = 0, 0, threading.Lock()
    decode = decoding.decode_picture

    def counted_decode(*arguments: object, **options: object) -> object:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return decode(*arguments, **options)

    monkeypatch.setattr(decoding, "decode_picture", counted_decode)
    with open_files(tmp_path) as files:
        found = []
        for picture in decoding.decoded_pictures(files, files.names(), GREY):
            found.append(int(picture.pixels[0, 0, 0]))
            with lock:
                alive -= 1
    assert found == list(range(10, 210))
    assert most <= 4 * (decoding.AHEAD_OF_SMALL + 1)


def test_a_failure_ends_the_threads(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": 60})
    before = threading.active_count()
    with open_files(tmp_path) as files:
        pictures = decoding.decoded_pictures(files, files.names(), GREY)
        next(pictures)
        pictures.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("side", [16, 40, 100])
def test_photographs_shrink_smoothly_whatever_the_decoder_leaves_out(tmp_path: Path, fit: str, side: int) -> None:
    rows, columns = np.mgrid[:403, :611]
    waves = 128 + 90 * np.sin(rows / 40) * np.cos(columns / 60)
    Image.fromarray(np.stack([waves, waves[::-1], 255 - waves], 2).astype(np.uint8)).save(
        tmp_path / "x.jpg", quality=95
    )
    form = PictureForm(3, (side, side), fit)
    with Image.open(tmp_path / "x.jpg") as whole:
        whole.save(tmp_path / "x.png")
    found, wanted = (read_picture(tmp_path / name, form).astype(int) for name in ("x.jpg", "x.png"))
    assert np.abs(found - wanted).max() <= 4
    checks = np.indices((256, 256)).sum(0) % 2 * 255  # turns to grey where every pixel counts, else to moire
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "checks.png")
    small = read_picture(tmp_path / "checks.png", PictureForm(1, (10, 10), fit))
    assert np.abs(small.astype(int) - 127).max() <= 3


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(30, 50), (50, 30), (31, 31), (1, 90)])
def test_points_of_a_picture_go_where_its_pixels_go(tmp_path: Path, fit: str, size: tuple[int, int]) -> None:
    height, width = size
    made = (64, 48)
    placement = place(size, made, fit)
    corners = placement.moved(np.array([[0.25, 0.25, 0.75, 0.75]]))[0]
    picture = np.zeros((height * 20, width * 20), np.uint8)
    picture[height * 5 : height * 15, width * 5 : width * 15] = 255
    Image.fromarray(picture).save(tmp_path / "x.png")
    found = read_picture(tmp_path / "x.png", PictureForm(1, made, fit))[0] > 127
    inside = np.clip(np.rint(corners * [48, 64, 48, 64]), 0, [48, 64, 48, 64])
    rows, columns = found.any(1).nonzero()[0], found.any(0).nonzero()[0]
    seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if found.any() else inside
    np.testing.assert_allclose(inside, seen, atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(tmp_path: Path, orientation: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (48, 64), np.uint8)
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("x.png", "x.jpg"):
        picture.save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as stored:
            wanted = np.asarray(ImageOps.exif_transpose(stored))
        np.testing.assert_array_equal(read_picture(tmp_path / name, GREY)[0], wanted)


def huge_png(width: int, height: int) -> bytes:
    """A PNG file that claims a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "x.jpg")
    whole = (tmp_path / "x.jpg").read_bytes()
    Image.new("I;16", (4, 4)).save(tmp_path / "deep.png")
    for name, content, reason in (
        ("cut.jpg", whole[: len(whole) // 2], "truncated"),
        ("empty.png", b"", "it is none of BMP, GIF, JPEG"),
        ("text.png", b"no picture at all", "it is none of"),
        ("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is none of"),
        ("large.png", huge_png(9_000, 8_000), "it has 9000 x 8000 pixels"),
        ("bomb.png", huge_png(60_000, 60_000), "it has more than 67,108,864 pixels"),
        ("empty in it.png", huge_png(20, 20), "truncated"),
        ("large as it is.png", huge_png(3_000, 2_000), "too large for a net. Bring all to one size"),
        ("deep.png", None, "more than 8 bits"),
        ("none.png", None, "there is no such file. Correct its path"),
        (".", None, "it is no file. Name a file"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_picture(path, GREY)
        assert reason in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_any_change_of_a_byte_gives_a_picture_or_an_error_of_ours(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    picture = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
    for suffix in ("png", "jpg", "gif", "bmp", "tiff", "webp"):
        path = tmp_path / f"x.{suffix}"
        picture.save(path)
        whole = path.read_bytes()
        for _ in range(60):
            broken = bytearray(whole)
            for at in rng.integers(0, len(whole), 3):
                broken[at] = rng.integers(256)
            path.write_bytes(broken)
            with contextlib.suppress(DataError):
                assert read_picture(path, PictureForm(3, (4, 4))).shape == (3, 4, 4)


def test_unreadable_pictures_are_named_and_left_out_on_request(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"a": 20, "b": 30})
    (folder / "a" / "large.png").write_bytes(huge_png(10_000, 9_000))  # of which Pillow warns
    broken = (
        [folder / "a" / f"{i:03}.png" for i in (0, 7)]
        + [folder / "a" / "large.png"]
        + [folder / "b" / f"{i:03}.png" for i in range(4)]
    )
    for path in broken:
        if path.name != "large.png":
            path.write_bytes(b"broken")
    with pytest.raises(DataError) as caught:
        imported(folder)
    text = str(caught.value)
    assert (
        "7 pictures cannot be read" in text
        and text.count("cannot be read") == 1
        and "and 2 more" in text
        and "--skip-unreadable" in text
    )
    assert all(str(path) in text for path in broken[:5]) and str(broken[5]) not in text
    with ImageDatabase() as database:
        assert database.sources() == []
    done = imported(folder, skip_unreadable=True)
    assert sorted(str(error.where) for error in done.unreadable) == sorted(map(str, broken))
    kept = [(error.__traceback__, error.__cause__, error.__context__) for error in done.unreadable]
    assert kept == [(None, None, None)] * 7  # they would hold the bytes of the files
    assert np.bincount(done.sources[0].labels).tolist() == [18, 26]
    assert open_source("IMAGEDB", "a").labels.tolist() == [0] * 18 + [1] * 26
    assert open_source("IMAGEDB", "a").images[:][:, 0, 0, 0].tolist()[:7] == [11, 12, 13, 14, 15, 16, 18]


def test_folders_that_cannot_be_imported(tmp_path: Path) -> None:
    write_folder(tmp_path / "sizes", {"a": 2})
    write_folder(tmp_path / "sizes" / "more", {"b": 1}, size=(6, 6))
    write_folder(tmp_path / "no picture", {"a": 1, "b": 0})
    (tmp_path / "flat").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "flat" / "x.png")
    for folder, message in (
        ("sizes", "the picture has 6 x 6 pixels, those before it 5 x 7. Bring all to one size"),
        ("no picture", "there is no picture in here. Put some in"),
        ("flat", "there are no sub-folders in here. Name a folder"),
        ("none", "there is no such file"),
    ):
        for dry_run in (True, False):
            with pytest.raises(DataError) as caught:
                imported(tmp_path / folder, dry_run=dry_run)
            assert message in str(caught.value) and str(tmp_path / folder) in str(caught.value)
    with pytest.raises(DataError, match="cannot name a source"):
        imported(tmp_path / "sizes", name="a\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_a_folder_whose_name_is_no_line(tmp_path: Path) -> None:
    write_folder(tmp_path, {"two\nlines": 1})
    with pytest.raises(DataError, match="is no printable path"):
        imported(tmp_path)
