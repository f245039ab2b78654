"""The Python interface: what `import netforge` gives, loading a trained net, and the examples of docstrings."""

from __future__ import annotations

import doctest
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netforge
from netforge.data import open_source
from netforge.data.source import ArraySource
from netforge.errors import DataError, NetError, SettingsError, ShapeError, SnapshotError
from netforge.recognition import Embedder, Recognizer, StoredForm
from tests.recognition.helpers import DECODE, MINING, make_net

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Path]:
    """The files of a net with Decode, and of its weights."""
    return make_net(tmp_path, DECODE)


def test_the_examples_of_the_package_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("models", "solvers"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(netforge)
    assert result.attempted >= 4 and not result.failed


def test_load_embeds_and_names_images(trained: tuple[Path, Path]) -> None:
    digits = open_source(None, "digits.testing")
    pixels, labels = digits.read(np.arange(60))
    with netforge.load(*trained) as net, Embedder(*trained) as embedder:
        points = net.embed(pixels)
        assert points.shape == (60, 24) and points.dtype == np.float32
        np.testing.assert_array_equal(points, embedder.embed(pixels))
        assert [known.name for known in net.classes] == [digits.class_name(k) for k in range(10)]
        names = net.predict(pixels)
        assert names.shape == (60,) and names.dtype.kind == "U"
        truth = [digits.class_name(label) for label in labels]
        assert np.mean(names == truth) > 0.6
        assert (net.predict(pixels, threshold=0.0) == "unknown").all()
        assert "10 classes" in repr(net)


def test_load_knows_classes_by_images_that_are_handed_over(tmp_path: Path) -> None:
    model, weights = make_net(tmp_path, MINING)
    digits = open_source(None, "digits.training")
    given = digits.read(np.arange(200))
    with netforge.load(model, weights) as net:
        assert net.classes == ()
        with pytest.raises(NetError, match="no class is known"):
            net.predict(given[0])
    with netforge.load(model, weights, centroids=given) as net:
        expected = Recognizer(net.embedder, source=ArraySource("centroids", *given)).recognize(given[0]).first
        assert net.predict(given[0]).tolist() == [net.classes[k].name for k in expected]
    with netforge.load(model, weights, centroids="digits.testing") as net:
        assert net.rule == "centroids of digits.testing"


def test_a_calibrated_threshold_is_used(trained: tuple[Path, Path]) -> None:
    from netforge.recognition import Threshold

    pixels, _ = open_source(None, "digits.testing").read(np.arange(20))
    with netforge.load(*trained) as net:
        distances = net.recognize(pixels).distance
        limit = float(np.median(distances))
        net.keep_calibration(Threshold(limit, net.rule, 0.1, 0.1, "digits.testing", "none"))
        assert ((net.predict(pixels) == "unknown") == (distances > limit)).all()
        assert not (net.predict(pixels, threshold=None) == "unknown").any()


def test_load_reads_a_source_that_is_handed_over(tmp_path: Path, netforge_home: Path) -> None:
    model, weights = make_net(tmp_path, MINING)
    pixels = open_source(None, "digits.testing").read(np.arange(5))[0]
    with netforge.load(model, weights) as net:
        expected = net.embed(pixels)
    (netforge_home / "images.db").unlink()
    with netforge.load(model, weights, sources={"digits.testing": (pixels, np.zeros(5, int))}) as net:
        np.testing.assert_array_equal(net.embed(pixels), expected)
    assert not (netforge_home / "images.db").exists()


def test_load_lets_go_of_the_net_where_it_fails(trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(Embedder, "close", lambda self: closed.append(self))
    with pytest.raises(DataError, match="these are no images"):
        netforge.load(*trained, centroids=(np.zeros((2, 2)), [0, 1]))
    assert closed


def test_errors_of_load_say_what_is_wrong(trained: tuple[Path, Path], tmp_path: Path) -> None:
    model, weights = trained
    with pytest.raises(SettingsError, match="batch_size is 0"):
        netforge.load(model, weights, batch_size=0)
    with pytest.raises(SnapshotError, match=r"missing\.caffemodel"):
        netforge.load(model, tmp_path / "missing.caffemodel")
    with netforge.load(model, weights) as net:
        with pytest.raises(ShapeError, match=r"expected numbers of shape \(n, 8, 8\)"):
            net.embed(np.zeros((3, 9, 9), np.uint8))
        with pytest.raises(ShapeError, match="several shapes"):
            net.embed([np.zeros((8, 8)), np.zeros((9, 9))])


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_images_are_taken_in_many_forms(order: str, tmp_path: Path, rng: np.random.Generator) -> None:
    colour = rng.integers(0, 256, (2, 5, 4, 3), np.uint8)
    form = StoredForm((3, 5, 4), order)
    expected = colour.transpose(0, 3, 1, 2)[:, :: 1 if order == "RGB" else -1]
    pictures = [Image.fromarray(image) for image in colour]
    pictures[0].save(tmp_path / "0.png")
    for given in (colour, list(colour), pictures, [tmp_path / "0.png", pictures[1]], expected):
        np.testing.assert_array_equal(np.concatenate(list(form.batches(given, 2))), expected)
    for one in (colour[0], pictures[0], str(tmp_path / "0.png")):
        np.testing.assert_array_equal(np.concatenate(list(form.batches(one, 2))), expected[:1])


def test_grey_images_need_no_channel(rng: np.random.Generator) -> None:
    grey = rng.integers(0, 256, (3, 8, 8), np.uint8)
    form = StoredForm((1, 8, 8))
    for given in (grey, grey[:, None], grey[..., None], list(grey)):
        np.testing.assert_array_equal(np.concatenate(list(form.batches(given, 2))), grey[:, None])
    for one in (grey[0], grey[:1], grey[0][..., None]):
        np.testing.assert_array_equal(np.concatenate(list(form.batches(one, 2))), grey[:1, None])


def test_pictures_of_pillow_are_made_as_files_are(tmp_path: Path, rng: np.random.Generator) -> None:
    form = StoredForm((1, 6, 6))
    picture = Image.fromarray(rng.integers(0, 256, (30, 20, 4), np.uint8))
    picture.save(tmp_path / "a.png")
    before = picture.size
    np.testing.assert_array_equal(form.read(picture), form.read(tmp_path / "a.png"))
    assert picture.size == before
    with Image.open(tmp_path / "a.png") as opened:
        np.testing.assert_array_equal(form.read(opened), form.read(tmp_path / "a.png"))
    with pytest.raises(DataError, match="more than 8 bits"):
        form.read(Image.fromarray(np.zeros((4, 4), np.float32)))
