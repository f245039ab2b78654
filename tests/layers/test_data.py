"""Data and MemoryData: what their tops hold, which settings they refuse, and that a resumed layer draws the same."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from netforge.data import ImageDatabase, open_source
from netforge.data.sampling import Sequential, Shuffled
from netforge.data.transforms.distortion import Distortion, DistortionRanges
from netforge.data.transforms.warp import Warp, WarpRanges
from netforge.device.random import RandomStream
from netforge.errors import DataError, DeviceError, NetforgeError, SettingsError
from netforge.layers.data import Data
from netforge.net import Net
from netforge.schema import messages, parse_net
from tests.data.helpers import array_source, datum, fill_database, write_lmdb

TOPS = 'top: "data" top: "label"'


def data_layer(param: str, transform: str = "", tops: str = TOPS, source: str = "tiny.training") -> str:
    return (
        f'layer {{ name: "pairs" type: "Data" {tops}\n'
        f"  transform_param {{ {transform} }}\n"
        f'  data_param {{ source: "{source}" batch_size: 6 {param} }}\n'
        "}\n"
    )


def batches(text: str, count: int, phase: str = "TRAIN", seed: int = 5, **options) -> list[dict[str, np.ndarray]]:
    """What the tops hold after each of some forward passes."""
    net = Net(parse_net(text), phase, seed=seed, **options)
    found = []
    for _ in range(count):
        net.forward()
        found.append({name: blob.data.copy() for name, blob in net.blobs.items()})
    net.close()
    return found


@pytest.fixture(autouse=True)
def tiny() -> None:
    """A source of 40 images of 4 classes, (1, 5, 6)."""
    fill_database("tiny.training")


def test_single_images_are_drawn_without_replacement() -> None:
    source = array_source()
    index = 'top: "data" top: "label" top: "index"'
    found = batches(data_layer("backend: IMAGEDB output_image_index: true", "scale: 0.5", index), 20)
    drawn = np.concatenate([batch["index"] for batch in found]).astype(int)
    stream = RandomStream(5, "pairs.selection")
    assert drawn.tolist() == Shuffled(40, stream).take(0, 120).tolist()
    np.testing.assert_array_equal(np.concatenate([b["label"] for b in found]), source.labels[drawn])
    np.testing.assert_array_equal(np.concatenate([b["data"] for b in found]), source.images[drawn] * np.float32(0.5))
    assert found[0]["data"].shape == (6, 1, 5, 6) and found[0]["label"].shape == (6,)


def test_images_in_order() -> None:
    found = batches(data_layer("enable_random_selection: false"), 8, "TEST")
    drawn = Sequential(40).take(0, 48)
    np.testing.assert_array_equal(np.concatenate([b["data"] for b in found]), array_source().images[drawn])


def test_batches_of_classes() -> None:
    source = array_source()
    text = SIZELESS.replace(TOPS, TOPS + ' top: "index"')
    found = batches(text.replace("batch_images: 2", "batch_images: 2 output_image_index: true"), 25)
    for batch in found:
        assert batch["data"].shape == (6, 1, 5, 6) and batch["label"].shape == (6,)
        classes = batch["label"].reshape(3, 2)
        assert (classes[:, 0] == classes[:, 1]).all() and len(set(classes[:, 0])) == 3
        index = batch["index"].astype(int)
        assert len(set(index)) == 6
        np.testing.assert_array_equal(batch["label"], source.labels[index])
        np.testing.assert_array_equal(batch["data"], source.images[index])


def test_quarter_turns_are_classes_of_their_own() -> None:
    source = array_source(shape=(1, 5, 5))
    fill_database("square", source)
    index = TOPS + ' top: "index"'
    text = data_layer("quarter_turns: true output_image_index: true", tops=index, source="square")
    drawn = batches(text, 40)
    labels, index = (np.concatenate([b[top] for b in drawn]).astype(int) for top in ("label", "index"))
    np.testing.assert_array_equal(labels, source.labels[index % 40] + index // 40 * 4)
    assert set(labels) == set(range(16))
    data = np.concatenate([b["data"] for b in drawn])
    for turn in range(4):
        chosen = index // 40 == turn
        expected = np.rot90(source.images[index[chosen] % 40], turn, axes=(2, 3))
        np.testing.assert_array_equal(data[chosen], expected)


def test_rand_skip_starts_somewhere_else() -> None:
    starts = {
        batches(data_layer("enable_random_selection: false rand_skip: 3"), 1, seed=s)[0]["label"][0] for s in range(20)
    }
    assert starts == {0, 1, 2, 3}


@pytest.mark.parametrize("pairs", [False, True])
def test_balanced_labels_and_boosts(pairs: bool) -> None:
    """Of first images, or single ones: half are drawn among those with a boost, half every label equally often."""
    source = array_source()
    labels = np.minimum(source.labels * 5, 7)  # 0, 5, 7 and 7
    boosts = (np.arange(40) % 10 == 3) * 2
    with ImageDatabase() as database, database.write() as writer:
        writer.add("boosted", [source.images[:]], labels, boosts=boosts)
    param = "balance_labels: true superboost_probability: 0.5 output_image_index: true"
    if pairs:
        param += " images_per_blob: 2 output_all_labels: true"
    found = batches(data_layer(param, source="boosted", tops=TOPS + ' top: "index"'), 512)
    drawn = np.concatenate([batch["index"].reshape(6, -1)[:, 0] for batch in found]).astype(int)
    plain = np.bincount(labels[drawn[boosts[drawn] == 0]])[[0, 5, 7]]
    without_boost = np.bincount(labels[boosts == 0])[[0, 5, 7]] / np.bincount(labels)[[0, 5, 7]]
    np.testing.assert_allclose(plain / len(drawn), without_boost / 6, atol=0.01)


def test_every_second_image_follows_the_one_before() -> None:
    param = "enable_pair_selection: true images_per_blob: 2 balance_matches: false output_image_index: true"
    (found,) = batches(data_layer(param, tops=TOPS + ' top: "index"'), 1)
    assert ((found["index"][:, 0] + 1) % 40 == found["index"][:, 1]).all()
    assert len(set(np.diff(found["index"][:, 0]).tolist())) > 1


@pytest.mark.parametrize("prefetch", [0, 4])
def test_balanced_pairs_alternate_across_batches(prefetch: int) -> None:
    """Batches of 5: item 5 is the first of the second batch and of different classes."""
    source = array_source()
    param = f"images_per_blob: 2 output_all_labels: true output_image_index: true prefetch: {prefetch}"
    text = data_layer(param, tops=TOPS + ' top: "index"').replace("batch_size: 6", "batch_size: 5")
    found = batches(text, 9)
    labels = np.concatenate([b["label"] for b in found])
    index = np.concatenate([b["index"] for b in found]).astype(int)
    assert labels.shape == (45, 2) and index.shape == (45, 2)
    np.testing.assert_array_equal(labels, source.labels[index])
    np.testing.assert_array_equal(labels[:, 0] == labels[:, 1], np.arange(45) % 2 == 0)
    assert (index[:, 0] != index[:, 1]).all()
    data = np.concatenate([b["data"] for b in found])
    np.testing.assert_array_equal(data[:, :1], source.images[index[:, 0]])
    np.testing.assert_array_equal(data[:, 1:], source.images[index[:, 1]])


def test_pairs_of_colour_images_stand_one_after_the_other() -> None:
    source = array_source(shape=(3, 4, 4))
    fill_database("colour", source)
    tops = TOPS + ' top: "index"'
    (found,) = batches(data_layer("images_per_blob: 2 output_image_index: true", tops=tops, source="colour"), 1)
    assert found["data"].shape == (6, 6, 4, 4)
    index = found["index"].astype(int)
    np.testing.assert_array_equal(found["data"][:, :3], source.images[index[:, 0]])
    np.testing.assert_array_equal(found["data"][:, 3:], source.images[index[:, 1]])


def test_the_label_of_a_pair_is_its_similarity() -> None:
    (found,) = batches(data_layer("images_per_blob: 2"), 1)
    assert found["label"].tolist() == [1, 0, 1, 0, 1, 0]
    unbalanced = batches(data_layer("images_per_blob: 2 balance_matches: false enable_random_selection: false"), 1)[0]
    np.testing.assert_array_equal(unbalanced["data"].reshape(12, 1, 5, 6), array_source().images[np.arange(12)])
    assert unbalanced["label"].tolist() == [0] * 6


def test_forced_primary_label() -> None:
    param = "images_per_blob: 2 output_all_labels: true balance_matches: false enable_random_selection: false"
    (found,) = batches(data_layer(param + " forced_primary_label: 9"), 1)
    assert found["label"].tolist() == [[9, 1], [9, 3]] * 3


@pytest.mark.parametrize("noisy_mean", [True, False])
def test_noise_is_the_partner_from_another_class(noisy_mean: bool) -> None:
    noise = f"use_noisy_mean: {str(noisy_mean).lower()} noise_data_label: 8 noise_filler {{ value: 2 }}"
    param = f"images_per_blob: 2 output_all_labels: true enable_noise_for_nonmatch: true data_noise_param {{ {noise} }}"
    (found,) = batches(data_layer(param, "scale: 0.25"), 1)
    expected = array_source().mean * 2 if noisy_mean else np.full((1, 5, 6), 2.0)
    for i in (1, 3, 5):
        np.testing.assert_allclose(found["data"][i, 1:], expected * 0.25, rtol=1e-6)
        assert found["label"][i, 1] == 8
    assert (found["label"][::2, 0] == found["label"][::2, 1]).all()


@pytest.mark.parametrize(
    "param",
    [
        "",
        "images_per_blob: 2 output_all_labels: true",
        "enable_random_selection: false",
        "batch_classes: 2 batch_images: 3",
    ],
    ids=["single", "pairs", "in order", "class batches"],
)
def test_a_resumed_layer_goes_on_as_if_it_had_never_stopped(param: str) -> None:
    text = data_layer(
        param, "mirror: true crop_size: 4 use_imagedb_mean: true warp_param { shift: 1 elastic_alpha: 3 }"
    )
    whole = batches(text, 9)
    net = Net(parse_net(text), "TRAIN", seed=5)
    for _ in range(4):
        net.forward()
    state = net.state()
    net.close()
    net = Net(parse_net(text), "TRAIN", seed=5)
    net.forward()
    net.restore(state)
    for expected in whole[4:]:
        net.forward()
        np.testing.assert_array_equal(net.blobs["data"].data, expected["data"])
        np.testing.assert_array_equal(net.blobs["label"].data, expected["label"])
    net.close()


def test_prefetching_changes_nothing() -> None:
    param = "images_per_blob: 2 output_all_labels: true"
    transform = "mirror: true crop_size: 3 scale: 0.1"
    slow, ahead = (batches(data_layer(f"{param} prefetch: {n}", transform), 12) for n in (0, 7))
    for a, b in zip(slow, ahead, strict=True):
        np.testing.assert_array_equal(a["data"], b["data"])
        np.testing.assert_array_equal(a["label"], b["label"])


def test_names_and_seeds_make_other_draws() -> None:
    text = data_layer("images_per_blob: 2")
    first, again, seed, name = (
        batches(t, 1, seed=s)[0]["data"].tobytes()
        for t, s in ((text, 1), (text, 1), (text, 2), (text.replace("pairs", "other"), 1))
    )
    assert first == again and len({first, seed, name}) == 3


def test_closing_a_net_ends_its_thread() -> None:
    before = set(threading.enumerate())
    net = Net(parse_net(data_layer("")), "TRAIN", seed=5)
    net.forward()
    assert len(set(threading.enumerate()) - before) == 1
    net.close()
    assert set(threading.enumerate()) <= before


def test_a_batch_that_no_memory_holds_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*arguments: object) -> None:
        raise DeviceError("no memory")

    net = Net(parse_net(data_layer("")), "TRAIN", seed=1)
    monkeypatch.setattr(type(net.device), "zeros", no_memory)
    before = threading.active_count()
    with pytest.raises(DeviceError, match=r'layer "pairs" \(Data\): no memory'):
        net.forward()
    assert threading.active_count() == before


def test_plans_need_the_header_only(netforge_home: Path) -> None:
    net = Net(parse_net(data_layer("images_per_blob: 2", "crop_size: 3")), "TRAIN", plan_only=True)
    assert net.blobs["data"].shape == (6, 2, 3, 3)
    assert not (netforge_home / "cache").exists(), "no pixels were opened"
    with pytest.raises(DataError, match="has no data"):
        net.forward()
    net.close()


def test_the_shape_of_one_image() -> None:
    definition = parse_net(data_layer("images_per_blob: 2", "crop_size: 3 force_color: true")).layers[0]
    assert Data.image_shape(definition, None) == (3, 3, 3)


def test_means() -> None:
    source = array_source()
    raw = batches(data_layer(""), 1)[0]["data"]
    for transform, mean in (
        ("use_imagedb_mean: true", source.mean),
        ("use_image_mean: true", source.mean),
        ("mean_value: 7", np.float32(7)),
    ):
        found = batches(data_layer("", transform), 1)[0]["data"]
        np.testing.assert_array_equal(found, raw - mean)


def test_a_mean_file_is_sought_beside_the_net(tmp_path: Path) -> None:
    mean = array_source().mean
    blob = messages.BlobProto(num=1, channels=1, height=5, width=6, data=mean.ravel())
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    (tmp_path / "net.prototxt").write_text(data_layer("", 'mean_file: "mean.binaryproto"'))
    net = Net(tmp_path / "net.prototxt", "TRAIN", seed=5)
    net.forward()
    np.testing.assert_array_equal(net.blobs["data"].data, batches(data_layer(""), 1)[0]["data"] - mean)
    net.close()


def test_labels_are_mapped_before_pairs_are_made() -> None:
    mapping = 'label_mapping { mapping: "2->0" mapping: "3->1" }'
    found = batches(data_layer("images_per_blob: 2 output_all_labels: true", mapping), 3)
    labels = np.concatenate([b["label"] for b in found])
    assert set(labels.ravel()) == {0, 1}
    np.testing.assert_array_equal(labels[:, 0] == labels[:, 1], np.arange(18) % 2 == 0)


WARP = "warp_param { rotation: 20 shift: 1 shear: 10 zoom: 0.1 elastic_alpha: 4 elastic_sigma: 2 %s }"


def test_warps_are_drawn_from_a_stream_of_their_own() -> None:
    source, order = array_source(), "enable_random_selection: false"
    warp = Warp(5, 6, WarpRanges(20, 1, 10, np.float32(0.1), 4, 2), RandomStream(5, "pairs.transform.warp"))
    found = batches(data_layer(order, "use_imagedb_mean: true scale: 0.5 " + WARP % ""), 3)
    for number, batch in enumerate(found):
        pixels = source.images[np.arange(6) + 6 * number]
        np.testing.assert_allclose(batch["data"], (warp(pixels, number) - source.mean) * np.float32(0.5), atol=1e-4)


@pytest.mark.parametrize(
    ("transform", "phase"),
    [(WARP % "option { active: false }", "TRAIN"), ("warp_param { elastic_sigma: 3 }", "TRAIN"), (WARP % "", "TEST")],
    ids=["switched off", "no strength", "not training"],
)
def test_where_nothing_is_warped(transform: str, phase: str) -> None:
    (found,) = batches(data_layer("enable_random_selection: false", transform), 1, phase)
    np.testing.assert_array_equal(found["data"], array_source().images[:6])


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("own_seed", [0, 8])
def test_distortions_are_drawn_from_a_stream_of_their_own(phase: str, own_seed: int) -> None:
    distort = Distortion(DistortionRanges(0.5, 20, 0.75), RandomStream(own_seed or 5, "pairs.transform.distortion"))
    block = (
        f"distortion_param {{ brightness_prob: 0.5 brightness_delta: 20 contrast_prob: 0.75 random_seed: {own_seed} }}"
    )
    found = batches(data_layer("enable_random_selection: false", block), 3, phase)
    for number, batch in enumerate(found):
        pixels = array_source().images[np.arange(6) + 6 * number]
        np.testing.assert_array_equal(batch["data"], distort(pixels, number))


def test_random_seed_rules_crops_flips_and_warps_alone() -> None:
    param = "enable_random_selection: false"
    transform = "mirror: true crop_size: 3 random_seed: {} warp_param {{ shift: 1 }}"
    first, again, other = (
        batches(data_layer(param, transform.format(own)), 1, seed=seed)[0]["data"].tobytes()
        for own, seed in ((4, 1), (4, 2), (5, 1))
    )
    assert first == again != other


def test_colour_order() -> None:
    source = array_source(shape=(3, 4, 4))
    fill_database("colour", source)
    param = "enable_random_selection: false"
    images = source.images[:6]
    for transform, expected in (("", images), ("color_order: RGB", images), ("color_order: BGR", images[:, ::-1])):
        (found,) = batches(data_layer(param, transform, source="colour"), 1)
        np.testing.assert_array_equal(found["data"], expected)
    (found,) = batches(data_layer(param, "color_order: BGR use_imagedb_mean: true", source="colour"), 1)
    np.testing.assert_array_equal(found["data"], (images - source.mean)[:, ::-1])


def test_blocks_that_are_switched_off_are_accepted() -> None:
    transform = (
        "distortion_param { option { active: true } brightness_prob: 0 contrast_prob: 0 saturation_prob: 0 }"
        " mask_param { option { active: false } boundary_left: 1 boundary_right: 3 boundary_top: 0 boundary_bottom: 2 }"
        " color_order: RGB scale_operator: MUL force_positive_range_max: 0"
    )
    np.testing.assert_array_equal(
        batches(data_layer("", transform), 1)[0]["data"], batches(data_layer(""), 1)[0]["data"]
    )


def test_an_active_mask() -> None:
    mask = "mask_param { boundary_left: 1 boundary_right: 3 boundary_top: 0 boundary_bottom: 2 }"
    found, plain = (batches(data_layer("", text), 1)[0]["data"] for text in (mask, ""))
    assert not found[:, :, 0:3, 1:4].any()
    found[:, :, 0:3, 1:4] = plain[:, :, 0:3, 1:4]
    np.testing.assert_array_equal(found, plain)


REFUSED = {
    "no batch size": (data_layer("").replace("batch_size: 6", ""), "batch_size is missing"),
    "no source": ('layer { name: "d" type: "Data" top: "d" data_param { batch_size: 1 } }', "no source is given"),
    "labels of pairs": (data_layer("output_all_labels: true"), "output_all_labels has a meaning for pairs only"),
    "noise of pairs": (data_layer("enable_noise_for_nonmatch: true"), "has a meaning for pairs only"),
    "unbalanced noise": (
        data_layer("images_per_blob: 2 balance_matches: false enable_noise_for_nonmatch: true"),
        "needs balanced pairs",
    ),
    "saved noise": (
        data_layer('images_per_blob: 2 enable_noise_for_nonmatch: true data_noise_param { noisy_data_path: "x" }'),
        "saving the noise image is not supported",
    ),
    "many labels": (data_layer("label_type: MULTIPLE"), "label_type MULTIPLE is not supported"),
    "no labels": (data_layer("label_type: NONE"), "label_type NONE is not supported with a label top"),
    "one hot": (data_layer("one_hot_label_size: 4"), "one_hot_label_size is not supported"),
    "followers in order": (
        data_layer("enable_pair_selection: true enable_random_selection: false"),
        "enable_pair_selection has a meaning for images drawn at random only",
    ),
    "followers of balanced pairs": (
        data_layer("enable_pair_selection: true images_per_blob: 2"),
        "enable_pair_selection does not go with balance_matches",
    ),
    "skip of random images": (data_layer("rand_skip: 2"), "rand_skip goes with images in stored order only"),
    "skip of balanced labels": (
        data_layer("rand_skip: 2 balance_labels: true enable_random_selection: false"),
        "rand_skip does not go with balance_labels",
    ),
    "balanced single images": (data_layer("balance_matches: true"), "balance_matches has a meaning for pairs only"),
    "one label to force": (
        data_layer("images_per_blob: 2 forced_primary_label: 3"),
        "forced_primary_label has a meaning with output_all_labels only",
    ),
    "nothing boosted": (
        data_layer("superboost_probability: 0.5"),
        'needs images with a boost above 0, but "tiny.training" has none',
    ),
    "too often": (data_layer("superboost_probability: 1.5"), "superboost_probability"),
    "index": (data_layer("output_image_index: true"), "output_image_index does not go with 2 tops"),
    "no index": (data_layer("", tops=TOPS + ' top: "index"'), "output_image_index does not go with 3 tops"),
    "large crop": (data_layer("", "crop_size: 6"), "crop_size 6 is larger than the images, 5 x 6 pixels"),
    "two means": (data_layer("", "mean_value: 3 use_imagedb_mean: true"), "exclude each other"),
    "mean and file": (data_layer("", 'mean_value: 3 mean_file: "m"'), "exclude each other"),
    "mean values": (data_layer("", "mean_value: 3 mean_value: 4"), "mean_value is given 2 times for 1 channel"),
    "no mean file": (data_layer("", 'mean_file: "nowhere.binaryproto"'), "nowhere.binaryproto"),
    "grey colour": (data_layer("", "force_color: true force_gray: true"), "exclude each other"),
    "power": (data_layer("", "scale_operator: POW"), "scale_operator POW is not supported"),
    "range": (data_layer("", "force_positive_range_max: 3"), "force_positive_range_max is not supported"),
    "grey saturation": (
        data_layer("", "distortion_param { saturation_prob: 0.5 }"),
        "only colours have a saturation, but these images have 1 channel",
    ),
    "contrast upside down": (
        data_layer("", "distortion_param { contrast_prob: 0.5 contrast_upper: 0.25 }"),
        "contrast_lower 0.5 is above contrast_upper 0.25",
    ),
    "mapping": (data_layer("", 'label_mapping { mapping: "3=>1" }'), 'mapping "3=>1" is not understood'),
    "boost": (data_layer("", 'label_mapping { mapping: "3->1?boost=2" }'), "conditions on boosts are not supported"),
    "three images": (data_layer("images_per_blob: 3"), "images_per_blob"),
    "unknown source": (data_layer("", source="tiny.trainin"), 'Did you mean "tiny.training"'),
    "one class": (
        data_layer("images_per_blob: 2", source="same"),
        "balance_matches needs images of at least two classes",
    ),
    "no mean": (data_layer("", "use_imagedb_mean: true", source="DB"), "has no mean"),
    "no mean of noise": (data_layer("images_per_blob: 2 enable_noise_for_nonmatch: true", source="DB"), "has no mean"),
    "leveldb": (data_layer("backend: LEVELDB"), "Write backend: IMAGEDB"),
}


SIZELESS = data_layer("batch_classes: 3 batch_images: 2").replace("batch_size: 6", "")
REFUSED |= {
    "no images of a class": (data_layer("batch_classes: 3"), "batch_classes needs batch_images"),
    "no classes": (data_layer("batch_images: 3"), "batch_images needs batch_classes"),
    "size of class batches": (data_layer("batch_classes: 3 batch_images: 3"), "batch_size 6 is not batch_classes 3"),
    "pairs of class batches": (data_layer("batch_classes: 3 batch_images: 2 images_per_blob: 2"), "images_per_blob"),
    "skip of class batches": (data_layer("batch_classes: 3 batch_images: 2 rand_skip: 2"), "rand_skip"),
    "order of class batches": (
        data_layer("batch_classes: 3 batch_images: 2 enable_random_selection: false"),
        "enable_random_selection false does not go",
    ),
    "balance of class batches": (
        data_layer("batch_classes: 3 batch_images: 2 balance_matches: true"),
        "balance_matches has a meaning for pairs only",
    ),
    "labels of class batches": (
        data_layer("batch_classes: 3 batch_images: 2 balance_labels: true"),
        "balance_labels does not go with batch_classes",
    ),
    "boosts of class batches": (
        data_layer("batch_classes: 3 batch_images: 2 superboost_probability: 0.5"),
        "superboost_probability does not go with batch_classes",
    ),
    "followers of class batches": (
        data_layer("batch_classes: 3 batch_images: 2 enable_pair_selection: true"),
        "enable_pair_selection does not go with batch_classes",
    ),
    "turned rectangles": (data_layer("quarter_turns: true"), 'square images, but those of "tiny.training" have 5 x 6'),
    "few classes": (
        SIZELESS.replace("batch_classes: 3", "batch_classes: 5"),
        "batch_classes asks for 5 classes, but the source has 4",
    ),
    "few images": (
        SIZELESS.replace("batch_images: 2", "batch_images: 11"),
        "batch_images asks for 11 images of each class, but there are fewer in 4 classes: 10 in class zero",
    ),
}
NEEDS_DATA = {"nothing boosted", "few classes", "few images", "one class", "no mean", "no mean of noise", "saved noise"}


@pytest.mark.parametrize("kind", sorted(REFUSED.keys() - NEEDS_DATA))
def test_a_plan_finds_them_too(kind: str) -> None:
    text, message = REFUSED[kind]
    with pytest.raises(NetforgeError) as caught:
        Net(parse_net(text), "TRAIN", plan_only=True)
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", REFUSED)
def test_settings_that_cannot_be_are_refused(kind: str, tmp_path: Path) -> None:
    text, message = REFUSED[kind]
    if kind == "one class":
        fill_database("same", array_source(classes=1))
    images = array_source(shape=(3, 2, 2)).images
    db = write_lmdb(tmp_path / "db", {b"0": datum(images[0], 0), b"1": datum(images[1], 1)})
    with pytest.raises(NetforgeError) as caught:
        Net(parse_net(text.replace('"DB"', f'"{db}"')), "TRAIN", seed=1)
    assert message in str(caught.value)
    assert '"pairs" (Data)' in str(caught.value) or kind in ("no source", "three images", "too often")
    assert str(caught.value.where).startswith("<text>:"), "the error names a line of the file"


def test_lmdb_sources_are_read_in_order_and_pairs_of_them_too(tmp_path: Path) -> None:
    source = array_source(10, (2, 3, 3), classes=3)
    records = {f"{i:03}".encode(): datum(source.images[i], int(source.labels[i])) for i in range(10)}
    db = str(write_lmdb(tmp_path / "db", records))
    found = batches(data_layer("backend: LMDB", source=db), 3)
    np.testing.assert_array_equal(np.concatenate([b["data"] for b in found]), source.images[np.arange(18) % 10])
    (pairs,) = batches(data_layer("images_per_blob: 2 output_all_labels: true", source=db), 1)
    np.testing.assert_array_equal(pairs["data"][:, :2], source.images[:6])
    assert (pairs["label"][:, 0] == pairs["label"][:, 1]).tolist() == [True, False] * 3


def test_a_bad_record_surfaces_in_forward_with_its_key_and_layer(tmp_path: Path) -> None:
    records = {f"{i:03}".encode(): datum(array_source().images[i]) for i in range(20)} | {b"013": b"\xff\xff"}
    db = str(write_lmdb(tmp_path / "db", records))
    net = Net(parse_net(data_layer("", source=db)), "TRAIN", seed=1)
    net.forward()
    net.forward()
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            net.forward()
        assert "record '013'" in str(caught.value) and '"pairs" (Data)' in str(caught.value)
    net.close()


def test_labels_must_fit_into_a_float() -> None:
    source = array_source()
    source.labels[3] = 1 << 25
    fill_database("large", source)
    with pytest.raises(DataError, match="a label is larger than 16777216"):
        batches(data_layer("enable_random_selection: false", source="large"), 1)


def test_digits_need_no_import() -> None:
    (found,) = batches(data_layer("images_per_blob: 2", source="digits.testing"), 1)
    assert found["data"].shape == (6, 2, 8, 8)
    assert open_source("IMAGEDB", "digits.testing").count == 500


MEMORY = """
layer { name: "input" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 2 channels: 1 height: 3 width: 4 } %s }
"""


def memory_net(rest: str = "") -> Net:
    return Net(parse_net(MEMORY % rest), "TEST", seed=1)


def test_memory_data_serves_arrays_and_wraps_around() -> None:
    net = memory_net()
    data, labels = np.random.default_rng(1).random((6, 1, 3, 4)), np.arange(6)
    net.layers[0].set_input_arrays(data, labels[:, None, None, None])
    for i in (0, 2, 4, 0):
        net.forward()
        np.testing.assert_array_equal(net.blobs["data"].data, data[i : i + 2].astype(np.float32))
        assert net.blobs["label"].data.tolist() == [i, i + 1]
    state = net.state()
    net.layers[0].set_input_arrays(data, labels)
    net.forward()
    assert net.blobs["label"].data.tolist() == [0, 1]
    net.restore(state)
    net.forward()
    assert net.blobs["label"].data.tolist() == [2, 3]


def test_memory_data_transforms_images() -> None:
    net = memory_net("transform_param { scale: 0.5 mean_value: 4 }")
    images = np.arange(24, dtype=np.uint8).reshape(2, 1, 3, 4)
    net.layers[0].add_images(images, [1, 2])
    net.forward()
    np.testing.assert_array_equal(net.blobs["data"].data, (images.astype(np.float32) - 4) / 2)


def test_memory_data_refuses_what_does_not_fit() -> None:
    net = memory_net()
    layer = net.layers[0]
    with pytest.raises(DataError, match="no data was handed over"):
        net.forward()
    for data, labels, message in (
        (np.zeros((2, 1, 4, 3)), np.zeros(2), r"data has shape \(2, 1, 4, 3\), expected \(n, 1, 3, 4\)"),
        (np.zeros((3, 1, 3, 4)), np.zeros(3), "3 items do not fill whole batches"),
        (np.zeros((0, 1, 3, 4)), np.zeros(0), "0 items do not fill whole batches"),
        (np.zeros((2, 1, 3, 4)), np.zeros(3), "2 items have 3 labels"),
    ):
        with pytest.raises(DataError, match=message):
            layer.set_input_arrays(data, labels)
    with pytest.raises(SettingsError, match="height is missing"):
        Net(parse_net(MEMORY.replace("height: 3", "") % ""), "TEST")


PAIRS = "images_per_blob: 2 output_all_labels: true"


@pytest.mark.parametrize(
    ("param", "transform", "below"),
    [
        ("backend: IMAGEDB", "", 4),
        ("backend: IMAGEDB images_per_blob: 2", "", 2),
        (f"backend: IMAGEDB {PAIRS}", "", 4),
        (f"backend: IMAGEDB {PAIRS} balance_matches: false forced_primary_label: 7", "", 8),
        (
            f"backend: IMAGEDB {PAIRS} enable_noise_for_nonmatch: true data_noise_param {{ noise_data_label: 5 }}",
            "",
            6,
        ),
        ("backend: IMAGEDB", 'label_mapping { mapping: "3->11" }', 12),
        ("backend: IMAGEDB", 'label_mapping { mapping: "3->-1" }', None),
    ],
)
def test_the_largest_label_is_known(param: str, transform: str, below: int | None) -> None:
    with Net(parse_net(data_layer(param, transform)), "TRAIN", seed=5) as net:
        assert net.blobs["label"].data_storage.below == below
        assert net.blobs["data"].data_storage.below is None
    with Net(parse_net(data_layer(param, transform)), "TRAIN", plan_only=True) as net:
        assert net.blobs["label"].data_storage.below is None  # the header does not say


def test_a_long_pass_for_labels_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = str(write_lmdb(tmp_path, {f"{i}".encode(): datum(np.zeros((1, 5, 6), np.uint8), i) for i in range(6)}))
    for limit, below in ((1 << 20, 6), (0, None)):
        monkeypatch.setattr("netforge.data.sources.lmdb.CHEAP_PASS_BYTES", limit)
        with Net(parse_net(data_layer("backend: LMDB", source=source)), "TRAIN", seed=5) as net:
            assert net.blobs["label"].data_storage.below == below
