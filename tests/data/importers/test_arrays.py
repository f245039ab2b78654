"""Arrays in memory made into sources: those of scikit-learn's data sets, in all their forms."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.data import ImageDatabase, import_arrays, import_sklearn, open_source
from netforge.data.source import ArraySource
from netforge.errors import DataError, NetforgeError, SettingsError

GREY = np.random.default_rng(3).integers(0, 256, (30, 6, 5), np.uint8)
LABELS = np.arange(30) // 3


def made(images: object, labels: object = LABELS, **options: object) -> ArraySource:
    with ImageDatabase() as database:
        (done,) = import_arrays(database, "a", images, labels, replace=True, **options)
        assert done.name == "a"
        return database.open("a")


def test_arrays_of_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netforge.data.importers.arrays.BLOCK_BYTES", 100)
    colour = np.random.default_rng(4).integers(0, 256, (30, 3, 6, 5), np.uint8)
    last = colour.transpose(0, 2, 3, 1)
    for images, options, wanted in (
        (GREY, {}, GREY[:, None]),
        (GREY.tolist(), {}, GREY[:, None]),
        (GREY / 255.0, {}, GREY[:, None]),
        (GREY.reshape(30, 30), {"shape": (6, 5)}, GREY[:, None]),
        (GREY.reshape(30, 30).astype(np.float64), {"shape": (6, 5), "white": 255}, GREY[:, None]),
        (last, {}, colour),
        (last.reshape(30, 90), {"shape": (6, 5, 3)}, colour),
        (colour.reshape(30, 90), {"shape": (3, 6, 5), "layout": "NCHW"}, colour),
    ):
        np.testing.assert_array_equal(made(images, **options).images[:], wanted)


def test_labels_are_numbers_or_texts() -> None:
    for given in (LABELS, LABELS.astype(np.uint8), LABELS.astype(str), LABELS.astype(str).astype(object)):
        source = made(GREY, given)
        assert source.labels.tolist() == LABELS.tolist() and source.class_name(9) == "9"
    pets = np.array(["dog", "cat", "emu"], object)[np.arange(30) % 3]
    source = made(GREY, pets, groups=np.arange(30))
    assert [source.class_name(label) for label in source.labels] == pets.tolist()
    assert source.class_names == {0: "cat", 1: "dog", 2: "emu"} and source.groups.tolist() == list(range(30))
    assert made(GREY, class_names=[f"c{k}" for k in range(10)]).class_name(3) == "c3"
    assert made(GREY, LABELS - 5, class_names={k: f"c{k}" for k in range(-5, 5)}).class_name(-5) == "c-5"


def test_a_share_of_each_class_is_for_testing() -> None:
    with ImageDatabase() as database:
        done = import_arrays(database, "a", GREY, LABELS, testing=0.3, seed=1, groups=np.arange(30))
        training, testing = (database.open(each.name) for each in done)
        assert [each.name for each in done] == ["a.training", "a.testing"]
    assert testing.labels.tolist() == list(range(10)) and training.count == 20
    assert sorted([*training.groups, *testing.groups]) == list(range(30))
    np.testing.assert_array_equal(testing.images[:], GREY[testing.groups][:, None])
    np.testing.assert_allclose(testing.mean, training.images[:].mean(0), rtol=1e-6)


def test_images_are_brought_to_a_size() -> None:
    flat = np.broadcast_to(np.arange(30, dtype=np.uint8)[:, None, None], (30, 6, 5))
    source = made(flat, size=(3, 4))
    assert source.shape == (1, 3, 4) and source.images[:][:, 0, 1, 2].tolist() == list(range(30))


BAD: dict[str, tuple[object, object, dict[str, object], str]] = {
    "rows": (GREY.reshape(30, 30), LABELS, {}, r"images for \"a\": the array has shape \(30, 30\)"),
    "another shape": (GREY.reshape(30, 30), LABELS, {"shape": (5, 5)}, "cannot be read as rows"),
    "no shape": (GREY.reshape(30, 30), LABELS, {"shape": (-5, -6)}, "cannot be read as rows"),
    "shape of images": (GREY, LABELS, {"shape": (6, 5)}, "cannot be read as rows"),
    "nothing": (GREY[:0], LABELS[:0], {}, "these are no images"),
    "ragged": ([[1], [1, 2]], LABELS, {}, "this is no array"),
    "objects": (GREY.astype(object), LABELS, {}, "these are no images"),
    "complex": (GREY.astype(complex), LABELS, {}, "these are no images"),
    "nan": (np.full((30, 2, 2), np.nan), LABELS, {}, "image 0 has the value nan, expected 0 to 1 for float64"),
    "inf": (np.full((30, 2, 2), np.inf), LABELS, {"white": 16}, "image 0 has the value inf, expected 0 to 16"),
    "above white": (GREY, LABELS, {"white": 16}, "expected 0 to 16 for uint8"),
    "floats to 255": (GREY.astype(float), LABELS, {}, "expected 0 to 1 for float64"),
    "too few labels": (GREY, LABELS[:9], {}, "a whole number for each of the 30 images"),
    "fractional labels": (GREY, LABELS / 2, {}, r"has shape \(30,\) and type float64"),
    "large labels": (GREY, LABELS + (1 << 24), {}, "number 3 of the array is 16777217"),
    "large texts": (GREY, (LABELS + (1 << 24)).astype(str), {}, "number 3 of the array is 16777217"),
    "labels of objects": (GREY, np.array([None] * 30), {}, "objects such as None"),
    "a newline": (GREY, np.array(["a\nb"] * 30), {}, "cannot name a class"),
    "groups": (GREY, LABELS, {"groups": LABELS / 2}, 'groups for "a"'),
    "too few names": (GREY, LABELS, {"class_names": ["a"]}, "label 1 has no name among 1"),
    "names": (GREY, LABELS, {"class_names": [""] * 10}, "cannot name a class"),
    "white": (GREY, LABELS, {"white": float("nan")}, "white is nan"),
    "share": (GREY, LABELS, {"testing": 1.0}, "testing is 1.0"),
    "small share": (GREY, LABELS, {"testing": 0.1}, 'no image is left for source "a.testing"'),
}


@pytest.mark.parametrize("kind", BAD)
def test_arrays_that_are_none_of_images(kind: str) -> None:
    images, labels, options, message = BAD[kind]
    with ImageDatabase() as database:
        with pytest.raises(NetforgeError, match=message) as caught:
            import_arrays(database, "a", images, labels, **options)
        assert isinstance(caught.value, SettingsError if kind in ("white", "share") else DataError)
        assert database.sources() == []


def test_digits_with_another_split() -> None:
    with ImageDatabase() as database:
        done = import_sklearn(database, "digits", name="d", testing=0.5, seed=1)
        assert [each.count for each in done] == [899, 898]
        images = np.concatenate([database.open(each.name).images[:] for each in done])
    usual = np.concatenate([open_source("IMAGEDB", f"digits.{part}").images[:] for part in ("training", "testing")])
    np.testing.assert_array_equal(np.sort(images.reshape(1797, 64), 0), np.sort(usual.reshape(1797, 64), 0))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("olivetti_faces.pkz", r"nothing is unpickled here\. Save its arrays in Python"),
        ("lfw_people", "netforge data import images"),
        ("iris", r'no data set of images that comes with scikit-learn\. Name "digits"'),
    ],
)
def test_data_sets_that_come_in_otherwise(dataset: str, message: str) -> None:
    with ImageDatabase() as database, pytest.raises(DataError, match=message):
        import_sklearn(database, dataset, name="d")


def test_the_names_of_what_everyone_has_are_taken() -> None:
    with ImageDatabase() as database, pytest.raises(DataError, match="the same for everyone"):
        import_sklearn(database, "digits", name="digits", testing=0.5)
