"""What data_param and transform_param of a layer ask for: its source, its transformer, its sampler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from netforge.data.batches.class_batches import ClassBatchSampler
from netforge.data.batches.reader import Noise, Sampler
from netforge.data.batches.turns import QuarterTurns
from netforge.data.sampling import BalancedPairSampler, ClassIndex, NextPairSampler, SingleSampler
from netforge.data.source import RelabelledSource, Source
from netforge.data.sources.opening import open_source
from netforge.data.transforms.blocks import Fail
from netforge.data.transforms.transform_param import label_mapping_of, make_transformer
from netforge.data.transforms.transformer import Transformer
from netforge.device.random import RandomStream
from netforge.errors import DataError, NetforgeError
from netforge.filler import make_fill
from netforge.layers.base import Layer
from netforge.layers.data_selection import make_selection, stream_of
from netforge.layers.image_data_param import open_list
from netforge.registry import fold
from netforge.schema import LayerDefinition, messages

FOR_SINGLES = "does not go with batch_classes"
FOR_PAIRS = "has a meaning for pairs only"
NEEDS_BALANCE = "needs balanced pairs"
INDEX_MEND = "write output_image_index: true and three tops, or neither"


def open_for(definition: LayerDefinition, folder: Path | None, *, header_only: bool, fail: Fail) -> Source:
    """The source that data_param or image_data_param names, under the labels that transform_param asks for.

    Raises SettingsError where none is named, DataError where it cannot be opened, each at the line that is meant.
    """
    mapping = label_mapping_of(definition.message.transform_param, fail)
    if fold(definition.type) == "imagedata":
        listed = open_list(definition, folder, fail)
        return RelabelledSource(listed, mapping) if mapping else listed
    settings = definition.settings("data_param")
    if not settings.source:
        raise fail("no source is given", setting="data_param", mend='write source: "NAME" in data_param')
    backend = messages.DataParameter.DB.Name(settings.backend) if settings.HasField("backend") else None
    try:
        source = open_source(backend, settings.source, folder=folder, header_only=header_only)
    except NetforgeError as error:
        raise error.at(definition.locate("data_param.source")) from error.__cause__
    if mapping:
        source = RelabelledSource(source, mapping)
    if not settings.quarter_turns:
        return source
    try:
        return QuarterTurns(source, header_only=header_only)
    except DataError as error:
        raise error.at(definition.locate("data_param.quarter_turns")) from None


def transformer_for(
    definition: LayerDefinition,
    source: Source,
    *,
    phase: str,
    seed: int,
    folder: Path | None,
    plan_only: bool,
    fail: Fail,
) -> Transformer:
    """The transformer that a layer's transform_param describes, for the images of a source."""
    param = messages.TransformationParameter()
    param.CopyFrom(definition.message.transform_param)
    if definition.has("data_param") and definition.settings("data_param").force_encoded_color:
        param.force_color = True
    return make_transformer(
        param,
        source,
        train=phase == "TRAIN",
        stream=RandomStream(seed, f"{definition.name}.transform"),
        folder=folder,
        plan_only=plan_only,
        fail=fail,
    )


def check_data_param(layer: Layer, tops: int) -> None:
    """Raise for settings of a Data layer that are missing, contradict each other, or are not supported."""
    settings, pairs = layer.settings, layer.settings.images_per_blob == 2
    if settings.batch_classes or settings.batch_images:
        _check_class_batches(layer)
    elif settings.batch_size < 1:
        raise layer.fail("batch_size is missing", setting="data_param", mend="write batch_size: 64 in data_param")
    form = messages.DataParameter.LabelType.Name(settings.label_type)
    plain = form == "SINGLE" or (form == "NONE" and tops == 1)
    noise, balanced = settings.enable_noise_for_nonmatch, settings.balance_matches
    asked, forced = settings.HasField("balance_matches") and balanced, settings.forced_primary_label >= 0
    wrong = (
        ("images_per_blob", settings.images_per_blob not in (1, 2), "must be 1 or 2", "use 1, or 2 for pairs"),
        ("label_type", not plain, f"{form} is not supported with a label top", "use SINGLE"),
        ("one_hot_label_size", settings.one_hot_label_size, "is not supported", "use plain labels"),
        ("output_all_labels", settings.output_all_labels and not pairs, FOR_PAIRS, "write images_per_blob: 2"),
        ("balance_matches", asked and not pairs, FOR_PAIRS, "remove it, or write images_per_blob: 2"),
        (
            "forced_primary_label",
            forced and not settings.output_all_labels,
            "has a meaning with output_all_labels only",
            "write output_all_labels: true, or remove it",
        ),
        ("enable_noise_for_nonmatch", noise and not pairs, FOR_PAIRS, "write images_per_blob: 2"),
        ("enable_noise_for_nonmatch", noise and not balanced, NEEDS_BALANCE, "write balance_matches: true"),
        (
            "output_image_index",
            settings.output_image_index != (tops > 2),
            f"does not go with {tops} tops",
            INDEX_MEND,
        ),
    )
    for name, is_wrong, found, mend in wrong:
        if is_wrong:
            raise layer.fail(f"{name} {found}", setting=f"data_param.{name}", mend=mend)


def _check_class_batches(layer: Layer) -> None:
    """Raise for settings that do not go with batch_classes and batch_images."""
    settings = layer.settings
    classes, images, size = settings.batch_classes, settings.batch_images, settings.batch_size
    in_order = settings.HasField("enable_random_selection") and not settings.enable_random_selection
    wrong = (
        ("batch_classes", not images, "needs batch_images", "write batch_images: the images of each class"),
        ("batch_images", not classes, "needs batch_classes", "write batch_classes: the classes in each batch"),
        (
            "batch_size",
            size and size != classes * images,
            f"{size} is not batch_classes {classes} times batch_images {images}",
            f"remove batch_size, or write batch_size: {classes * images}",
        ),
        ("images_per_blob", settings.images_per_blob > 1, FOR_SINGLES, "write images_per_blob: 1"),
        ("rand_skip", settings.rand_skip, FOR_SINGLES, "remove it"),
        ("enable_random_selection", in_order, "false does not go with batch_classes", "remove it"),
    )
    for name, is_wrong, found, mend in wrong:
        if is_wrong:
            raise layer.fail(f"{name} {found}", setting=f"data_param.{name}", mend=mend)


def batch_size_of(settings: Any) -> int:
    """The items in one batch of a Data layer: batch_size, or as many as batch_classes and batch_images make."""
    return int(settings.batch_size or settings.batch_classes * settings.batch_images)


def make_sampler(layer: Layer, source: Source) -> Sampler:
    """The sampler that a Data layer's settings ask for; raises DataError where the source does not suit it."""
    settings = layer.settings
    try:
        if settings.batch_classes:
            return _make_class_batches(layer, source)
        selection = make_selection(layer, source)
        if settings.images_per_blob == 1:
            return SingleSampler(selection)
        if not settings.balance_matches:
            return NextPairSampler(selection)
        return BalancedPairSampler(
            selection,
            ClassIndex(source.labels),
            stream_of(layer, "partners"),
            noise=settings.enable_noise_for_nonmatch,
        )
    except DataError as error:
        raise error.at(layer.definition.locate("data_param.source"), layer.label) from None


def _make_class_batches(layer: Layer, source: Source) -> ClassBatchSampler:
    return ClassBatchSampler(
        layer.settings.batch_classes,
        layer.settings.batch_images,
        ClassIndex(source.labels),
        stream_of(layer, "classes"),
        stream_of(layer, "images"),
        name_of=source.class_name,
    )


def make_noise(layer: Layer, source: Source) -> Noise | None:
    """The noise image: what noise_filler gives (1 by default), times the mean image with use_noisy_mean.

    Raises SettingsError where there is no mean image, and for a path to save it to.
    """
    if not layer.settings.enable_noise_for_nonmatch:
        return None
    param = layer.settings.data_noise_param
    if param.noisy_data_path:
        setting = "data_param.data_noise_param.noisy_data_path"
        raise layer.fail("saving the noise image is not supported", setting=setting, mend="remove noisy_data_path")
    filler = messages.FillerParameter(type="constant", value=1)
    if param.HasField("noise_filler"):
        filler = param.noise_filler
    flat = layer.device.zeros((int(np.prod(source.shape)),), np.float32)
    fill = make_fill(filler, source.shape, stream_of(layer, "noise"), layer.device)
    if fill is not None:
        fill(flat)
    image = layer.device.to_host(flat).reshape(source.shape)
    if not param.use_noisy_mean:
        return Noise(image, param.noise_data_label)
    mean = source.mean
    if mean is None:
        setting = "data_param.enable_noise_for_nonmatch"
        mend = "write data_noise_param { use_noisy_mean: false }"
        raise layer.fail(f'source "{source.name}" has no mean to multiply the noise with', setting=setting, mend=mend)
    return Noise(image * mean, param.noise_data_label)
