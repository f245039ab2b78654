"""Reading the blocks of `transform_param` that are switched on: which steps each asks a `Transformer` for."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Protocol

from netforge.data.transforms.distortion import Distortion, DistortionRanges
from netforge.data.transforms.noise import NoiseSteps, PixelNoise
from netforge.data.transforms.resizing import Resizing, Size
from netforge.data.transforms.warp import Warp, WarpRanges
from netforge.device.random import RandomStream
from netforge.errors import NetforgeError, counted
from netforge.schema import messages

NOISE_SWITCHES = ("decolorize", "gauss_blur", "hist_eq", "erode", "posterize", "inverse")
NOISE_UNKNOWN = ("clahe", "convert_to_hsv", "convert_to_lab")


class Fail(Protocol):
    """Makes an error that names the layer and the line of a setting (`Layer.fail`)."""

    def __call__(self, found: str, *, setting: str, mend: str | None = None) -> NetforgeError:
        """Make the error."""


def is_active(param: Any, name: str) -> bool:
    """Whether one of the optional blocks is there and switched on, in either of MyCaffe's ways of writing it."""
    block = getattr(param, name)
    return bool(
        param.HasField(name)
        and getattr(block, "active", True)
        and (not block.HasField("option") or block.option.active)
    )


def one_or_each(param: Any, path: str, channels: int, fail: Fail) -> list[float]:
    """The values of a repeated field such as "mean_value" or "resize_param.pad_value": one, or one for each channel."""
    block, name = param, path
    while "." in name:
        outer, _, name = name.partition(".")
        block = getattr(block, outer)
    values = list(getattr(block, name))
    if len(values) not in (1, channels):
        raise fail(
            f"{name} is given {counted(len(values), 'time')} for {counted(channels, 'channel')}",
            setting=f"transform_param.{path}",
            mend="give it once, or once for each channel",
        )
    return values


def mask_of(param: Any) -> tuple[int, int, int, int] | None:
    """The rectangle (left, right, top, bottom) of an active mask_param."""
    mask = param.mask_param
    if not is_active(param, "mask_param"):
        return None
    return mask.boundary_left, mask.boundary_right, mask.boundary_top, mask.boundary_bottom


def make_distortion(param: Any, channels: int, stream: RandomStream, fail: Fail) -> Distortion | None:
    """The changes of colour that an active distortion_param asks for; None where it asks for none.

    Raises what `fail` makes for ranges upside down, and for the saturation or hue of images without three channels.
    """
    block = param.distortion_param
    ranges = DistortionRanges(**{field.name: getattr(block, field.name) for field in fields(DistortionRanges)})
    if not ranges or not is_active(param, "distortion_param"):
        return None
    for name in ("contrast", "saturation"):
        lower, upper = getattr(block, f"{name}_lower"), getattr(block, f"{name}_upper")
        if lower > upper:
            raise fail(
                f"{name}_lower {lower:g} is above {name}_upper {upper:g}",
                setting=f"transform_param.distortion_param.{name}_lower",
                mend="exchange them",
            )
    for name in ("saturation", "hue"):
        if getattr(block, f"{name}_prob") and channels != 3:
            raise fail(
                f"only colours have a {name}, but these images have {counted(channels, 'channel')}",
                setting=f"transform_param.distortion_param.{name}_prob",
                mend=f"set {name}_prob to 0",
            )
    return Distortion(ranges, RandomStream(block.random_seed or stream.seed, stream.name))


def make_resizing(
    param: Any, channels: int, size: tuple[int, int], stream: RandomStream, fail: Fail
) -> Resizing | None:
    """The change of size that an active resize_param asks for; None where it asks for none.

    Raises what `fail` makes where a side is missing, or some images only are to be resized.
    """
    block, methods = param.resize_param, messages.ResizeParameter
    if not is_active(param, "resize_param") or block.prob == 0:
        return None
    if block.prob < 1:
        raise fail(
            f"a prob of {block.prob:g} would leave images of two sizes in a batch",
            setting="transform_param.resize_param.prob",
            mend="write prob: 1, or prob: 0 to leave all as they are",
        )
    for side in ("height", "width"):
        if not getattr(block, side):
            raise fail(
                f"resize_param has no {side}", setting=f"transform_param.resize_param.{side}", mend=f"write {side}: 64"
            )
    values = one_or_each(param, "resize_param.pad_value", channels, fail) if block.pad_value else [0.0]
    wanted = Size(
        block.height,
        block.width,
        methods.ResizeMode.Name(block.resize_mode),
        methods.PadMode.Name(block.pad_mode),
        tuple(values),
    )
    names = [methods.InterpMode.Name(mode) for mode in block.interp_mode or [methods.LINEAR]]
    return Resizing(*size, wanted, names, stream)


def make_pixel_noise(
    param: Any, channels: int, size: tuple[int, int], order: str, stream: RandomStream, fail: Fail
) -> PixelNoise | None:
    """The loss of quality that an active noise_param asks for; None where it asks for none.

    Raises what `fail` makes for steps that are not supported or do not suit the images, and where no prob is given.
    """
    block, path = param.noise_param, "transform_param.noise_param"
    if not is_active(param, "noise_param"):
        return None
    grains = block.saltpepper_param
    steps = NoiseSteps(
        **{name: getattr(block, name) for name in NOISE_SWITCHES},
        jpeg=max(1, round(block.jpeg)) if block.jpeg > 0 else 0,
        saltpepper=grains.fraction if block.saltpepper else 0.0,
        salt=_salt(param, channels, fail),
    )
    wrong = [(name, f"{name} is not supported", f"remove {name}") for name in NOISE_UNKNOWN if getattr(block, name)]
    if steps and not block.HasField("prob"):
        wrong.append(("prob", "noise_param has no prob, so no image would be changed", "write prob: 1"))
    for name, fits in (("decolorize", (3,)), ("hist_eq", (1, 3)), ("jpeg", (1, 3))):
        if getattr(steps, name) and channels not in fits:
            found = f"{name} does not suit images with {counted(channels, 'channel')}"
            wrong.append((name, found, f"remove {name}"))
    if block.saltpepper and not grains.fraction:
        wrong.append(("saltpepper", "saltpepper has no fraction", "write saltpepper_param { fraction: 0.05 }"))
    for name, found, mend in wrong:
        raise fail(found, setting=f"{path}.{name}", mend=mend)
    return PixelNoise(*size, replace(steps, prob=block.prob), order, stream) if steps and block.prob else None


def _salt(param: Any, channels: int, fail: Fail) -> tuple[int, ...]:
    path = "noise_param.saltpepper_param.value"
    given = param.noise_param.saltpepper_param.value
    return tuple(round(value) for value in one_or_each(param, path, channels, fail)) if given else ()


def make_warp(param: Any, size: tuple[int, int], stream: RandomStream) -> Warp | None:
    """The changes of form that an active warp_param asks for, for images of that size; None where it asks for none."""
    block = param.warp_param
    ranges = WarpRanges(**{field.name: getattr(block, field.name) for field in fields(WarpRanges)})
    if not ranges or not is_active(param, "warp_param"):
        return None
    return Warp(*size, ranges, stream)
