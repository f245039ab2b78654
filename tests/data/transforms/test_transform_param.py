"""What each field of transform_param makes of images, and how those that do not fit are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.data import ArraySource
from netforge.data.source import RelabelledSource
from netforge.data.transforms.noise import NoiseSteps, PixelNoise
from netforge.data.transforms.resizing import Resizing, Size
from netforge.data.transforms.transform_param import label_mapping_of, make_transformer
from netforge.device.random import RandomStream
from netforge.errors import SettingsError
from netforge.schema import messages, parse_net

HEIGHT, WIDTH = 5, 6
NAME = "data.transform"


def images(channels: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (4, channels, HEIGHT, WIDTH), np.uint8)


def source_of(channels: int, order: str = "RGB") -> ArraySource:
    pixels = images(channels)
    mean = pixels.mean(0, dtype=np.float32)
    return ArraySource("some", pixels, np.arange(4), mean=mean, color_order=order)


def layer_of(text: str) -> Any:
    return parse_net(f'layer {{ name: "data" type: "Data" top: "x"\ntransform_param {{\n{text}\n}} }}', "n").layers[0]


def transformer(text: str, channels: int = 3, order: str = "RGB", *, train: bool = False, folder: Path | None = None):
    """The transformer for four images; errors name the line of the setting, the block's body begins at line 3."""
    layer = layer_of(text)

    def fail(found: str, *, setting: str, mend: str | None = None) -> SettingsError:
        return SettingsError(found, where=layer.locate(setting), mend=mend)

    return make_transformer(
        layer.message.transform_param,
        source_of(channels, order),
        train=train,
        stream=RandomStream(5, NAME),
        folder=folder,
        plan_only=False,
        fail=fail,
    )


def made(text: str, channels: int = 3, order: str = "RGB", position: int = 0, **options: Any) -> np.ndarray:
    return transformer(text, channels, order, **options)(images(channels), position)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("wanted", ["RGB", "BGR"])
def test_means_follow_the_wanted_order(order: str, wanted: str, tmp_path: Path) -> None:
    """The source's own mean is swapped as its images are; what the user gives is in the wanted order already."""
    pixels = images(3).astype(np.float32)
    swap = slice(None, None, 1 if order == wanted else -1)
    given = np.arange(3 * HEIGHT * WIDTH, dtype=np.float32).reshape(3, HEIGHT, WIDTH)
    blob = messages.BlobProto(num=1, channels=3, height=HEIGHT, width=WIDTH, data=given.ravel())
    (tmp_path / "m.binaryproto").write_bytes(blob.SerializeToString())
    expected = {
        "mean_value: 1 mean_value: 2 mean_value: 3": np.reshape([1, 2, 3], (3, 1, 1)),
        'mean_file: "m.binaryproto"': given,
        "use_imagedb_mean: true": pixels.mean(0)[swap],
        "use_image_mean: true": pixels.mean(0)[swap],
    }
    for text, mean in expected.items():
        found = made(f"color_order: {wanted} {text}", order=order, folder=tmp_path)
        np.testing.assert_allclose(found, pixels[:, swap] - mean, atol=1e-4)


def test_the_sources_mean_becomes_grey_or_colour_as_images_do() -> None:
    found = made("force_gray: true use_imagedb_mean: true")
    grey = np.einsum("nchw,c->nhw", images(3), [0.299, 0.587, 0.114])[:, None]
    np.testing.assert_allclose(found, np.rint(grey) - grey.mean(0), atol=1e-3)
    found = made("force_color: true use_imagedb_mean: true", channels=1)
    one = images(1).astype(np.float32)
    np.testing.assert_allclose(found, np.repeat(one - one.mean(0), 3, 1), atol=1e-4)


@pytest.mark.parametrize("train", [False, True])
def test_resize_param(train: bool) -> None:
    """In every phase, before the crop; the source's mean is brought to the new size too."""
    text = (
        "resize_param { prob: 1 resize_mode: FIT_LARGE_SIZE_AND_PAD height: 9 width: 8 pad_mode: CONSTANT"
        " pad_value: 1 pad_value: 2 pad_value: 3 interp_mode: [AREA, CUBIC] } use_imagedb_mean: true scale: 0.5"
    )
    size = Size(9, 8, "FIT_LARGE_SIZE_AND_PAD", "CONSTANT", (1, 2, 3))
    resizing = Resizing(HEIGHT, WIDTH, size, ["AREA", "CUBIC"], RandomStream(5, f"{NAME}.resize"))
    mean = resizing.average(images(3).mean(0, dtype=np.float32)[None])
    whole = (resizing(images(3), 3) - mean) * np.float32(0.5)
    np.testing.assert_allclose(made(text, position=3, train=train), whole, atol=1e-4)
    np.testing.assert_allclose(made(text + " crop_size: 5", position=3), whole[:, :, 2:7, 1:6], atol=1e-4)
    assert transformer(text).shape == (3, 9, 8)


def test_linear_is_the_method_unless_another_is_named() -> None:
    text = "resize_param { height: 3 width: 4 %s }"
    np.testing.assert_array_equal(made(text % ""), made(text % "interp_mode: LINEAR resize_mode: WARP"))
    assert (made(text % "") != made(text % "interp_mode: NEAREST")).any()


@pytest.mark.parametrize("train", [False, True])
def test_noise_param(train: bool) -> None:
    text = (
        "noise_param { prob: 0.5 gauss_blur: true jpeg: 29.6 hist_eq: true saltpepper: true"
        " saltpepper_param { fraction: 0.25 value: 7 } }"
    )
    steps = NoiseSteps(0.5, gauss_blur=True, jpeg=30, hist_eq=True, saltpepper=0.25, salt=(7,))
    for order in ("RGB", "BGR"):
        noise = PixelNoise(HEIGHT, WIDTH, steps, order, RandomStream(5, f"{NAME}.noise"))
        found = made(text, order=order, position=2, train=train)
        np.testing.assert_array_equal(found, noise(images(3), 2))
    turned = made(f"color_order: BGR {text}", order="RGB", position=2)
    np.testing.assert_array_equal(turned, noise(images(3)[:, ::-1], 2))


def test_a_hue_has_a_probability_and_a_range() -> None:
    found = made("distortion_param { hue_prob: 1 hue_delta: 20 }")
    assert (found != images(3)).mean() > 0.3
    np.testing.assert_array_equal(found.max(1), images(3).max(1))


def test_all_random_changes_are_those_of_the_seed_and_the_draw() -> None:
    text = (
        "mirror: true crop_size: 4 {} distortion_param {{ contrast_prob: 0.5 hue_prob: 0.5 hue_delta: 40 }}"
        " noise_param {{ prob: 0.5 posterize: true }}"
        " resize_param {{ height: 7 width: 7 interp_mode: LINEAR interp_mode: NEAREST }} warp_param {{ shift: 1 }}"
    )
    first, again, later, other = (
        made(text.format(seed), train=True, position=position)
        for seed, position in (("", 1), ("", 1), ("", 2), ("random_seed: 3", 1))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != later).any() and (first != other).any()


@pytest.mark.parametrize("train", [False, True])
def test_mirror_acts_in_every_phase_and_the_crop_is_random_in_training_alone(train: bool) -> None:
    found = np.concatenate([made("crop_size: 3 mirror: true", train=train, position=p) for p in range(70)])
    windows = {
        (y, x, flip): images(3)[:, :, y : y + 3, x : x + 3][..., :: -1 if flip else 1]
        for y in range(3)
        for x in range(4)
        for flip in (False, True)
    }
    seen = {place for place, w in windows.items() for i in range(280) if (found[i] == w[i % 4]).all()}
    assert seen == (set(windows) if train else {(1, 1, False), (1, 1, True)})


def test_switched_off_blocks_do_nothing() -> None:
    off = (
        "resize_param { option { active: false } height: 3 width: 3 }",
        "resize_param { active: false height: 3 width: 3 }",
        "resize_param { prob: 0 resize_mode: WARP interp_mode: [LINEAR, AREA, NEAREST, CUBIC, LANCZOS4] }",
        "noise_param { option { active: false } inverse: true clahe: true }",
        "noise_param { prob: 0 hist_eq: true }",
        "noise_param { prob: 1 clahe: False jpeg: -1 convert_to_hsv: False }",
        "expansion_param { option { active: false } max_expand_ratio: 4 }",
        "expansion_param { prob: 0 max_expand_ratio: 4 }",
        "emit_constraint { option { active: false } emit_type: CENTER }",
        "distortion_param { active: true hue_delta: 18 }",
        "mask_param { active: false boundary_right: 3 }",
        "scale_operator: NONE",
        "force_positive_range_max: 0",
        "color_order: RGB",
    )
    for text in off:
        np.testing.assert_array_equal(made(text), images(3))


def test_a_mask_of_one_pixel() -> None:
    expected = images(3).astype(np.float32)
    expected[:, :, 2, 3] = 0
    found = made("mask_param { boundary_left: 3 boundary_right: 3 boundary_top: 2 boundary_bottom: 2 }")
    np.testing.assert_array_equal(found, expected)


REFUSED = {
    "scale_operator: POW": "n:3:1: scale_operator POW is not supported",
    "scale_operator: NONE scale: 2": "n:3:1: scale_operator NONE does not go with scale 2",
    "force_positive_range_max: 1": "n:3:1: force_positive_range_max is not supported",
    "expansion_param { max_expand_ratio: 2 }": "n:3:1: expansion_param is not supported",
    "emit_constraint { emit_type: CENTER }": "n:3:1: emit_constraint is not supported",
    "resize_param { prob: 0.5 height: 3 width: 3 }": "n:3:16: a prob of 0.5 would leave images of two sizes",
    "resize_param { width: 3 }": "n:3:1: resize_param has no height",
    "resize_param { height: 3 }": "n:3:1: resize_param has no width",
    "resize_param { height: 3 width: 3 pad_value: 1 pad_value: 2 }": "pad_value is given 2 times for 3 channels",
    "resize_param { height: 4 width: 4 }\ncrop_size: 5": "crop_size 5 is larger than the images, 4 x 4 pixels",
    "noise_param { inverse: true }": "n:3:1: noise_param has no prob, so no image would be changed",
    "noise_param { prob: 1\nclahe: true }": "n:4:1: clahe is not supported",
    "noise_param { prob: 1 convert_to_hsv: true }": "convert_to_hsv is not supported",
    "noise_param { prob: 1 convert_to_lab: true }": "convert_to_lab is not supported",
    "noise_param { prob: 1\nsaltpepper: true }": "n:4:1: saltpepper has no fraction",
    "noise_param { prob: 1 saltpepper: true saltpepper_param { fraction: 1 value: 1 value: 2 } }": (
        "value is given 2 times for 3 channels"
    ),
    "force_gray: true noise_param { prob: 1 decolorize: true }": "decolorize does not suit images with 1 channel",
    "force_gray: true distortion_param {\nhue_prob: 1 }": "n:4:1: only colours have a hue, but",
    "mask_param { boundary_left: 6 boundary_right: 9 }": "n:2:1: the mask from column 6 and row 0 on lies beside",
    "mask_param { boundary_left: 3 boundary_right: 2 }": "is no rectangle",
    "mean_value: 1 mean_value: 2": "n:3:1: mean_value is given 2 times for 3 channels",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_followed_is_refused_with_a_mend(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        transformer(text)
    assert REFUSED[text] in str(caught.value)
    assert caught.value.mend


@pytest.mark.parametrize(("channels", "text"), [(2, "noise_param { prob: 1 jpeg: 5 }"), (4, "color_order: BGR")])
def test_other_channels_are_refused(channels: int, text: str) -> None:
    with pytest.raises(SettingsError, match=r"2 channels|have 4: RGB and alpha"):
        transformer(text, channels)


def mapping_of(text: str) -> dict[int, int]:
    layer = layer_of(text)

    def fail(found: str, *, setting: str, mend: str | None = None) -> SettingsError:
        return SettingsError(found, where=layer.locate(setting), mend=mend)

    return label_mapping_of(layer.message.transform_param, fail)


def test_label_mapping() -> None:
    text = 'label_mapping { mapping: "3->1" mapping: " 0 -> -7 " mapping: "3->1" %s }'
    assert mapping_of(text % "") == {3: 1, 0: -7}
    assert mapping_of(text % "active: false") == {}
    assert mapping_of("") == {}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("3=>1", 'mapping "3=>1" is not understood'),
        ("3->x", "labels are whole numbers"),
        ("3->1.5", "labels are whole numbers"),
        ("3->1_0", "labels are whole numbers"),
        ("3->99999999999", "labels are whole numbers"),
        ("3->1?boost=2", "conditions on boosts are not supported"),
        ("2->5", 'mapping "2->5": label 2 becomes 0 already'),
    ],
)
def test_mappings_that_are_none_are_named_with_their_line(mapping: str, message: str) -> None:
    with pytest.raises(SettingsError, match=r"^n:5:1: ") as caught:
        mapping_of(f'label_mapping {{\nmapping: "2->0"\nmapping: "{mapping}" }}')
    assert message in f"{caught.value} {caught.value.mend}"


def test_labels_without_a_mapping_stay_and_names_go_along() -> None:
    pixels, names = images(1), {0: "zero", 1: "one", 2: "two"}
    source = ArraySource("some", pixels, [0, 1, 2, 3], class_names=names)
    mapped = RelabelledSource(source, {2: 0, 1: 9, 3: 1})
    assert mapped.labels.tolist() == [0, 9, 0, 1]
    assert mapped.read(np.array([3, 1]))[1].tolist() == [1, 9]
    assert [mapped.class_name(label) for label in (0, 9, 1)] == ["zero", "one", "one"]
