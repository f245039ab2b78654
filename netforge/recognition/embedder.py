"""A trained net as a function from images to embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.source import Source
from netforge.data.sources.in_memory import InMemory, sources_in_memory
from netforge.data.transforms.transform_param import uses_database_mean
from netforge.data.transforms.transformer import Transformer
from netforge.device.base import Device
from netforge.errors import DataError, NetError, SettingsError, SnapshotError, did_you_mean
from netforge.layers.data_param import open_for, transformer_for
from netforge.layers.directions import SHORTEST
from netforge.net import Net
from netforge.net.running import image_layer
from netforge.net.wiring import find_class
from netforge.recognition.images import Images, StoredForm
from netforge.schema import LayerDefinition, NetDefinition, merge_state, messages, read_net
from netforge.snapshot import LoadStatus

EMBEDDING_LOSSES = ("ContrastiveLoss", "TripletLoss", "PrototypicalLoss", "SupConLoss")
BATCH_SIZE = 256
Floats = npt.NDArray[np.float32]
Progress = Callable[[int], None]


class Embedder:
    """A net in phase RUN, built from the file that trained it, with its weights.

    model: a prototxt's path or a NetDefinition. weights: a .caffemodel. layer: the layer or blob that gives the
    embedding; by default what Decode reads, else what the first contrastive, triplet, prototypical or SupCon loss
    reads. normalize: whether embeddings are scaled to length 1, so that squared distances are 2 (1 - cosine); None: as
    the loss that reads them measures. level, stages, device, plugins, sources: as for `Net`. batch_size: images that
    are run at a time.

    Images are transformed as in TEST (the transform_param of the file's data layer there), but never mirrored,
    distorted or noisy. A file without a data layer takes images as they are.

    net: the net. report: what the file of weights did to it. form: how images must be given. transforms: whether there
    is a data layer that says how. embedding: name of the blob; named: whether the caller named it. class_names: label
    to name, as the data layer's source has them.

    Raises a NetforgeError where the net cannot be built, SnapshotError where the weights are another net's or are not
    finite, NetError where nothing can be taken for the embedding.
    """

    def __init__(
        self,
        model: str | Path | NetDefinition,
        weights: str | Path,
        *,
        layer: str | None = None,
        normalize: bool | None = None,
        level: int | None = None,
        stages: Sequence[str] = (),
        device: str | Device = "cpu",
        plugins: Sequence[str] = (),
        batch_size: int = BATCH_SIZE,
        sources: Mapping[str, InMemory] | None = None,
    ) -> None:
        if batch_size < 1:
            raise SettingsError(f"batch_size is {batch_size}", mend="give 1 or more")
        definition = read_net(model, plugins=plugins)
        self.weights = Path(weights)
        self._size = batch_size
        self.net = Net(definition, "RUN", level, stages, device, seed=0, sources=sources)
        try:
            self._load()
            self._input = self._only_input()
            with sources_in_memory(sources):
                self._prepare(definition)
            losses = self._losses(definition, level, stages)
            self.named = layer is not None
            self._embedding: str | None = None
            if layer is not None:
                self.use(layer)
            else:
                self._embedding = self._find_embedding(losses)
            self._cosine = {str(loss.message.bottom[0]) for loss in losses if measures_cosine(loss)}
            self.asked_to_normalize = normalize
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.form.shape))
        return f"Embedder({self.net.name!r}, {str(self.weights)!r}, {shape} -> {self._embedding})"

    def __enter__(self) -> Embedder:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the net."""
        self.net.close()

    @property
    def embedding(self) -> str:
        """Name of the blob that is the embedding; raises NetError where the net has none and none was named."""
        if self._embedding is None:
            raise NetError(
                "the net has neither a Decode layer nor a loss on embeddings, so its embedding is not known",
                where=self.net.definition.place,
                mend="name the layer that gives it with --layer",
            )
        return self._embedding

    @property
    def has_embedding(self) -> bool:
        """Whether it is known which blob is the embedding."""
        return self._embedding is not None

    def use(self, name: str) -> None:
        """Take the blob of this name, or the first top of the layer of this name, for the embedding.

        Raises NetError where phase RUN has neither.
        """
        tops = {layer.name: layer.message.top[0] for layer in self.net.definition.layers if layer.message.top}
        if name not in self.net.blobs and name not in tops:
            raise NetError(
                f'phase RUN has no layer or blob "{name}"',
                where=self.net.definition.place,
                mend=did_you_mean(name, [*tops, *self.net.blobs]) or "netforge summary NET --phase RUN shows all",
            )
        self._embedding = name if name in self.net.blobs else str(tops[name])

    @property
    def normalizes(self) -> bool:
        """Whether embeddings are scaled to length 1."""
        asked = self.asked_to_normalize
        return self._embedding in self._cosine if asked is None else asked

    def embed(self, images: Images, *, progress: Progress | None = None) -> Floats:
        """The embedding of each image, (n, D) float32; see `run`."""
        rows = self.run(images, [self.embedding], progress=progress)[self.embedding]
        return normalized(rows) if self.normalizes else rows

    def run(
        self, images: Images, blobs: Sequence[str], *, progress: Progress | None = None
    ) -> dict[str, npt.NDArray[np.float32]]:
        """The values of blobs for each image, (n, D) float32, later axes flattened; any number of images.

        images: a source, an array of stored pixels (before the transformation), paths of image files, or Pillow images;
        see `StoredForm.batches`. progress: is called with the number of images after each batch. Raises ShapeError or
        DataError for images that do not fit, and where a value is NaN or infinite.
        """
        parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in blobs}
        done = 0
        for pixels in self.form.batches(images, self._size):
            values = pixels if self._transformer is None else self._transformer(pixels, 0)
            inputs: dict[str, Any] = {self._input: values}
            self.net.forward(**inputs)
            for name, part in parts.items():
                part.append(self._values(name, len(pixels), done))
            done += len(pixels)
            if progress is not None:
                progress(len(pixels))
        if not done:
            raise DataError("there are no images")
        return {name: np.concatenate(part) for name, part in parts.items()}

    def _values(self, name: str, count: int, done: int) -> npt.NDArray[Any]:
        array = self.net.device.to_host(self.net.blobs[name].data)
        if not array.ndim or len(array) != count:
            raise NetError(
                f'blob "{name}" has shape {array.shape} for {count} images, expected one row for each',
                mend="name another layer",
            )
        rows = array.reshape(count, -1).astype(np.float32)  # a copy: the next batch writes over it
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise DataError(
                f'blob "{name}" holds NaN or infinity for image {done + int(np.argmin(finite))}',
                mend="look at that image, and at the weights",
            )
        return rows

    # --- building ----------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Load the weights: all but Decode's, which may have to be computed, must be in the file and be finite."""
        self.report = report = self.net.copy_from(self.weights)
        types = {layer.name: layer.type for layer in self.net.layers}
        missing = [row.layer for row in report.of(LoadStatus.MISSING) if types[row.layer] != "Decode"]
        if missing:
            raise SnapshotError(
                f'it has no weights for layer "{missing[0]}"',
                where=str(self.weights),
                mend=did_you_mean(missing[0], [row.layer for row in report.of(LoadStatus.SKIPPED)])
                or "give the weights that this net was trained to",
            )
        self.loaded = {row.layer for row in report.of(LoadStatus.LOADED)}
        for layer in self.net.layers:
            for blob in layer.weights:
                if not np.isfinite(self.net.device.to_host(blob.data)).all():
                    raise SnapshotError(
                        f'weight "{blob.name}" of layer "{layer.name}" holds NaN or infinity',
                        where=str(self.weights),
                        mend="give a snapshot from before training went wrong",
                    )

    def _only_input(self) -> str:
        inputs: list[str] = self.net.inputs
        if len(inputs) != 1:
            raise NetError(
                f"phase RUN has {len(inputs)} inputs, expected one for images",
                where=self.net.definition.place,
                mend="give a net whose only input is an image; `netforge inspect weights` looks into any net",
            )
        return inputs[0]

    def _prepare(self, definition: NetDefinition) -> None:
        """Find out how images are stored and transformed."""
        entry = image_layer(definition)
        self.transforms = entry is not None
        self._transformer: Transformer | None = None
        self.class_names: dict[int, str] = {}
        if entry is None:
            shape = self.net.blobs[self._input].shape
            if len(shape) != 4:
                raise NetError(f'input "{self._input}" has shape {shape}, which is not that of images')
            self.form = StoredForm((shape[1], shape[2], shape[3]))
            return
        layer, folder = _unvaried(entry[0]), definition.folder
        wants_mean = uses_database_mean(layer.message.transform_param)
        source: Source = open_for(layer, folder, header_only=not wants_mean, fail=layer.fail)
        self._transformer = transformer_for(
            layer, source, phase="RUN", seed=0, folder=folder, plan_only=False, fail=layer.fail
        )
        self.form = StoredForm(source.shape, source.color_order, bytes_only=source.holds_bytes)
        self.class_names = dict(source.class_names)

    def _losses(self, definition: NetDefinition, level: int | None, stages: Sequence[str]) -> list[LayerDefinition]:
        """The losses of TRAIN and TEST on embeddings that phase RUN has too."""
        layers = [
            layer
            for phase in ("TRAIN", "TEST")
            for layer in definition.select(merge_state(definition, phase, level, tuple(stages))).layers
        ]
        return [x for x in layers if find_class(x).type in EMBEDDING_LOSSES and x.message.bottom[0] in self.net.blobs]

    def _find_embedding(self, losses: Sequence[LayerDefinition]) -> str | None:
        decodes = [layer for layer in self.net.definition.layers if find_class(layer).type == "Decode"]
        return next((str(layer.message.bottom[0]) for layer in (*decodes, *losses)), None)


def normalized(rows: Floats) -> Floats:
    """Rows (n, D) scaled to length 1."""
    scaled: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), SHORTEST)
    return scaled


def measures_cosine(loss: LayerDefinition) -> bool:
    """Whether a loss on embeddings compares their directions alone."""
    blocks = {
        "TripletLoss": "triplet_loss_param",
        "PrototypicalLoss": "prototypical_loss_param",
        "SupConLoss": "sup_con_loss_param",
    }
    kind = find_class(loss).type
    if kind not in blocks:
        return False
    settings = loss.settings(blocks[kind])
    return bool(settings.distance == settings.COSINE)


def _unvaried(layer: LayerDefinition) -> LayerDefinition:
    """The data layer without its coin flips and other random changes: an image has one embedding."""
    message: Any = messages.LayerParameter()
    message.CopyFrom(layer.message)
    message.transform_param.mirror = False
    for block in ("distortion_param", "noise_param"):
        message.transform_param.ClearField(block)
    return layer.copy_with(message)
