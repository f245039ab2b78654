"""Decode, AccuracyDecode and AccuracyEncoding: growth, horizon, status, targets, resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netforge.errors import DataError, NetforgeError
from netforge.layers.decode import spread_targets
from netforge.net import Net
from netforge.schema import parse_net
from netforge.testing import LayerRun
from tests.data.helpers import fill_database
from tests.layers.cases import row

FLT_MAX = np.finfo(np.float32).max


def decode(x, labels, settings: str = "", tops: str = "d", **options) -> LayerRun:
    bottoms = [np.asarray(x, float)] + ([] if labels is None else [np.asarray(labels, float)])
    names = " ".join(["x", "label"][: len(bottoms)])
    return LayerRun(row("Decode", names, tops, f"decode_param {{ {settings} }}"), bottoms, **options)


def step(run: LayerRun, x=None, labels=None) -> list[np.ndarray]:
    """One forward that keeps what it learns."""
    if x is not None:
        run.feed([np.asarray(x, float), np.asarray(labels, float)])
    return run.step()


def test_the_first_item_is_copied_and_rows_survive_growth() -> None:
    run = decode([[1.0, 2]], [0])
    step(run)
    np.testing.assert_array_equal(run.layer.weights[0].data, [[1, 2], [0, 0]])
    (distances,) = step(run, [[5.0, 5], [7, 7]], [4, 2])
    np.testing.assert_array_equal(run.layer.weights[0].data, [[1, 2], [0, 0], [7, 7], [0, 0], [5, 5]])
    np.testing.assert_array_equal(run.layer.weights[2].data, [1, 0, 1, 0, 1])
    assert distances.shape == (2, 5) and distances[0, 4] == 0 == distances[1, 2]


def test_a_label_equal_to_the_number_of_classes_grows_the_table() -> None:
    run = decode([[1.0]], [2])
    assert step(run)[0].shape == (1, 3)


def test_all_label_columns_make_room_but_only_the_first_counts() -> None:
    run = decode([[1.0], [3.0]], [[0, 5], [1, 0]])
    step(run)
    np.testing.assert_array_equal(run.layer.weights[2].data, [1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("bad", [-1, 0.5, np.nan, 1e9])
def test_a_label_that_is_no_class_is_named(bad: float) -> None:
    with pytest.raises(DataError, match=f"label {bad:g} at index 1".replace("+", r"\+")):
        step(decode([[1.0], [2.0]], [0, bad]))


def test_a_short_horizon_follows_moving_embeddings() -> None:
    short, long = decode([[0.0]], [0], "recent_items: 10"), decode([[0.0]], [0], "cache_size: 100")
    for n in range(100):
        for run in (short, long):
            step(run, [[float(n)]], [0])
    assert short.layer.weights[0].data[0] == pytest.approx(90, abs=0.1)
    assert long.layer.weights[0].data[0] == pytest.approx(49.5)


def test_status_comes_after_the_horizon_and_not_for_ignored_classes() -> None:
    run = decode([[1.0], [1.0]], [0, 1], "recent_items: 2 ignore_label: 1 centroid_output_iteration: 0", "d c")
    outputs = [step(run) for _ in range(3)]
    np.testing.assert_array_equal(run.layer.weights[1].data, [1, 0])
    assert outputs[0][0][0, 1] == FLT_MAX
    assert [output[1].any() for output in outputs] == [False, False, True]


def test_a_class_that_was_never_seen_is_never_the_nearest() -> None:
    run = decode([[9.0], [9.5]], [3, 3])
    distances = step(run, [[0.1], [9.0]], [3, 3])[0]  # 0.1 is near to where the rows of classes 0 to 2 still are
    np.testing.assert_array_equal(distances.argmin(axis=1), [3, 3])
    assert (distances[:, :3] == FLT_MAX).all()
    run = LayerRun(row("AccuracyEncoding", "x label", "a"), [np.array([[9.0], [0.1]]), np.array([3.0, 3])])
    assert run.forward()[0] == 1


def test_centroids_that_are_given_count_without_items() -> None:
    run = decode(
        [[1.0]],
        None,
        "enable_centroid_update: false",
        phase="TEST",
        weights=[np.array(w) for w in ([[2.0], [3.0]], [1.0, 1], [0.0, 0])],
    )
    np.testing.assert_array_equal(step(run)[0], [[1, 4]])


@pytest.mark.parametrize(
    ("settings", "tops", "word"),
    [("target: KNN k: 1", "d", "distances"), ("centroid_output_iteration: 9", "d c", "centroids")],
)
def test_classes_that_never_come_are_told(settings: str, tops: str, word: str) -> None:
    run = decode([[1.0], [2.0]], [0, 3], settings, tops)
    told = []
    for _ in range(100):
        told.append(run.layer.diagnose(run.bottom, run.top))
        step(run)
    assert told == [None] * 100
    text = run.layer.diagnose(run.bottom, run.top)
    assert text is not None
    assert f"after 100 passes no item was seen of class 1, 2: the {word} stay 0" in text
    step(run, [[1.0], [2.0]], [1, 2])
    assert run.layer.diagnose(run.bottom, run.top) is None


def test_nothing_is_told_where_classes_do_not_matter() -> None:
    for settings in ("", "target: PREGEN pregen_label_count: 9", "target: KNN k: 1 ignore_label: 1"):
        run = decode([[1.0], [2.0]], [0, 2], settings)
        for _ in range(100):
            step(run)
        assert run.layer.diagnose(run.bottom, run.top) is None


def test_centroids_appear_after_the_given_number_of_passes() -> None:
    run = decode([[1.0], [1.0]], [0, 1], "recent_items: 1 centroid_output_iteration: 4", "d c")
    assert [bool(step(run)[1].any()) for _ in range(5)] == [False, False, False, True, True]


def test_nothing_is_learned_outside_training_or_when_switched_off() -> None:
    for options in ({"phase": "TEST"}, {"settings": "enable_centroid_update: false"}):
        run = decode([[1.0], [2.0]], [0, 1], **options)
        step(run)
        assert not run.layer.weights[0].data.any() and not run.layer.weights[2].data.any()
    np.testing.assert_array_equal(run.layer.weights[1].data, [1, 1])


def test_labels_are_needed_in_training_only() -> None:
    with pytest.raises(NetforgeError, match="labels are missing"):
        decode([[1.0]], None)
    assert step(decode([[1.0]], None, phase="RUN"))[0].shape == (1, 2)


def test_nearest_stored_embeddings() -> None:
    run = decode([[0.0], [2.0], [10.0], [14.0]], [0, 0, 1, 1], "target: KNN k: 2 cache_size: 1")
    (distances,) = step(run)
    np.testing.assert_allclose(distances[0], [2, (100 + 196) / 2])
    waiting = decode([[0.0], [2.0], [10.0]], [0, 0, 1], "target: KNN k: 2 cache_size: 1")
    assert not step(waiting)[0].any()


def test_the_cache_keeps_the_newest() -> None:
    run = decode([[1.0]] * 2, [0, 0], "target: KNN k: 1 recent_items: 3")
    for value in range(1, 5):
        step(run, [[2.0 * value], [2.0 * value + 1]], [0, 0])
    assert sorted(run.layer.weights[3].data[0, :, 0]) == [7, 8, 9]


SLICED = """
layer { name: "pairs" type: "Data" top: "x" top: "label" data_param { source: "tiny.training" backend: IMAGEDB
  batch_size: 6 images_per_blob: 2 output_all_labels: true } }
layer { name: "slice" type: "Slice" bottom: "label" top: "first" top: "second" slice_param { axis: 1 } }
layer { name: "flat" type: "Flatten" bottom: "first" top: "flat" }
layer { name: "decode" type: "Decode" bottom: "x" bottom: "flat" top: "d" }
"""


@pytest.mark.parametrize("scaled", [False, True])
def test_a_data_layer_that_knows_its_labels_gives_every_class_a_row(scaled: bool) -> None:
    fill_database("tiny.training")  # of 4 classes
    doubled = f"layer {{ {row('Power', 'flat', 'flat', 'power_param { scale: 2 }')} }}" if scaled else ""
    text = SLICED.replace('layer { name: "decode"', doubled + 'layer { name: "decode"')
    with Net(parse_net(text), "TRAIN", seed=1) as net:
        assert net.blobs["d"].shape == (6, 2 if scaled else 4)
        assert net.layers[-1].dynamic_shape == scaled != net.layers[-1].replayable
        for _ in range(4):
            net.forward()
        assert net.blobs["d"].shape == (6, 7 if scaled else 4)
    with Net(parse_net(SLICED), "TRAIN", plan_only=True) as net:
        assert net.blobs["d"].shape == (6, 2)  # the header does not say


def test_rows_for_all_known_classes_are_made_when_a_file_brought_fewer(tmp_path: Path) -> None:
    fill_database("tiny.training")
    with Net(parse_net(SLICED), "TRAIN", seed=1) as net:
        for blob in net.layers[-1].weights:
            blob.reshape((3, *blob.shape[1:]))
        net.save(tmp_path / "few.caffemodel")
    with Net(parse_net(SLICED), "TRAIN", seed=1, weights=tmp_path / "few.caffemodel") as net:
        assert net.layers[-1].classes == 3
        net.forward()
        assert net.layers[-1].classes == 4 and net.blobs["d"].shape == (6, 4)


def test_a_damaged_label_does_not_take_all_memory() -> None:
    run = decode(np.zeros((2, 50)), [0, 1], "target: KNN recent_items: 1000 k: 1")
    with pytest.raises(NetforgeError, match=r"1,000 .* each of 900,001 classes.* 335\.3 GiB.*largest label"):
        step(run, np.zeros((2, 50)), [0, 900_000])
    with pytest.raises(NetforgeError, match="smaller recent_items"):
        decode(np.zeros((2, 1000)), [0, 1], "target: KNN recent_items: 1000000 k: 1")


def test_given_targets_stand_apart_and_stay() -> None:
    run = decode([[1.0, 0]], [0], "target: PREGEN pregen_label_count: 6 pregen_alpha: 1.5", "d c")
    first, second = step(run)[1], step(run)[1]
    np.testing.assert_array_equal(first, second)
    distances = ((first[:, None] - first[None]) ** 2).sum(axis=2) + 100 * np.eye(6)
    assert distances.min() >= 3
    with pytest.raises(NetforgeError, match="pregen_label_count"):
        decode([[1.0]], [0], "target: PREGEN")
    with pytest.raises(DataError, match="label 6"):
        step(run, [[1.0, 0]], [6])


def test_spread_targets_ends_for_many_points() -> None:
    points = spread_targets(40, 2, 1.0, np.random.default_rng(0))
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2) + 100 * np.eye(40)
    assert distances.min() >= 2


def test_state_counts_the_passes() -> None:
    run, fresh = decode([[1.0]], [0]), decode([[1.0]], [0])
    for _ in range(3):
        step(run)
    fresh.layer.restore(run.layer.state())
    assert fresh.layer.state() == run.layer.state()
    assert fresh.layer.state()["passes"] == 3


def test_accuracy_of_encodings_near_one_hot(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, (126, 2)).astype(float)
    x = rng.uniform(0, 0.2, (126, 3))
    x[np.arange(126), labels[:, 0].astype(int)] += 0.8
    run = LayerRun(row("AccuracyEncoding", "x label", "a"), [x, labels], phase="TEST")
    assert [float(step(run)[0]) for _ in range(3)] == [1, 1, 1]
    np.testing.assert_allclose(run.layer.weights[0].data.argmax(axis=1), range(3))


def test_accuracy_of_distances_at_its_borders() -> None:
    distances = np.array([[1.0, 1], [FLT_MAX, FLT_MAX], [np.nan, 5], [FLT_MAX, 7]])
    run = LayerRun(row("AccuracyDecode", "d label", "a"), [distances, np.array([0.0, 0, 0, 1])], phase="TEST")
    assert run.forward()[0] == 0.5


def test_settings_that_accuracy_of_distances_cannot_follow() -> None:
    for settings, message in (("top_k: 2", "needs top_k: 1"), ('ignore_labels: "{a}"', "no list of whole numbers")):
        with pytest.raises(NetforgeError, match=message):
            text = row("AccuracyDecode", "d label", "a", f"accuracy_param {{ {settings} }}")
            LayerRun(text, [np.zeros((2, 2)), np.zeros(2)])


NET = """
input: "x" input_shape { dim: 3 dim: 2 } input: "label" input_shape { dim: 3 }
layer { name: "decode" type: "Decode" bottom: "x" bottom: "label" top: "d" }
layer { name: "accuracy" type: "AccuracyDecode" bottom: "d" bottom: "label" top: "a" include { phase: TEST } }
"""


def test_a_test_net_sees_the_classes_of_the_training_net() -> None:
    x, label = np.array([[0.0, 1], [1, 0], [5, 5]]), np.array([0.0, 3, 4])
    train, test = Net(parse_net(NET), "TRAIN", seed=1), Net(parse_net(NET), "TEST", seed=1)
    assert train.forward(x=x, label=label)["d"].shape == (3, 5)
    test.share_weights(train)
    assert test.forward(x=x, label=label)["a"] == 1
    train.forward(x=x, label=np.array([0.0, 3, 6]))
    test.share_weights(train)
    test.forward(x=x, label=label)
    assert test.blobs["d"].shape == (3, 7)
