"""Layers that bring data into a net: Data reads a source, MemoryData takes arrays from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.data.batches import Batch, BatchReader, Noise, Sampler
from netforge.data.opening import open_source
from netforge.data.prefetch import Prefetcher
from netforge.data.sampling import (
    BalancedPairSampler,
    ClassIndex,
    NextPairSampler,
    Selection,
    Sequential,
    Shuffled,
    SingleSampler,
    below,
    random_words,
)
from netforge.data.source import ArraySource, RelabelledSource, Source
from netforge.data.transform import Transformer
from netforge.data.transform_param import Fail, label_mapping_of, make_transformer
from netforge.device.random import RandomStream
from netforge.errors import DataError, NetforgeError, SettingsError
from netforge.filler import make_fill
from netforge.layers.base import Layer, register_layer, slots
from netforge.schema import LayerDefinition, messages

FOR_PAIRS = "has a meaning for pairs only"
NEEDS_BALANCE = "needs balanced pairs"
INDEX_MEND = "write output_image_index: true and three tops, or neither"


def open_for(definition: LayerDefinition, folder: Path | None, *, header_only: bool, fail: Fail) -> Source:
    """The source that a layer's data_param names, under the labels that its transform_param asks for."""
    settings = definition.settings("data_param")
    if not settings.source:
        raise fail("no source is given", setting="data_param", mend='write source: "NAME" in data_param')
    backend = messages.DataParameter.DB.Name(settings.backend) if settings.HasField("backend") else None
    try:
        source = open_source(backend, settings.source, folder=folder, header_only=header_only)
    except NetforgeError as error:
        raise error.at(definition.locate("data_param.source")) from error.__cause__
    mapping = label_mapping_of(definition.message.transform_param, fail)
    return RelabelledSource(source, mapping) if mapping else source


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


@register_layer("Data", settings="data_param")
class Data(Layer):
    """Images and labels from a source: the image database, or an LMDB of Caffe's Datums.

    With images_per_blob 2 each item is a pair, its two images stacked along the channels. With balance_matches the
    items alternate, counted over the whole run: the partner is of the same class (never the image itself, unless it is
    the only one of its class), then of another class (or the noise image, with enable_noise_for_nonmatch). The label is
    1 for the same class and 0 for two classes, or both labels with output_all_labels.

    Which images a batch holds, and how they are cropped and mirrored, depends on the seed, the layer's name and the
    number of the batch alone. A background thread makes `prefetch` batches ahead.
    """

    bottoms = slots()
    tops = slots(
        "data (N, C * images_per_blob, H, W)",
        optional=(
            "label (N,), or (N, 2) with output_all_labels",
            "index (N,) or (N, 2), number of each image in its source, with output_image_index",
        ),
    )
    differentiable = False
    _batches: Prefetcher[Batch] | None = None

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Open the source and check the settings against it."""
        self._check_settings(len(top))
        context, settings = self.context, self.settings
        self.source = open_for(self.definition, context.folder, header_only=context.plan_only, fail=self.fail)
        self.transformer = transformer_for(
            self.definition,
            self.source,
            phase=self.phase,
            seed=context.seed,
            folder=context.folder,
            plan_only=context.plan_only,
            fail=self.fail,
        )
        if not context.plan_only:
            reader = BatchReader(
                self.source, self._make_sampler(), self.transformer, settings.batch_size, noise=self._make_noise()
            )
            self._batches = Prefetcher(reader.read, settings.prefetch)
            if settings.output_all_labels and settings.balance_matches:
                top[1].data_storage.below = self._labels_below()

    def _labels_below(self) -> int | None:
        """One more than the largest label that a pair can have; None where labels may be negative."""
        labels = self.source.labels  # read already, to draw pairs
        extreme = [int(labels.min()), int(labels.max()), max(0, self.settings.forced_primary_label)]
        if self.settings.enable_noise_for_nonmatch:
            extreme.append(self.settings.data_noise_param.noise_data_label)
        return max(extreme) + 1 if min(extreme) >= 0 else None

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The header of the source gives the shape."""
        channels, height, width = self.transformer.shape
        images, size = self.settings.images_per_blob, self.settings.batch_size
        top[0].reshape(size, channels * images, height, width)
        if len(top) > 1:
            top[1].reshape((size, 2) if self.settings.output_all_labels else (size,))
        if len(top) > 2:
            top[2].reshape((size, images) if images > 1 else (size,))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Take the next batch."""
        if self._batches is None:
            raise self.fail("this net was built for its shapes only and has no data", error=DataError)
        for blob in top:
            _ = blob.data  # memory first: a batch that does not fit is refused before it is read
        batch = self._batches.get(self.random.position)
        self.random.position += 1
        top[0].data[...] = self.xp.asarray(batch.data)
        if len(top) > 1:
            top[1].data[...] = self.xp.asarray(self._label(batch))
        if len(top) > 2:
            top[2].data[...] = self.xp.asarray(batch.indices.reshape(top[2].shape))

    def close(self) -> None:
        """End the background thread."""
        if self._batches is not None:
            self._batches.close()

    @classmethod
    def image_shape(cls, definition: LayerDefinition, folder: Path | None) -> tuple[int, ...] | None:
        """The shape of one image after its transformation."""

        def fail(found: str, *, setting: str, mend: str | None = None) -> NetforgeError:
            return SettingsError(found, where=definition.locate(setting), mend=mend)

        source = open_for(definition, folder, header_only=True, fail=fail)
        transformer = transformer_for(definition, source, phase="RUN", seed=0, folder=folder, plan_only=True, fail=fail)
        return transformer.shape

    def _label(self, batch: Batch) -> npt.NDArray[Any]:
        """The label top: (N,) labels, (N, 2) labels, or (N,) 1 for pairs of one class and 0 for others."""
        labels = batch.labels
        if labels.shape[1] == 1:
            return labels[:, 0]
        if not self.settings.output_all_labels:
            return np.equal(labels[:, 0], labels[:, 1])
        forced = self.settings.forced_primary_label
        if forced < 0:
            return labels
        return np.stack([np.full(len(labels), forced), labels[:, 1]], axis=1)

    def _check_settings(self, tops: int) -> None:
        """Raise for settings that are missing, contradict each other, or are not supported."""
        settings, pairs = self.settings, self.settings.images_per_blob == 2
        if settings.batch_size < 1:
            raise self.fail("batch_size is missing", setting="data_param", mend="write batch_size: 64 in data_param")
        form = messages.DataParameter.LabelType.Name(settings.label_type)
        plain = form == "SINGLE" or (form == "NONE" and tops == 1)
        noise, balanced = settings.enable_noise_for_nonmatch, settings.balance_matches
        wrong = (
            ("images_per_blob", settings.images_per_blob not in (1, 2), "must be 1 or 2", "use 1, or 2 for pairs"),
            ("label_type", not plain, f"{form} is not supported with a label top", "use SINGLE"),
            ("one_hot_label_size", settings.one_hot_label_size, "is not supported", "use plain labels"),
            ("enable_pair_selection", settings.enable_pair_selection, "is not supported", "remove it"),
            ("output_all_labels", settings.output_all_labels and not pairs, FOR_PAIRS, "write images_per_blob: 2"),
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
                raise self.fail(f"{name} {found}", setting=f"data_param.{name}", mend=mend)

    def _stream(self, purpose: str) -> RandomStream:
        return RandomStream(self.context.seed, f"{self.name}.{purpose}")

    def _make_selection(self) -> Selection:
        settings, count = self.settings, self.source.count
        shuffled = self.source.shuffled
        if settings.HasField("enable_random_selection"):
            shuffled = settings.enable_random_selection
        if shuffled:
            return Shuffled(count, self._stream("selection"))
        skip = below(random_words(self._stream("selection"), 0, 1), settings.rand_skip + 1)
        return Sequential(count, int(skip[0]))

    def _make_sampler(self) -> Sampler:
        settings, selection = self.settings, self._make_selection()
        if settings.images_per_blob == 1:
            return SingleSampler(selection)
        if not settings.balance_matches:
            return NextPairSampler(selection)
        try:
            return BalancedPairSampler(
                selection,
                ClassIndex(self.source.labels),
                self._stream("partners"),
                noise=settings.enable_noise_for_nonmatch,
            )
        except DataError as error:
            raise error.at(self.definition.locate("data_param.source"), self.label) from None

    def _make_noise(self) -> Noise | None:
        """The noise image: what noise_filler gives (1 by default), times the mean image with use_noisy_mean."""
        if not self.settings.enable_noise_for_nonmatch:
            return None
        param = self.settings.data_noise_param
        if param.noisy_data_path:
            setting = "data_param.data_noise_param.noisy_data_path"
            raise self.fail("saving the noise image is not supported", setting=setting, mend="remove noisy_data_path")
        filler = messages.FillerParameter(type="constant", value=1)
        if param.HasField("noise_filler"):
            filler = param.noise_filler
        flat = self.device.zeros((int(np.prod(self.source.shape)),), np.float32)
        fill = make_fill(filler, self.source.shape, self._stream("noise"), self.device)
        if fill is not None:
            fill(flat)
        image = self.device.to_host(flat).reshape(self.source.shape)
        if not param.use_noisy_mean:
            return Noise(image, param.noise_data_label)
        mean = self.source.mean
        if mean is None:
            setting = "data_param.enable_noise_for_nonmatch"
            mend = "write data_noise_param { use_noisy_mean: false }"
            raise self.fail(
                f'source "{self.source.name}" has no mean to multiply the noise with', setting=setting, mend=mend
            )
        return Noise(image * mean, param.noise_data_label)


@register_layer("MemoryData", settings="memory_data_param")
class MemoryData(Layer):
    """Data and labels that Python hands over with `set_input_arrays` or `add_images`; batches wrap around."""

    bottoms = slots()
    tops = slots("data (batch_size, channels, height, width)", "label (batch_size,)")
    differentiable = False

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check that all four sizes are given."""
        for name in ("batch_size", "channels", "height", "width"):
            if getattr(self.settings, name) < 1:
                raise self.fail(
                    f"{name} is missing", setting="memory_data_param", mend=f"write {name} in memory_data_param"
                )
        self._shape = (self.settings.channels, self.settings.height, self.settings.width)
        self._data: npt.NDArray[Any] | None = None
        self._labels: npt.NDArray[Any] | None = None

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The settings give the shape."""
        top[0].reshape(self.settings.batch_size, *self._shape)
        top[1].reshape(self.settings.batch_size)

    def set_input_arrays(self, data: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        """Serve these arrays from the next forward on, as they are: transform_param plays no part.

        data: (n, channels, height, width), n a multiple of batch_size. labels: n numbers. Arrays that have the net's
        type already are not copied. Raises DataError where the shapes do not fit.
        """
        values = np.ascontiguousarray(data, self.dtype)
        targets = np.ascontiguousarray(labels, self.dtype).reshape(-1)
        if values.ndim != 4 or values.shape[1:] != self._shape:
            raise self.fail(
                f"data has shape {values.shape}, expected (n, {', '.join(map(str, self._shape))})", error=DataError
            )
        if len(values) == 0 or len(values) % self.settings.batch_size:
            mend = f"give a multiple of batch_size, {self.settings.batch_size}"
            raise self.fail(f"{len(values)} items do not fill whole batches", error=DataError, mend=mend)
        if len(targets) != len(values):
            raise self.fail(f"{len(values)} items have {len(targets)} labels", error=DataError)
        self._data, self._labels = values, targets
        self.random.position = 0

    def add_images(self, images: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        """Serve these images after the transformation that transform_param describes.

        images: (n, C, H, W) of pixel values, n a multiple of batch_size; what is left after the crop must have the
        layer's shape. labels: n integers. Raises DataError or SettingsError where something does not fit.
        """
        pixels = np.asarray(images)
        source = ArraySource(self.label, pixels, np.asarray(labels).reshape(-1), color_order="BGR")
        context = self.context
        transformer = transformer_for(
            self.definition,
            source,
            phase=self.phase,
            seed=context.seed,
            folder=context.folder,
            plan_only=False,
            fail=self.fail,
        )
        self.set_input_arrays(transformer(pixels, 0), source.labels)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy the next batch."""
        if self._data is None or self._labels is None:
            raise self.fail(
                "no data was handed over", error=DataError, mend="call set_input_arrays(data, labels) of the layer"
            )
        size = self.settings.batch_size
        start = self.random.position * size % len(self._data)
        self.random.position += 1
        top[0].data[...] = self.xp.asarray(self._data[start : start + size])
        top[1].data[...] = self.xp.asarray(self._labels[start : start + size])
