"""Embeddings: from states, from archives and from images; their maps, pictures and pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from netforge.data import open_source
from netforge.errors import DataError, SettingsError, SnapshotError
from netforge.inspect.embedding_map import draw_map, make_map
from netforge.inspect.embedding_page import embedding_page, thumbnails
from netforge.inspect.embeddings import Embeddings, computed_embeddings, project, stored_embeddings
from netforge.recognition import Embedder, ImageSet
from netforge.snapshot import TrainingState, save_state
from tests.recognition.helpers import DECODE, make_net


def blobs(rng: np.random.Generator, classes: int = 3, each: int = 12, width: int = 5) -> Embeddings:
    """Classes that stand far apart, with centroids of the first two."""
    labels = np.repeat(np.arange(classes), each)
    vectors = 8 * np.eye(classes, width)[labels] + rng.normal(size=(len(labels), width)) / 4
    centroids = {label: 8 * np.eye(classes, width)[label] for label in range(min(2, classes))}
    names = {1: '</script><b>&"one"'}
    return Embeddings("made up", vectors, labels, names, np.arange(len(labels)), None, centroids)


def state_file(folder: Path, **layers: np.ndarray) -> Path:
    path = folder / "run.solverstate"
    nets = {-1: {name: {"embeddings": values, "labels": np.arange(len(values)) % 3} for name, values in layers.items()}}
    save_state(TrainingState(5, [], "run.caffemodel", nets=nets), path)
    return path


def test_what_a_debug_layer_stored_is_read_from_the_state(tmp_path: Path) -> None:
    values = np.arange(20.0).reshape(10, 2)
    path = state_file(tmp_path, other=np.zeros((0, 2)), debug=values, second=values + 1)
    found = stored_embeddings(path)
    np.testing.assert_array_equal(found.vectors, values)
    np.testing.assert_array_equal(found.labels, np.arange(10) % 3)
    assert (found.images, found.centroids) == (None, {})
    newest = stored_embeddings(path, layer="second", most=4)
    np.testing.assert_array_equal(newest.vectors, values[-4:] + 1)
    np.testing.assert_array_equal(newest.numbers, [6, 7, 8, 9])
    with pytest.raises(SnapshotError, match=r'no Debug layer "secnd".*Did you mean "second"'):
        stored_embeddings(path, layer="secnd")
    with pytest.raises(SnapshotError, match=r'no Debug layer has stored.*type: "Debug"'):
        stored_embeddings(state_file(tmp_path))
    with pytest.raises(DataError, match=r"run\.solverstate: embeddings\[1\] holds NaN"):
        stored_embeddings(state_file(tmp_path, debug=np.array([[0.0], [np.nan]])))


def test_archives_are_read_without_unpickling(tmp_path: Path) -> None:
    np.savez(tmp_path / "ring.npz", embeddings=np.ones((3, 2)), labels=np.array([[4, 0], [5, 0], [6, 0]]))
    np.testing.assert_array_equal(stored_embeddings(tmp_path / "ring.npz").labels, [4, 5, 6])
    np.savez(tmp_path / "evil.npz", embeddings=np.array([{}], object), labels=np.zeros(1))
    with pytest.raises(SnapshotError, match="no archive of embeddings"):
        stored_embeddings(tmp_path / "evil.npz")
    with pytest.raises(SnapshotError, match=r"no archive.*labels"):
        np.savez(tmp_path / "half.npz", embeddings=np.ones((3, 2)))
        stored_embeddings(tmp_path / "half.npz")


def test_centroids_come_from_the_weights_beside_the_state_and_from_the_net(tmp_path: Path) -> None:
    model, weights = make_net(tmp_path, DECODE)
    weights.rename(tmp_path / "run.caffemodel")
    stored = stored_embeddings(state_file(tmp_path, debug=np.ones((6, 24))))
    images = ImageSet([open_source(None, "digits.testing")])[np.arange(30)]
    with Embedder(model, tmp_path / "run.caffemodel") as embedder:
        found = computed_embeddings(embedder, images)
        np.testing.assert_array_equal(found.vectors.astype(np.float32), embedder.embed(images))
        table = np.array(next(x for x in embedder.net.layers if x.type == "Decode").weights[0].data)
    assert sorted(found.centroids) == sorted(stored.centroids) == list(range(10))
    np.testing.assert_array_equal(found.centroids[3], table[3])
    np.testing.assert_array_equal(stored.centroids[3], table[3])
    assert found.images is images


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_maps_keep_classes_apart_and_are_repeated(method: str, rng: np.random.Generator) -> None:
    given = blobs(rng)
    first, second = (make_map(given, method, perplexity=5, iterations=250, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.points, second.points)
    assert first.map_measures is not None and first.map_measures.silhouette > 0.6
    assert sorted(first.centroids) == [0, 1]
    for label, point in first.centroids.items():
        own = first.points[given.labels == label].mean(axis=0)
        others = first.points[given.labels != label]
        assert np.linalg.norm(point - own) < np.linalg.norm(others - own, axis=1).min()


def test_embeddings_of_two_dimensions_may_stay_as_they_are(rng: np.random.Generator) -> None:
    given = blobs(rng, 2, width=2)
    np.testing.assert_array_equal(make_map(given, "none").points, given.vectors)
    with pytest.raises(SettingsError, match="5 dimensions"):
        project(np.ones((3, 5)), "none")


def test_one_class_has_a_map_and_no_measures(rng: np.random.Generator) -> None:
    shown = make_map(blobs(rng, 1), "pca")
    assert shown.measures is None and "one only" in shown.rows()[0][1]
    assert "one only" in embedding_page(shown)


def test_what_no_map_can_be_made_of_is_said() -> None:
    with pytest.raises(DataError, match=r"20 embeddings are too few for perplexity 30.*--perplexity 6"):
        project(np.random.default_rng(1).normal(size=(20, 3)))
    with pytest.raises(DataError, match="all 50 embeddings are equal"):
        project(np.ones((50, 3)))
    for settings, words in (({"perplexity": 0.5}, "perplexity is 0.5"), ({"iterations": 9}, "Give 250 or more")):
        with pytest.raises(SettingsError, match=words):
            project(np.eye(50), **settings)


def test_the_page_holds_the_points_and_escapes_names(rng: np.random.Generator) -> None:
    shown = make_map(blobs(rng), "pca")
    page = embedding_page(shown)
    assert "<b>&" not in page and "&lt;/script&gt;&lt;b&gt;&amp;" in page
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S).group(1))
    np.testing.assert_allclose(data["x"], shown.points[:, 0], atol=1e-3)
    assert data["kinds"] == shown.embeddings.labels.tolist()
    assert data["classes"][1]["name"] == '</script><b>&"one"'
    assert len(data["centroids"]) == 2 and "sprite" not in data
    assert "https:" not in page and "http:" not in page


def test_thumbnails_stand_where_the_layout_says() -> None:
    source = open_source(None, "digits.testing")
    numbers = np.array([7, 3, 11, 5, 2])
    sheet, layout = thumbnails(source, numbers)
    for k, number in enumerate(numbers.tolist()):
        row, column = divmod(k, layout["columns"])
        part = sheet[row * layout["height"] :, column * layout["width"] :][: layout["height"], : layout["width"]]
        np.testing.assert_array_equal(part[..., 0], source.images[number][0])


@pytest.mark.parametrize("with_images", [False, True])
def test_the_picture_shows_every_class_in_its_colour(with_images: bool, rng: np.random.Generator) -> None:
    images = ImageSet([open_source(None, "digits.testing")])[np.arange(36)]
    given = blobs(rng, 12, 3, width=12)
    shown = make_map(Embeddings("x", given.vectors, given.labels, {}, np.arange(36), images), "pca")
    drawn = np.asarray(draw_map(shown, thumbnails=with_images)).reshape(-1, 3)
    from netforge.inspect.palette import HUES, rgb

    for colour in HUES:
        assert (drawn == rgb(colour)).all(axis=1).sum() > 20
