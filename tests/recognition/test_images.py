"""Image files: grey and colour, transparent, of other sizes, damaged."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netforge.data import open_source
from netforge.data.formats.picture import PictureForm, picture_size, read_picture
from netforge.data.source import ArraySource
from netforge.errors import DataError, ShapeError
from netforge.recognition import StoredForm


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path)
    return path


def test_colour_becomes_grey_and_grey_becomes_colour(tmp_path: Path, rng: np.random.Generator) -> None:
    colour = rng.integers(0, 256, (5, 4, 3), np.uint8)
    file = save(tmp_path / "colour.png", colour)
    rgb, bgr, grey = (StoredForm(s, o) for s, o in (((3, 5, 4), "RGB"), ((3, 5, 4), "BGR"), ((1, 5, 4), "RGB")))
    np.testing.assert_array_equal(rgb.read(file), colour.transpose(2, 0, 1))
    np.testing.assert_array_equal(bgr.read(file), colour[..., ::-1].transpose(2, 0, 1))
    luma = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey.read(file)[0] - luma).max() <= 0.51
    one = save(tmp_path / "grey.png", colour[..., 0])
    np.testing.assert_array_equal(grey.read(one)[0], colour[..., 0])
    np.testing.assert_array_equal(rgb.read(one), np.repeat(colour[None, ..., 0], 3, axis=0))


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0, 3], pixels[0, 1, 3] = 255, 51
    file = save(tmp_path / "alpha.png", pixels)
    assert StoredForm((1, 2, 2)).read(file)[0].tolist() == [[0, 204], [255, 255]]


def test_files_of_another_size_are_resized(tmp_path: Path) -> None:
    pixels = np.repeat(np.array([[0, 255]], np.uint8).repeat(10, axis=1), 30, axis=0)
    file = save(tmp_path / "large.png", pixels)
    assert picture_size(file) == (30, 20)
    made = StoredForm((1, 3, 4)).read(file)
    assert made.shape == (1, 3, 4) and made[0, 0, 0] == 0 and made[0, 0, 3] == 255


@pytest.mark.parametrize("mode, suffix", [("P", "gif"), ("LA", "png"), ("CMYK", "jpg"), ("RGBA", "webp"), ("1", "png")])
def test_files_are_read_as_the_import_reads_them(
    tmp_path: Path, rng: np.random.Generator, mode: str, suffix: str
) -> None:
    """Lying on its side as a camera stores it: otherwise a net would see other images than it was trained on."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / f"x.{suffix}"
    Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8)).convert(mode).save(file, exif=exif)
    lies = suffix != "gif"  # which has no EXIF data
    assert picture_size(file) == ((9, 6) if lies else (6, 9))
    for channels, order in ((1, "RGB"), (3, "RGB"), (3, "BGR")):
        wanted = read_picture(file, PictureForm(channels, (5, 4)))
        made = StoredForm((channels, 5, 4), order).read(file)
        np.testing.assert_array_equal(made, wanted[::-1] if order == "BGR" else wanted)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(DataError, match="it is no file"):
        StoredForm((1, 8, 8)).read(tmp_path / "x.png")


def test_a_source_keeps_its_shape_and_gets_the_order_of_the_net(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (7, 3, 2, 2), np.uint8)
    source = ArraySource("some", pixels, np.zeros(7), color_order="BGR")
    batches = list(StoredForm((3, 2, 2), "RGB").batches(source, 3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(batches), pixels[:, ::-1])
    with pytest.raises(ShapeError, match="some: its images have shape"):
        list(StoredForm((3, 2, 3)).batches(source, 3))


def test_bytes_divided_by_255_are_refused_where_bytes_were_learned() -> None:
    form, shares = StoredForm((1, 2, 2), bytes_only=True), np.array([[0, 0.5], [0.2, 1]])
    with pytest.raises(DataError, match=r"between 0 and 1.* Multiply them by 255\."):
        list(form.batches(shares, 4))
    for fine in (shares * 255, shares.round(), shares - 1):
        assert len(list(form.batches(fine, 4))) == 1
    assert len(list(StoredForm((1, 2, 2)).batches(shares, 4))) == 1
    assert open_source(None, "digits.training", header_only=True).holds_bytes  # before its first use
    assert open_source(None, "digits.training").holds_bytes
    assert open_source(None, "digits.training", header_only=True).holds_bytes


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    form = StoredForm((1, 8, 8))
    (tmp_path / "text.png").write_text("no image")
    whole = save(tmp_path / "whole.png", np.zeros((64, 64), np.uint8)).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    for name, words in (
        ("none.png", "there is no such file"),
        (".", "it is no file"),
        ("text.png", "it is none of BMP"),
        ("half.png", "cannot be read: "),
    ):
        with pytest.raises(DataError) as caught:
            form.read(tmp_path / name)
        assert words in str(caught.value) and str(tmp_path) in str(caught.value)
    with pytest.raises(ShapeError, match="2 channels"):
        StoredForm((2, 8, 8)).read(tmp_path / "whole.png")


def test_huge_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save(tmp_path / "large.png", np.zeros((40, 40), np.uint8))
    monkeypatch.setattr("netforge.data.formats.picture.MOST_PIXELS", 1000)
    with pytest.raises(DataError, match="40 x 40 pixels"):
        StoredForm((1, 8, 8)).read(file)
