"""Embeddings to look at: from the state of a run, where Debug layers leave them, or of the images of a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.source import Source
from netforge.errors import DataError, NetforgeError, SettingsError, SnapshotError, did_you_mean
from netforge.inspect.stored_images import images_of_stored
from netforge.metric.arrays import Floats, Integers, as_labels, as_points
from netforge.net import Net
from netforge.recognition.embedder import Embedder, Progress
from netforge.snapshot import TRAIN_NET, TrainingState, find_weights, load_state, stored_layers

MOST_FOR_TSNE = 50
"""Embeddings of more dimensions are first reduced to so many by PCA, as van der Maaten and Hinton 2008 do."""
LEAST_ITERATIONS = 250
Vectors = npt.NDArray[Any]
NetOf = Callable[[int, int | None], Net]
"""Builds the train net (TRAIN_NET) or a test net (its number) of a run, with the seed that is given."""


@dataclass(frozen=True)
class Embeddings:
    """n labelled embeddings.

    name: where they come from, in words. vectors: (n, D) float64. labels: (n,). class_names: label to name. numbers:
    (n,) what the items are called: their number in `images`, or, of stored ones, their place, the oldest first. images:
    what was embedded, None where that is not known; `unknown` says why. centroids: label to the centroid (D,) that
    Decode has.
    """

    name: str
    vectors: Floats
    labels: Integers
    class_names: dict[int, str] = field(default_factory=dict)
    numbers: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    images: Source | None = None
    centroids: dict[int, Floats] = field(default_factory=dict)
    unknown: str = ""

    def class_name(self, label: int) -> str:
        """The name of a class; its label where it has none."""
        return self.class_names.get(label, str(label))

    def rows(self) -> list[tuple[str, str]]:
        """Where the images are from, name and value; none where only embeddings are there to be looked at."""
        if self.images is not None:
            return [("images", self.images.name)]
        return [("images", f"not shown: {self.unknown}")] if self.unknown else []

    @property
    def classes(self) -> list[int]:
        """The labels that occur, ascending."""
        return [int(label) for label in np.unique(self.labels)]


def stored_embeddings(
    path: str | Path, *, layer: str | None = None, most: int | None = None, net_of: NetOf | None = None
) -> Embeddings:
    """What a Debug layer has stored: of a .solverstate, or of the .npz file that `Debug.save` writes.

    layer: name of the Debug layer, by default the first of the train net, then of the test nets. most: the newest so
    many. Of several labels an item the first is taken. Centroids are those of the weights beside the state. net_of: of
    the run that wrote the state; with it the images are found, see `images_of_stored`. Raises SnapshotError where
    nothing is stored, DataError for NaN.
    """
    path = Path(path)
    if path.suffix == ".npz":
        return _newest(_of_archive(path), most)
    state = load_state(path)
    net, name, record = _debug_record(state, path, layer)
    found = _newest(_embeddings(f'"{name}" of {path.name}', record, path), most)
    found = replace(found, centroids=_centroids_beside(state, path, found))
    return found if net_of is None else _with_images(found, state, net, net_of)


def _newest(found: Embeddings, most: int | None) -> Embeddings:
    if most is None or len(found.vectors) <= most:
        return found
    return replace(found, vectors=found.vectors[-most:], labels=found.labels[-most:], numbers=found.numbers[-most:])


def _with_images(found: Embeddings, state: TrainingState, which: int, net_of: NetOf) -> Embeddings:
    """Stored embeddings with their images, and the names that their source has for classes."""
    try:
        with net_of(which, state.seed) as net:
            images, numbers = images_of_stored(net, state.nets[which], found.labels)
    except NetforgeError as error:  # embeddings can be looked at without images
        return replace(found, unknown=str(error))
    return replace(found, class_names=images.class_names, numbers=numbers, images=images)


def _of_archive(path: Path) -> Embeddings:
    try:
        with np.load(path, allow_pickle=False) as held:
            record = {name: held[name] for name in ("embeddings", "labels")}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise SnapshotError(
            f"this is no archive of embeddings and labels: {error}",
            where=str(path),
            mend="give a .solverstate, or what a Debug layer saved",
        ) from error
    return _embeddings(path.name, record, path)


def _embeddings(name: str, record: dict[str, Any], path: Path) -> Embeddings:
    labels = np.asarray(record["labels"]).reshape(len(record["labels"]), -1)
    try:
        vectors = as_points(record["embeddings"])
        return Embeddings(name, vectors, as_labels(labels[:, 0], len(vectors)), numbers=np.arange(len(vectors)))
    except DataError as error:
        raise error.at(str(path)) from error.__cause__


def _debug_record(state: TrainingState, path: Path, layer: str | None) -> tuple[int, str, dict[str, Any]]:
    """Net, name and state of a layer that has stored embeddings."""
    nets = sorted(state.nets, key=lambda k: (k != TRAIN_NET, k))
    kept = [
        (net, name, values)
        for net in nets
        for name, values in state.nets[net].items()
        if len(values.get("embeddings", ()))
    ]
    if not kept:
        raise SnapshotError(
            "no Debug layer has stored embeddings in this state",
            where=str(path),
            mend='add layer { name: "debug" type: "Debug" bottom: EMBEDDING bottom: LABELS top: EMBEDDING } and train, '
            "or give --model, --weights and --source",
        )
    for net, name, values in kept:
        if layer in (None, name):
            return net, name, values
    raise SnapshotError(
        f'no Debug layer "{layer}" has stored embeddings in this state',
        where=str(path),
        mend=did_you_mean(str(layer), [name for _, name, _ in kept]) or f'one that has is "{kept[0][1]}"',
    )


def _centroids_beside(state: TrainingState, path: Path, found: Embeddings) -> dict[int, Floats]:
    """The centroids of Decode in the weights of a state: its first weights are (L, D), (L,) and (L,)."""
    try:
        layers = stored_layers(find_weights(state, path))
    except SnapshotError:  # the weights need not be at hand to look at what the state holds
        return {}
    for layer in layers:
        shapes = [layer.blobs[i].shape for i in range(3) if i in layer.blobs]
        rows = shapes[0][0] if shapes and len(shapes[0]) == 2 else 0
        if len(shapes) == 3 and shapes[0] == (rows, found.vectors.shape[1]) and shapes[1] == shapes[2] == (rows,):
            return _known_centroids(*(layer.blobs[i].read() for i in range(3)))
    return {}


def _known_centroids(table: Vectors, status: Vectors, counts: Vectors) -> dict[int, Floats]:
    """The rows of a table of centroids that have seen an item, or are said to be ready."""
    known = np.flatnonzero((status.reshape(-1) > 0) | (counts.reshape(-1) > 0)).tolist()
    return {k: row for k in known if np.isfinite(row := table[k].astype(np.float64)).all()}


def computed_embeddings(embedder: Embedder, images: Source, *, progress: Progress | None = None) -> Embeddings:
    """The embeddings of the images of a source, with the centroids of the Decode layer that reads them.

    Raises a NetforgeError where the images do not fit, DataError where an embedding is NaN or infinite.
    """
    vectors = as_points(embedder.embed(images, progress=progress))
    name = f'"{embedder.embedding}" of {embedder.net.name or "the net"} on {images.name}'
    names = {**embedder.class_names, **images.class_names}
    centroids: dict[int, Floats] = {}
    for layer in embedder.net.layers:
        reads = layer.definition.message.bottom[:1] == [embedder.embedding]
        if layer.type == "Decode" and reads and layer.name in embedder.loaded and not embedder.normalizes:
            centroids = _known_centroids(*(embedder.net.device.to_host(blob.data) for blob in layer.weights[:3]))
    return Embeddings(name, vectors, images.labels, names, np.arange(images.count), images, centroids)


def project(
    vectors: Floats, method: str = "tsne", *, perplexity: float = 30.0, iterations: int = 1000, seed: int = 0
) -> Floats:
    """Points (n, 2) for embeddings (n, D): a map on which near things stay near.

    method: "tsne" (van der Maaten and Hinton 2008, from a start by PCA), "pca" (the two directions of largest
    variance), or "none", which takes embeddings of two dimensions as they are. perplexity: about how many neighbours
    each item has. The map depends on `seed` alone, but only up to rounding on another machine.

    Raises DataError where all embeddings are equal or there are too few, SettingsError for settings out of range.
    """
    if method == "none":
        if vectors.shape[1] != 2:
            raise SettingsError(
                f"embeddings have {vectors.shape[1]} dimensions, and only two can be shown as they are",
                mend="use --method tsne or pca",
            )
        return vectors
    spread = np.ptp(vectors, axis=0).max() if len(vectors) else 0.0
    if not spread:
        raise DataError(f"all {len(vectors)} embeddings are equal", mend="train the net, or name another layer")
    if method == "pca":
        return _principal(vectors, 2)
    if method != "tsne":
        raise SettingsError(f'method is "{method}"', mend='use "tsne", "pca" or "none"')
    _check_tsne(len(vectors), perplexity, iterations)
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    fitted = TSNE(2, perplexity=perplexity, max_iter=iterations, init="pca", learning_rate="auto", random_state=seed)
    wide = _principal(vectors, MOST_FOR_TSNE) if vectors.shape[1] > MOST_FOR_TSNE else vectors
    with threadpool_limits(1):  # threads that wait for one another in every short step take longer than one alone
        points: Floats = fitted.fit_transform(wide / spread).astype(np.float64)
    return points


def _check_tsne(count: int, perplexity: float, iterations: int) -> None:
    if not perplexity >= 1:  # NaN neither
        raise SettingsError(f"perplexity is {perplexity:g}", mend="give 1 or more; 5 to 50 is usual")
    if iterations < LEAST_ITERATIONS:
        raise SettingsError(f"iterations is {iterations}", mend=f"give {LEAST_ITERATIONS} or more")
    if count <= perplexity:
        fitting = max(1, (count - 1) // 3)
        raise DataError(
            f"{count} embeddings are too few for perplexity {perplexity:g}, which needs more than that",
            mend=f"give --perplexity {fitting}, more items, or --method pca",
        )


def _principal(vectors: Floats, dimensions: int) -> Floats:
    """The coordinates (n, dimensions) along the directions of largest variance; 0 where there are fewer."""
    kept = min(dimensions, *vectors.shape)
    centred = vectors - vectors.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:kept]
    largest = directions[np.arange(kept), np.abs(directions).argmax(axis=1)]
    points = np.zeros((len(vectors), dimensions))
    points[:, :kept] = centred @ (directions * np.sign(largest)[:, None]).T  # of both signs one, always the same
    return points
