"""Reading `transform_param`: which `Transformer` a layer asks for, and which labels."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from netforge.data.distortion import Distortion, DistortionRanges
from netforge.data.mean import read_mean
from netforge.data.source import Source
from netforge.data.transform import Transformer
from netforge.data.warp import Warp, WarpRanges
from netforge.device.random import RandomStream
from netforge.errors import NetforgeError, ShapeError, counted
from netforge.schema import messages, resolve_path


class Fail(Protocol):
    """Makes an error that names the layer and the line of a setting (`Layer.fail`)."""

    def __call__(self, found: str, *, setting: str, mend: str | None = None) -> NetforgeError:
        """Make the error."""


def make_transformer(
    param: Any, source: Source, *, train: bool, stream: RandomStream, folder: Path | None, plan_only: bool, fail: Fail
) -> Transformer:
    """The transformer that a TransformationParameter describes, for the images of a source.

    train: random crops, and warps. stream: random choices. folder: where mean_file is looked up. plan_only: do not ask
    the source for its mean. Raises what `fail` makes for settings that contradict each other, do not fit the images, or
    are not supported.
    """
    refuse_unknown(param, fail)
    channels = 3 if param.force_color else 1 if param.force_gray else source.shape[0]
    if param.force_color and param.force_gray:
        raise fail(
            "force_color and force_gray exclude each other", setting="transform_param.force_gray", mend="keep one"
        )
    wanted = messages.TransformationParameter.ColorOrder.Name(param.color_order)
    swap = param.HasField("color_order") and channels == 3 and wanted != source.color_order
    seed = param.random_seed or stream.seed
    mean = find_mean(param, source, channels, folder, plan_only, fail)
    if mean is not None and swap and mean.shape[0] == 3 and uses_database_mean(param):
        mean = mean[::-1]
    try:
        return Transformer(
            source.shape,
            stream=RandomStream(seed, stream.name),
            scale=param.scale,
            mean=mean,
            crop=param.crop_size,
            mirror=param.mirror,
            train=train,
            channels=channels,
            swap=swap,
            color_order=source.color_order,
            mask=mask_of(param),
            distortion=make_distortion(param, channels, RandomStream(seed, f"{stream.name}.distortion"), fail),
            warp=make_warp(param, source, RandomStream(seed, f"{stream.name}.warp")) if train else None,
        )
    except ShapeError as error:
        raise fail(error.found, setting="transform_param", mend=error.mend) from error


def is_active(block: Any) -> bool:
    """Whether one of MyCaffe's optional blocks is switched on, in either way of writing it."""
    return bool(getattr(block, "active", True) and (not block.HasField("option") or block.option.active))


def refuse_unknown(param: Any, fail: Fail) -> None:
    """Raise for settings that are switched on and that netforge does not know: none is left out in silence."""
    if param.HasField("scale_operator") and param.scale_operator == messages.TransformationParameter.POW:
        raise fail("scale_operator POW is not supported", setting="transform_param.scale_operator", mend="use MUL")
    if param.force_positive_range_max:
        raise fail(
            "force_positive_range_max is not supported",
            setting="transform_param.force_positive_range_max",
            mend="use scale and mean_value",
        )


def uses_database_mean(param: Any) -> bool:
    """Whether the mean stored with the source is to be taken off, in either spelling."""
    return bool(param.use_imagedb_mean or param.use_image_mean)


def find_mean(
    param: Any, source: Source, channels: int, folder: Path | None, plan_only: bool, fail: Fail
) -> npt.NDArray[np.float32] | None:
    """The mean to take off: (C, H, W) from a file or the source, (C, 1, 1) or (1, 1, 1) from mean_value, or None.

    plan_only: only the header of the source is known, so its mean is not asked for.
    """
    given = [param.HasField("mean_file"), bool(param.mean_value), uses_database_mean(param)]
    if sum(given) > 1:
        raise fail(
            "mean_file, mean_value and use_imagedb_mean exclude each other",
            setting="transform_param.mean_value" if param.mean_value else "transform_param.mean_file",
            mend="keep one of them",
        )
    if given[0]:
        return read_mean(resolve_path(param.mean_file, folder))
    if given[1]:
        if len(param.mean_value) not in (1, channels):
            raise fail(
                f"mean_value is given {counted(len(param.mean_value), 'time')} for {counted(channels, 'channel')}",
                setting="transform_param.mean_value",
                mend="give it once, or once for each channel",
            )
        return np.array(param.mean_value, np.float32)[:, None, None]
    if not given[2] or plan_only:
        return None
    if source.mean is None:
        raise fail(
            f'source "{source.name}" has no mean',
            setting="transform_param.use_imagedb_mean",
            mend="use mean_file or mean_value; sources of the image database get a mean when they are imported",
        )
    return source.mean


def mask_of(param: Any) -> tuple[int, int, int, int] | None:
    """The rectangle (left, right, top, bottom) of an active mask_param."""
    mask = param.mask_param
    if not param.HasField("mask_param") or not is_active(mask):
        return None
    return mask.boundary_left, mask.boundary_right, mask.boundary_top, mask.boundary_bottom


def make_distortion(param: Any, channels: int, stream: RandomStream, fail: Fail) -> Distortion | None:
    """The changes of colour that an active distortion_param asks for; None where it asks for none.

    Raises what `fail` makes for ranges upside down, and for the saturation of images that are not of three channels.
    """
    block = param.distortion_param
    ranges = DistortionRanges(**{field.name: getattr(block, field.name) for field in fields(DistortionRanges)})
    if not ranges or not is_active(block):
        return None
    for name in ("contrast", "saturation"):
        lower, upper = getattr(block, f"{name}_lower"), getattr(block, f"{name}_upper")
        if lower > upper:
            raise fail(
                f"{name}_lower {lower:g} is above {name}_upper {upper:g}",
                setting=f"transform_param.distortion_param.{name}_lower",
                mend="exchange them",
            )
    if ranges.saturation_prob and channels != 3:
        raise fail(
            f"only colours have a saturation, but these images have {counted(channels, 'channel')}",
            setting="transform_param.distortion_param.saturation_prob",
            mend="set saturation_prob to 0",
        )
    return Distortion(ranges, RandomStream(block.random_seed or stream.seed, stream.name))


def make_warp(param: Any, source: Source, stream: RandomStream) -> Warp | None:
    """The changes of form that an active warp_param asks for; None where it asks for none."""
    block = param.warp_param
    ranges = WarpRanges(**{field.name: getattr(block, field.name) for field in fields(WarpRanges)})
    if not ranges or not is_active(block):
        return None
    _, height, width = source.shape
    return Warp(height, width, ranges, stream)


def label_mapping_of(param: Any, fail: Fail) -> dict[int, int]:
    """Original label to new label, from an active label_mapping; empty where there is none."""
    block = param.label_mapping
    if not param.HasField("label_mapping") or not is_active(block):
        return {}
    mapping = {}
    for text in block.mapping:
        old, _, new = text.partition("->")
        try:
            mapping[int(old)] = int(new)
        except ValueError:
            raise fail(
                f'mapping "{text}" is not understood',
                setting="transform_param.label_mapping",
                mend='write mapping: "3->1"; conditions on boosts are not supported',
            ) from None
    return mapping
