"""Embeddings: equal to what the net gives by hand, whatever images come as, and from the right blob."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netforge.data import open_source
from netforge.errors import DataError, NetError, NetforgeError, SettingsError, ShapeError, SnapshotError
from netforge.net import Net
from netforge.recognition import Embedder
from tests.recognition.helpers import DATA, DECODE, MINING, SOFTMAX, TOWER, make_net

Files = tuple[Path, Path]


def test_embeddings_are_those_of_the_net_for_any_batch_size(trained: Files) -> None:
    source = open_source(None, "digits.testing")
    images = source.images[:37]
    with Net(trained[0], "RUN", weights=trained[1]) as net:
        net.forward(data=images / 256)
        expected = net.blobs["feat"].data.copy()
    for size in (1, 16, 37, 100):  # 16: the last batch is of 5
        with Embedder(*trained, batch_size=size) as embedder:
            assert embedder.embedding == "feat"
            found = embedder.embed(images)
            assert found.shape == (37, 24) and found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with Embedder(*trained, batch_size=64) as embedder:
        done: list[int] = []
        np.testing.assert_allclose(embedder.embed(source, progress=done.append)[:37], expected, rtol=1e-5, atol=1e-6)
        assert done == [64] * 7 + [52]
        assert embedder.class_names[3] == "3"


def test_images_may_be_given_in_many_ways(trained: Files, tmp_path: Path) -> None:
    images = open_source(None, "digits.testing").images[:3]
    paths = []
    for i, image in enumerate(images):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(image[0]).save(paths[-1])
    with Embedder(*trained) as embedder:
        expected = embedder.embed(images)
        for given in (paths, list(map(str, paths)), images[:, 0], images.astype(np.float64), images.tolist()):
            np.testing.assert_array_equal(embedder.embed(given), expected)
        for one in (paths[0], str(paths[0]), images[0], images[0, 0]):
            np.testing.assert_allclose(embedder.embed(one), expected[:1], rtol=1e-5, atol=1e-6)
        for wrong in (np.zeros((2, 1, 8, 9)), np.zeros((2, 3, 8, 8)), np.zeros(64), np.array("text")):
            with pytest.raises(ShapeError, match="images have shape"):
                embedder.embed(wrong)
        with pytest.raises(ShapeError, match="expected numbers of shape"):
            embedder.embed([])
        with pytest.raises(DataError, match='blob "feat" holds NaN or infinity for image 1'):
            embedder.embed(np.stack([images[0], images[1] * np.nan]))


def test_the_transformation_of_test_is_applied_without_mirroring(tmp_path: Path) -> None:
    images = open_source(None, "digits.testing").images[:20]
    plain = make_net(tmp_path, DECODE, name="plain")
    mirrored = make_net(tmp_path, DECODE, transform="mirror: true", name="mirrored")
    centred = make_net(tmp_path, DECODE, transform="use_imagedb_mean: true", name="centred")
    mean = open_source(None, "digits.testing").mean
    assert mean is not None
    with Embedder(*plain) as one, Embedder(mirrored[0], plain[1]) as two, Embedder(centred[0], plain[1]) as three:
        expected = one.embed(images)
        np.testing.assert_array_equal(two.embed(images), expected)
        np.testing.assert_allclose(three.embed(images), one.embed(images - mean), rtol=1e-4, atol=1e-5)


def test_a_net_without_data_layer_takes_pixels_as_they_are(tmp_path: Path, trained: Files) -> None:
    deploy = tmp_path / "deploy.prototxt"
    entry = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }'
    deploy.write_text(entry + TOWER)
    images = open_source(None, "digits.testing").images[:4]
    with Embedder(deploy, trained[1], layer="feat") as embedder, Embedder(*trained) as other:
        assert not embedder.transforms and other.transforms
        np.testing.assert_allclose(embedder.embed(images / 256), other.embed(images), rtol=1e-5, atol=1e-6)


def test_the_embedding_is_what_decode_or_a_loss_on_embeddings_reads(tmp_path: Path) -> None:
    with Embedder(*make_net(tmp_path, MINING, name="mining")) as embedder:
        assert embedder.embedding == "feat" and embedder.has_embedding
    softmax = make_net(tmp_path, SOFTMAX, name="softmax")
    with Embedder(*softmax) as embedder:
        assert not embedder.has_embedding
        with pytest.raises(NetError, match="neither a Decode layer nor a loss on embeddings"):
            embedder.embed(np.zeros((1, 8, 8)))
    with Embedder(*softmax, layer="score") as embedder:
        assert embedder.embed(np.zeros((2, 8, 8))).shape == (2, 10)
    with pytest.raises(NetError, match=r'no layer or blob "scor"\. Did you mean "score"'):
        Embedder(*softmax, layer="scor")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(trained: Files, value: float) -> None:
    with Net(trained[0], "TRAIN", weights=trained[1]) as net:
        net.params["feat"][1].data[3] = value
        net.save(trained[1])
    with pytest.raises(SnapshotError, match='layer "feat" holds NaN or infinity'):
        Embedder(*trained)


def test_weights_of_another_net_are_refused(tmp_path: Path, trained: Files) -> None:
    more = make_net(tmp_path, DECODE, SOFTMAX, name="more")
    with pytest.raises(SnapshotError, match='no weights for layer "score"'):
        Embedder(more[0], trained[1])
    other = tmp_path / "other.prototxt"
    other.write_text(trained[0].read_text().replace("num_output: 24", "num_output: 25"))
    with pytest.raises(SnapshotError, match="weight 0 has shape"):
        Embedder(other, trained[1])


def test_settings_that_make_no_sense_are_refused(tmp_path: Path, trained: Files) -> None:
    with pytest.raises(SettingsError, match="batch_size is 0"):
        Embedder(*trained, batch_size=0)
    missing = tmp_path / "missing.prototxt"
    missing.write_text(DATA.format(phase="TEST", source="nothing", transform="") + TOWER)
    with pytest.raises(NetforgeError, match=r'no source "digits\.nothing"'):
        Embedder(missing, trained[1])


SUP_CON = 'layer { name: "l" type: "SupConLoss" bottom: "feat" bottom: "label" top: "l" }'


@pytest.mark.parametrize(
    ("loss", "normalizes"),
    [
        (MINING, False),
        (MINING.replace("mining: HARD", "mining: HARD distance: COSINE"), True),
        (SUP_CON, True),
        (SUP_CON.replace('"l" }', '"l" sup_con_loss_param { distance: SQUARED } }'), False),
    ],
    ids=["squared", "cosine", "supcon", "supcon squared"],
)
def test_embeddings_are_scaled_as_the_loss_measures_them(tmp_path: Path, loss: str, normalizes: bool) -> None:
    files = make_net(tmp_path, loss)
    images = open_source(None, "digits.testing").images[:9]
    with Embedder(*files) as embedder, Embedder(*files, normalize=not normalizes) as other:
        assert embedder.normalizes is normalizes
        raw, unit = (embedder.embed(images), other.embed(images))[:: -1 if normalizes else 1]
    np.testing.assert_allclose(unit, raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=1e-5)
