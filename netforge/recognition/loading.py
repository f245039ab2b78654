"""From the files of a trained net to a recognizer, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from netforge.data.sources.in_memory import InMemory, as_source
from netforge.data.sources.opening import open_source
from netforge.device.base import Device
from netforge.recognition.embedder import BATCH_SIZE, Embedder
from netforge.recognition.recognizer import Recognizer
from netforge.schema import NetDefinition


def load(
    model: str | Path | NetDefinition,
    weights: str | Path,
    *,
    layer: str | None = None,
    normalize: bool | None = None,
    centroids: str | InMemory | None = None,
    level: int | None = None,
    stages: Sequence[str] = (),
    device: str | Device = "cpu",
    plugins: Sequence[str] = (),
    batch_size: int = BATCH_SIZE,
    sources: Mapping[str, InMemory] | None = None,
) -> Recognizer:
    """A trained net, ready to embed images and to name their classes.

        with netforge.load("models/siamese_digits/train_val.prototxt", "digits_iter_1000.caffemodel") as trained:
            points = trained.embed(images)  # (n, D) float32
            names = trained.predict(["a.png", "b.png"])  # (2,) texts, "unknown" where a threshold was calibrated
            trained.classes  # what can be recognised: names, and labels in training

    model: the file that trained the net, or its deploy file. weights: a .caffemodel, with what `netforge calibrate` and
    `netforge enroll` have kept beside it. centroids: know classes by the means of these labelled images, a name of the
    image database, a Source or (images, labels); None: by what was kept, else by what the net has learned. layer,
    normalize, level, stages, device, plugins, batch_size, sources: see `Embedder`.

    Images are given as an array (n, H, W), (n, H, W, C) or (n, C, H, W) of pixel values as those the net was trained
    on, uint8 0 to 255 as a rule; as paths of files or Pillow images, which are made grey or colour and resized; or as a
    Source. The transform_param of the net's data layer is done to them.

    Raises SchemaError or SettingsError for a bad prototxt, NetError where no net can be made of it for single images,
    SnapshotError where the weights are damaged or another net's, DataError where `centroids` cannot be read.
    """
    embedder = Embedder(
        model,
        weights,
        layer=layer,
        normalize=normalize,
        level=level,
        stages=stages,
        device=device,
        plugins=plugins,
        batch_size=batch_size,
        sources=sources,
    )
    try:
        if centroids is None:
            return Recognizer(embedder)
        known = open_source(None, centroids) if isinstance(centroids, str) else as_source("centroids", centroids)
        return Recognizer(embedder, source=known)
    except BaseException:
        embedder.close()
        raise
