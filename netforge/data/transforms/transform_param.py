"""Reading `transform_param`: which `Transformer` a layer asks for, and which labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.formats.mean import read_mean
from netforge.data.source import Source
from netforge.data.transforms.blocks import (
    Fail,
    is_active,
    make_distortion,
    make_pixel_noise,
    make_resizing,
    make_warp,
    mask_of,
    one_or_each,
)
from netforge.data.transforms.colour import Recolour
from netforge.data.transforms.resizing import Resizing
from netforge.data.transforms.transformer import Transformer
from netforge.device.random import RandomStream
from netforge.errors import ShapeError
from netforge.schema import messages, resolve_path

# "3->1", with digits that a label can have.
_MAPPING = re.compile(r"\s*(-?\d{1,9})\s*->\s*(-?\d{1,9})\s*")


def make_transformer(
    param: Any, source: Source, *, train: bool, stream: RandomStream, folder: Path | None, plan_only: bool, fail: Fail
) -> Transformer:
    """The transformer that a TransformationParameter describes, for the images of a source.

    train: random crops, and warps. stream: random choices. folder: where mean_file is looked up. plan_only: do not ask
    the source for its mean. Raises what `fail` makes for settings that contradict each other, do not fit the images, or
    are not supported.
    """
    refuse_unsupported(param, fail)
    stream = RandomStream(param.random_seed or stream.seed, stream.name)

    def beside(purpose: str) -> RandomStream:
        return RandomStream(stream.seed, f"{stream.name}.{purpose}")

    try:
        recolour = make_recolour(param, source, fail)
        channels, size = recolour.given, source.shape[1:]
        distortion = make_distortion(param, channels, beside("distortion"), fail)
        resizing = make_resizing(param, channels, size, beside("resize"), fail)
        size = resizing.shape if resizing else size
        return Transformer(
            source.shape,
            stream=stream,
            recolour=recolour,
            scale=param.scale,
            mean=find_mean(param, source, recolour, resizing, folder, plan_only, fail),
            crop=param.crop_size,
            mirror=param.mirror,
            train=train,
            mask=mask_of(param),
            distortion=distortion,
            resizing=resizing,
            noise=make_pixel_noise(param, channels, size, recolour.given_order, beside("noise"), fail),
            warp=make_warp(param, size, beside("warp")) if train else None,
        )
    except ShapeError as error:
        raise fail(error.found, setting="transform_param", mend=error.mend) from error


def make_recolour(param: Any, source: Source, fail: Fail) -> Recolour:
    """What force_color, force_gray and color_order ask for."""
    if param.force_color and param.force_gray:
        raise fail(
            "force_color and force_gray exclude each other", setting="transform_param.force_gray", mend="keep one"
        )
    channels = 3 if param.force_color else 1 if param.force_gray else None
    wanted = messages.TransformationParameter.ColorOrder.Name(param.color_order)
    return Recolour(source.shape[0], channels, source.color_order, wanted if param.HasField("color_order") else None)


def refuse_unsupported(param: Any, fail: Fail) -> None:
    """Raise for settings that are switched on and that netforge does not follow: none is left out in silence."""
    operators = messages.TransformationParameter
    operator = param.scale_operator if param.HasField("scale_operator") else operators.MUL
    expands = param.expansion_param.prob > 0 and param.expansion_param.max_expand_ratio > 1
    no_boxes = "Data layers give images without boxes; remove it"
    wrong = (
        ("scale_operator", operator == operators.POW, "POW is not supported", "use MUL"),
        (
            "scale_operator",
            operator == operators.NONE and param.scale != 1,
            f"NONE does not go with scale {param.scale:g}",
            "use MUL, or remove scale",
        ),
        (
            "force_positive_range_max",
            param.force_positive_range_max,
            "is not supported",
            "use scale and mean_value",
        ),
        (
            "expansion_param",
            expands and is_active(param, "expansion_param"),
            "is not supported",
            "use warp_param { zoom: 0.5 }, which makes images larger and smaller",
        ),
        ("emit_constraint", is_active(param, "emit_constraint"), "is not supported", no_boxes),
    )
    for name, is_wrong, found, mend in wrong:
        if is_wrong:
            raise fail(f"{name} {found}", setting=f"transform_param.{name}", mend=mend)


def uses_database_mean(param: Any) -> bool:
    """Whether the mean stored with the source is to be taken off, in either spelling."""
    return bool(param.use_imagedb_mean or param.use_image_mean)


def find_mean(
    param: Any,
    source: Source,
    recolour: Recolour,
    resizing: Resizing | None,
    folder: Path | None,
    plan_only: bool,
    fail: Fail,
) -> npt.NDArray[np.float32] | None:
    """The mean to take off: (C, H, W) from a file or the source, (C, 1, 1) or (1, 1, 1) from mean_value, or None.

    What the user gives is meant for images as they are before the crop. The source's mean is that of stored images, and
    is changed as they are. plan_only: only the header of the source is known, so its mean is not asked for.
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
        return np.array(one_or_each(param, "mean_value", recolour.given, fail), np.float32)[:, None, None]
    if not given[2] or plan_only:
        return None
    if source.mean is None:
        raise fail(
            f'source "{source.name}" has no mean',
            setting="transform_param.use_imagedb_mean",
            mend="use mean_file or mean_value; sources of the image database get a mean when they are imported",
        )
    mean: npt.NDArray[np.float32] = recolour(source.mean[None])
    if resizing:
        mean = resizing.average(mean)
    return mean.reshape(mean.shape[1:])


def label_mapping_of(param: Any, fail: Fail) -> dict[int, int]:
    """Original label to new label, from an active label_mapping; empty where there is none.

    Raises what `fail` makes for a mapping that is none, or of a label that another one maps already.
    """
    if not is_active(param, "label_mapping"):
        return {}
    mapping: dict[int, int] = {}
    for place, text in enumerate(param.label_mapping.mapping):
        setting = f"transform_param.label_mapping.mapping[{place}]"
        match = _MAPPING.fullmatch(text)
        if match is None:
            known = "conditions on boosts are not supported" if "?" in text else "labels are whole numbers"
            raise fail(f'mapping "{text}" is not understood', setting=setting, mend=f'write mapping: "3->1"; {known}')
        old, new = int(match[1]), int(match[2])
        if mapping.setdefault(old, new) != new:
            raise fail(
                f'mapping "{text}": label {old} becomes {mapping[old]} already',
                setting=setting,
                mend="keep one of them",
            )
    return mapping
