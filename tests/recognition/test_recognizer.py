"""Classes of images: by Decode, by centroids of a source, by Softmax, and enrolled ones."""

from __future__ import annotations

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from netforge.data import ArraySource, open_source
from netforge.errors import DataError, NetError, NetforgeError, SettingsError, SnapshotError
from netforge.metric import centroids, squared_distances
from netforge.net import Net
from netforge.recognition import (
    Embedder,
    ImageSet,
    Recognizer,
    Record,
    Threshold,
    read_record,
    recognize_labelled,
    record_path,
)
from tests.recognition.helpers import DECODE, MINING, SOFTMAX, make_net

Files = tuple[Path, Path]
LIMIT = Threshold(1.5, "Decode decode", 0.01, 0.008, "digits.testing (500 images)", "others (9 images)")


def test_answers_are_those_of_decode(trained: Files) -> None:
    source = open_source(None, "digits.testing")
    with Embedder(*trained) as embedder:
        recognizer = Recognizer(embedder)
        answers = recognizer.recognize(source, threshold=2.0)
    with Net(trained[0], "RUN", weights=trained[1]) as net:
        expected = net.forward(data=source.images[:] / 256)["distances"]
    assert recognizer.rule == "Decode decode" and [c.label for c in recognizer.classes] == list(range(10))
    np.testing.assert_allclose(answers.distances, expected, rtol=1e-5)
    ordered = np.sort(expected, axis=1)
    assert answers.first.tolist() == expected.argmin(axis=1).tolist()
    np.testing.assert_allclose(answers.distance, ordered[:, 0], rtol=1e-5)
    np.testing.assert_allclose(answers.margin, ordered[:, 1] - ordered[:, 0], rtol=1e-3, atol=1e-5)
    assert answers.accepted.tolist() == (answers.distance <= 2.0).tolist()
    assert 0 < answers.accepted.mean() < 1
    labels = answers.labels(np.arange(10))
    assert (labels[~answers.accepted] == -1).all() and (
        labels[answers.accepted] == answers.first[answers.accepted]
    ).all()
    assert (answers.first == source.labels).mean() > 0.7


def test_classes_that_were_never_seen_or_are_ignored_cannot_win(tmp_path: Path) -> None:
    model, weights = make_net(tmp_path, DECODE.replace("500", "500 ignore_label: 4"))
    with Net(model, "TRAIN", weights=weights) as net:
        for blob, values in zip(net.params["decode"], (0, 0, 0), strict=True):
            blob.data[7] = values
        net.save(weights)
    with Embedder(model, weights) as embedder:
        recognizer = Recognizer(embedder)
        assert [c.label for c in recognizer.classes] == [0, 1, 2, 3, 5, 6, 8, 9]
        assert recognizer.distances(open_source(None, "digits.testing")).max() < 1e6


def test_untrained_decode_layers_are_refused_or_passed_over(tmp_path: Path) -> None:
    model, weights = make_net(tmp_path, DECODE)
    with Net(model, "TRAIN", weights=weights) as net:
        for blob in net.params["decode"]:
            blob.data[...] = 0
        net.save(weights)
    source = open_source(None, "digits.training")
    with Embedder(model, weights) as embedder:
        with pytest.raises(SnapshotError, match="not seen enough images"):
            Recognizer(embedder)
        assert len(Recognizer(embedder, source=source).classes) == 10


@pytest.mark.parametrize("target", ["PREGEN pregen_label_count: 10 pregen_alpha: 2", "KNN k: 3"])
def test_other_targets_of_decode_give_their_distances(tmp_path: Path, target: str) -> None:
    model, weights = make_net(tmp_path, DECODE.replace("500", f"500 target: {target}"))
    images = open_source(None, "digits.testing").images[:40]
    with Embedder(model, weights) as embedder:
        found = Recognizer(embedder).distances(images)
    with Net(model, "RUN", weights=weights) as net:
        expected = net.forward(data=images / 256)["distances"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert (expected > 0).all()


def test_knn_that_lacks_items_of_a_class_is_refused(tmp_path: Path) -> None:
    model, weights = make_net(tmp_path, DECODE.replace("500", "500 target: KNN k: 400"))
    with Embedder(model, weights) as embedder, pytest.raises(SnapshotError, match="not seen enough images"):
        Recognizer(embedder)


def test_centroids_of_a_source_take_the_place_of_decode(trained: Files) -> None:
    training, testing = (open_source(None, f"digits.{part}") for part in ("training", "testing"))
    with Embedder(*trained) as embedder:
        recognizer = Recognizer(embedder, source=training)
        means = centroids(embedder.embed(training), training.labels)
        expected = squared_distances(embedder.embed(testing), means.points)
        assert recognizer.rule == "centroids of digits.training"
        np.testing.assert_allclose(recognizer.distances(testing), expected)
        recognizer.keep_calibration(LIMIT)
        assert Recognizer(embedder).rule == "centroids of digits.training"  # kept with the threshold
        assert Recognizer(embedder, stored=False).rule == "Decode decode"
        with pytest.raises(DataError, match="a label is -1"):
            Recognizer(embedder, source=ArraySource("odd", np.zeros((2, 1, 8, 8), np.uint8), [-1, 0]))


def test_softmax_gives_probabilities(tmp_path: Path) -> None:
    model, weights = make_net(tmp_path, SOFTMAX)
    source = open_source(None, "digits.testing")
    with Embedder(model, weights) as embedder:
        recognizer = Recognizer(embedder)
        answers = recognizer.recognize(source)
        assert recognizer.probabilities and recognizer.rule == "Softmax loss"
        with pytest.raises(NetError, match="ends in Softmax"):
            recognizer.enroll("new", source.images[:1])
    with Net(model, "RUN", weights=weights) as net:
        expected = net.forward(data=source.images[:] / 256)["loss"]
    np.testing.assert_allclose(1 - answers.distances, expected, atol=1e-6)
    assert answers.first.tolist() == expected.argmax(axis=1).tolist()


def test_a_class_is_enrolled_from_few_images_and_kept(trained: Files) -> None:
    cross = np.zeros((3, 1, 8, 8), np.uint8)
    cross[:, :, range(8), range(8)] = cross[:, :, range(8), range(7, -1, -1)] = [[[255]], [[250]], [[240]]]
    with Embedder(*trained) as embedder:
        recognizer = Recognizer(embedder)
        assert recognizer.enroll("cross", cross[:2]).count == 2
        added = recognizer.enroll("cross", cross[2:])
        assert added.count == 3
        np.testing.assert_allclose(added.centroid, embedder.embed(cross).mean(axis=0), rtol=1e-5, atol=1e-6)
        again = Recognizer(embedder)
        assert [c.name for c in again.classes] == [*map(str, range(10)), "cross"]
        answers = again.recognize(np.concatenate([cross, open_source(None, "digits.testing").images[:50]]))
        assert answers.first[:3].tolist() == [10] * 3 and (answers.first[3:] != 10).all()
        assert again.enroll("cross", cross[:1], replace_it=True).count == 1
        with pytest.raises(SettingsError, match='class "3" is known from training'):
            again.enroll("3", cross)
        with pytest.raises(SettingsError, match=r'no class "cros" is enrolled\. Did you mean "cross"'):
            again.forget("cros")
        again.forget("cross")
        assert len(Recognizer(embedder).classes) == 10
    assert read_record(trained[1]) == Record(read_record(trained[1]).weights)


def test_a_net_without_decode_knows_what_is_enrolled(tmp_path: Path) -> None:
    model, weights = make_net(tmp_path, MINING)
    source = open_source(None, "digits.testing")
    ones, twos = (source.images[np.flatnonzero(source.labels == k)[:5]] for k in (1, 2))
    with Embedder(model, weights) as embedder:
        recognizer = Recognizer(embedder)
        with pytest.raises(NetError, match="no class is known"):
            recognizer.distances(ones)
        recognizer.enroll("2", twos)
        only = Recognizer(embedder).recognize(ones)
        assert only.second.tolist() == [-1] * 5 and np.isinf(only.margin).all()
        Recognizer(embedder).enroll("1", ones)
        both = Recognizer(embedder)
        assert both.rule == "enrolled classes"
        assert both.labels_in(source).tolist() == [2, 1]
        points = np.array([embedder.embed(images).mean(axis=0) for images in (twos, ones)])
        expected = squared_distances(embedder.embed(ones), points)
        np.testing.assert_allclose(both.distances(ones), expected, rtol=1e-4, atol=1e-6)
        assert both.labels_in(ArraySource("bare", np.zeros((2, 1, 8, 8), np.uint8), [5, 2])).tolist() == [2, 6]


def test_the_embedding_of_enrolled_classes_is_taken_again(tmp_path: Path) -> None:
    model, weights = make_net(tmp_path, SOFTMAX)
    image = open_source(None, "digits.testing").images[:1]
    with Embedder(model, weights, layer="feat") as embedder:
        assert not Recognizer(embedder).probabilities
        Recognizer(embedder).enroll("new", image)
    with Embedder(model, weights) as embedder:
        assert [c.name for c in Recognizer(embedder).classes] == ["new"] and embedder.embedding == "feat"
    with (
        Embedder(model, weights, layer="score") as embedder,
        pytest.raises(SnapshotError, match="Use --layer feat"),
    ):
        Recognizer(embedder)


def test_the_record_belongs_to_its_weights(trained: Files) -> None:
    with Embedder(*trained) as embedder:
        recognizer = Recognizer(embedder)
        recognizer.keep_calibration(LIMIT)
        assert recognizer.threshold == LIMIT == Recognizer(embedder).threshold
        other = Recognizer(embedder, source=open_source(None, "digits.training"))
        with pytest.raises(SnapshotError, match="distances to Decode decode, these are distances to centroids of"):
            _ = other.threshold
    with Net(trained[0], "TRAIN", weights=trained[1]) as net:
        net.params["feat"][1].data[0] += 1
        net.save(trained[1])
    with Embedder(*trained) as embedder, pytest.raises(SnapshotError, match="belongs to other weights"):
        Recognizer(embedder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: "", "damaged"),
        (lambda found: "[1]", 'expected "format"'),
        (lambda found: json.dumps({**found, "version": 9}), "it is of version 9, this netforge knows version 1. Use"),
        (lambda found: json.dumps({**found, "version": "x"}), "its version is 'x'"),
        (lambda found: json.dumps({**found, "weights": 5}), "5 stands where text is expected"),
        (lambda found: json.dumps({**found, "normalized": 1}), "neither true nor false"),
        (lambda found: json.dumps({k: v for k, v in found.items() if k != "classes"}), 'it lacks "classes"'),
        (lambda found: json.dumps(found).replace("1.5", "NaN"), "NaN is no number"),
        (lambda found: json.dumps(found).replace("1.5", "1e999"), "no number"),
        (lambda found: json.dumps({**found, "threshold": [1]}), "[1] stands where an object is"),
        (
            lambda found: json.dumps({**found, "classes": [{**found["classes"][0], "count": True}]}),
            "True stands where a whole",
        ),
        (
            lambda found: json.dumps(
                {**found, "classes": [*found["classes"], {**found["classes"][0], "centroid": []}]}
            ),
            "differ in length",
        ),
        (lambda found: json.dumps({**found, "classes": [5]}), "5 stands where an object is"),
        (lambda found: json.dumps({**found, "classes": found["classes"] * 2}), "two enrolled classes have one name"),
        (lambda found: json.dumps({**found, "embedding": None}), "classes without their embedding"),
        (lambda found: json.dumps({**found, "classes": []}), "an embedding without classes"),
        (lambda found: json.dumps({**found, "embedding": "none"}), 'of blob "none", which is none in this net'),
        (
            lambda found: json.dumps({**found, "classes": [{**found["classes"][0], "centroid": [1, 2]}]}),
            'its classes are of 2 numbers of blob "feat", which has 24',
        ),
        (
            lambda found: json.dumps({**found, "classes": [{**found["classes"][0], "label": 1 << 70, "origin": "x"}]}),
            "labels of classes are missing, too large",
        ),
        (lambda found: json.dumps(found).replace("1.5", "-1.5"), "its threshold is negative"),
        (lambda found: "[" * 100_000, "damaged"),
    ],
)
def test_damaged_records_are_refused(trained: Files, change: object, words: str) -> None:
    with Embedder(*trained) as embedder:
        recognizer = Recognizer(embedder)
        recognizer.enroll("x", np.zeros((1, 8, 8)))
        recognizer.keep_calibration(LIMIT)
        path = record_path(trained[1])
        path.write_text(change(json.loads(path.read_text())))  # type: ignore[operator]
        with pytest.raises(SnapshotError) as caught:
            Recognizer(embedder)
    assert words in str(caught.value) and str(path) in str(caught.value)


def test_a_record_that_cannot_be_written_says_what_helps(trained: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with Embedder(*trained) as embedder:
        recognizer = Recognizer(embedder)
        monkeypatch.setattr("os.replace", refuse)
        with pytest.raises(SnapshotError, match="Read-only file system") as caught:
            recognizer.enroll("x", np.zeros((1, 8, 8)))
    assert "copy the weights" in str(caught.value) and list(trained[1].parent.glob("*.recognition*")) == []


def test_decode_is_not_mixed_with_another_embedding(trained: Files) -> None:
    with Embedder(*trained, layer="data") as embedder:
        with pytest.raises(NetError, match='"decode" measures distances of "feat", not of "data"'):
            Recognizer(embedder)
        assert Recognizer(embedder, source=open_source(None, "digits.training")).rule.startswith("centroids of")


def test_what_others_enroll_meanwhile_stays(trained: Files) -> None:
    """Two programs have read the record before either writes it, and then write at once."""
    with Embedder(*trained) as first, Embedder(*trained) as second:
        recognizers = [Recognizer(first), Recognizer(second)]

        def enroll(number: int) -> None:
            for k in range(4):
                recognizers[number].enroll(f"{number}.{k}", np.full((1, 8, 8), 9 * k))

        with ThreadPoolExecutor() as pool:
            list(pool.map(enroll, (0, 1)))
        assert len(read_record(trained[1]).classes) == 8
        recognizers[0].keep_calibration(LIMIT)
        recognizers[1].forget("0.0")
        found = read_record(trained[1])
    assert len(found.classes) == 7 and found.threshold == LIMIT


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 201, "unknown"])
def test_what_cannot_name_a_class(trained: Files, name: str) -> None:
    with (
        Embedder(*trained) as embedder,
        pytest.raises(NetforgeError, match=r"cannot name|Choose"),
    ):
        Recognizer(embedder).enroll(name, np.zeros((1, 8, 8)))
    assert not record_path(trained[1]).exists()


def test_unknown_classes_are_right_when_refused(trained: Files) -> None:
    images = ImageSet([open_source(None, "digits.testing")])
    with Embedder(*trained) as embedder:
        part = images[images.labels < 8]
        recognizer = Recognizer(embedder, source=part)
        outcome = recognize_labelled(recognizer, images, threshold=1.0)
        answers = recognizer.recognize(images, threshold=1.0)
    known = images.labels < 8
    assert outcome.known.tolist() == known.tolist()
    right = np.where(known, answers.accepted & (answers.first == images.labels), ~answers.accepted)
    assert outcome.right.tolist() == right.tolist() and outcome.accuracy == right.mean()
    assert outcome.closed_accuracy == (answers.first == images.labels)[known].mean()
    assert outcome.refused(~known) == (~answers.accepted)[~known].mean()
    shares = [right[images.labels == label].mean() for label in range(10)]
    np.testing.assert_allclose(outcome.class_accuracies, shares)
    assert outcome.auc is not None and 0.5 < outcome.auc < 1
    assert outcome.class_name(-1) == "unknown" and outcome.class_name(3) == "3"
    with Embedder(*trained) as embedder:
        whole = recognize_labelled(Recognizer(embedder), images)
    assert whole.auc is None and whole.accuracy == whole.closed_accuracy


def test_directions_are_compared_where_the_loss_does(tmp_path: Path, trained: Files) -> None:
    cosine = MINING.replace("mining: HARD", "mining: HARD distance: COSINE")
    files = make_net(tmp_path, cosine, name="cosine")
    images = open_source(None, "digits.testing").images[:6]
    with Embedder(*files) as embedder:
        Recognizer(embedder).enroll("one", images[:2])
        recognizer = Recognizer(embedder)
        x = embedder.embed(images)
        np.testing.assert_allclose(recognizer.distances(images), squared_distances(x, [x[:2].mean(axis=0)]), atol=1e-6)
    with Embedder(*files, normalize=False) as embedder, pytest.raises(SnapshotError, match="scaled to length 1"):
        Recognizer(embedder)
    with Embedder(*trained, normalize=True) as embedder, pytest.raises(NetError, match="Decode keeps centroids"):
        Recognizer(embedder)
