"""Every operation of a device on arrays as large nets have them, with the memory that it has to move at least.

An operation stands for its kernels: most have one. What it reads is counted as often as its method needs it (a batch's
gradient comes after its sums), what it changes in place as read and written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from netforge.device.base import Device
from netforge.device.operations.contrastive import ContrastiveRule
from netforge.device.operations.convolution import ConvGeometry
from netforge.device.operations.pooling import PoolGeometry, pool_output_shape
from netforge.device.operations.prototypical import PrototypeRule
from netforge.device.operations.sup_con import TALLY, PairRule
from netforge.device.operations.transform import ImageTransform
from netforge.device.operations.triplet_rule import TALLY as TRIPLET_TALLY
from netforge.device.operations.triplet_rule import TripletRule
from netforge.device.operations.update import CONTROL_SIZE, Segment
from netforge.device.random import RandomStream

Array = Any
SECTOR_BYTES = 32  # what a GPU reads at least to get one number that lies alone
CLASSES, EMBEDDING = 100, 64

ACTIVATIONS: dict[str, tuple[float, ...]] = {
    **{"relu": (0.0,), "elu": (1.0,), "swish": (1.0,), "clip": (-1.0, 1.0), "power": (2.0, 1.0, 0.5)},
    **{"sigmoid": (), "tanh": (), "bnll": (), "absval": (), "exp": (1.0, 0.5, 0.0), "log": (1.0, 0.1, 2.0)},
}
HISTORIES = {"sgd": 1, "nesterov": 1, "adagrad": 1, "rmsprop": 1, "adadelta": 2, "adam": 2}
RULES: dict[str, dict[str, Any]] = {
    **{"sgd": {"momentum": 0.9}, "nesterov": {"momentum": 0.9}, "adagrad": {"delta": 1e-8}},
    "rmsprop": {"rms_decay": 0.99, "delta": 1e-8},
    "adadelta": {"momentum": 0.95, "delta": 1e-6},
    "adam": {"beta1": 0.9, "beta2": 0.999, "delta": 1e-8},
}


@dataclass(frozen=True)
class Work:
    """One operation, ready to run any number of times. moved_bytes: memory that it reads and writes at least."""

    name: str
    run: Callable[[], object]
    moved_bytes: int
    multiply_adds: int = 0


class Bench:
    """Arrays of float32 on a device. shape: (N, C, H, W) of a large blob; everything else follows from it."""

    def __init__(self, device: Device, shape: tuple[int, int, int, int]) -> None:
        self.device, self.shape = device, shape
        self.count = int(np.prod(shape))
        self.planes = (*shape[:2], shape[2] * shape[3])
        self.rows = self.count // EMBEDDING
        self._normal = np.random.default_rng(1).standard_normal(1 << 16, np.float32)

    def normal(self, *shape: int) -> Array:
        """Normal numbers, again and again the same ones."""
        return self.device.from_host(np.resize(self._normal, shape))

    def positive(self, *shape: int) -> Array:
        """Numbers above 0."""
        return self.device.from_host(np.abs(np.resize(self._normal, shape)) + np.float32(0.1))

    def labels(self, *shape: int, below: int = CLASSES) -> Array:
        """Whole numbers in no order."""
        count = int(np.prod(shape))
        return self.device.from_host((np.arange(count) * 7919 % below).astype(np.float32).reshape(shape))

    def empty(self, *shape: int, dtype: type = np.float32) -> Array:
        """Zeros to write into."""
        return self.device.zeros(shape, dtype)

    def work(
        self,
        name: str,
        *arguments: Any,
        read: Sequence[Array] = (),
        write: Sequence[Array] = (),
        gathered: int = 0,
        multiply_adds: int = 0,
        **options: Any,
    ) -> Work:
        """Operation `name` with these arguments; `gathered` numbers are read from places of their own."""
        moved = sum(array.nbytes for array in (*read, *write)) + gathered * SECTOR_BYTES
        return Work(name, partial(getattr(self.device.ops, name), *arguments, **options), moved, multiply_adds)


def all_work(b: Bench) -> Iterator[Work]:
    """Every operation in turn; arrays of those before are let go."""
    for family in (activations, recurrent, pooling, normalisation, axes, products, scores, losses):
        yield from family(b)
    for family in (
        contrastive,
        triplets,
        sequences,
        centroids,
        episodes,
        newest,
        moves,
        images,
        updates,
        random_numbers,
    ):
        yield from family(b)


def activations(b: Bench) -> Iterator[Work]:
    x, dy, y = b.normal(b.count), b.normal(b.count), b.empty(b.count)
    for name, numbers in ACTIVATIONS.items():
        yield b.work(f"{name}_forward", x, y, *numbers, read=[x], write=[y])
        numbers = numbers[:2] if name == "exp" else numbers  # its gradient comes from y, which has the shift in it
        yield b.work(f"{name}_backward", x, dy, y, *numbers, read=[x, dy], write=[y])
    dx = b.empty(b.count)
    yield b.work("relu_of_sum_forward", x, dy, y, 0.0, read=[x, dy], write=[y])
    yield b.work("relu_of_sum_backward", x, dy, y, dx, 0.0, read=[x, dy], write=[y, dx])
    yield b.work("threshold_forward", x, y, 0.5, read=[x], write=[y])
    x, dy, y = (array.reshape(b.planes) for array in (x, dy, y))
    slope = b.normal(b.shape[1])
    yield b.work("prelu_forward", x, slope, y, read=[x], write=[y])
    yield b.work("prelu_backward", x, slope, dy, y, read=[x, dy], write=[y])
    yield b.work("prelu_backward_slope", x, dy, slope, read=[x, dy])


def recurrent(b: Bench) -> Iterator[Work]:
    items, hidden = b.rows // 4, EMBEDDING
    state = [b.normal(items, hidden) for _ in range(4)]
    gates, cont = b.normal(items, 4 * hidden), b.positive(items)
    c, h = b.empty(items, hidden), b.empty(items, hidden)
    yield b.work("lstm_unit_forward", state[0], gates, cont, c, h, read=[state[0], gates], write=[gates, c, h])
    before, dgates = b.empty(items, hidden), b.empty(items, 4 * hidden)
    arrays = (state[0], gates, cont, *state[1:], before, dgates)
    yield b.work("lstm_unit_backward", *arrays, read=[*state, gates], write=[before, dgates])


def pooling(b: Bench) -> Iterator[Work]:
    g = PoolGeometry((3, 3), (2, 2))
    x, dx = b.normal(*b.shape), b.empty(*b.shape)
    pooled = (*b.shape[:2], *pool_output_shape(b.shape[2:], g))
    y, mask = b.normal(*pooled), b.empty(*pooled, dtype=np.int32)
    yield b.work("pool_max_forward", x, y, mask, g, read=[x], write=[y, mask])
    yield b.work("pool_max_backward", y, mask, dx, g, read=[y, mask], write=[dx])
    yield b.work("pool_average_forward", x, y, g, read=[x], write=[y])
    yield b.work("pool_average_backward", y, dx, g, read=[y], write=[dx])
    few, window = b.normal(max(1, b.shape[0] // 8), *b.shape[1:]), ConvGeometry((1, 1), (1, 1), (1, 1))
    columns = b.empty(few.shape[0], 9 * b.shape[1], *b.shape[2:])
    yield b.work("im2col", few, columns, (3, 3), window, read=[few], write=[columns])
    yield b.work("col2im", columns, few, (3, 3), window, read=[columns], write=[few])


def normalisation(b: Bench) -> Iterator[Work]:
    x, dy, y, scale = b.normal(*b.planes), b.normal(*b.planes), b.empty(*b.planes), b.positive(*b.planes)
    dx = b.empty(*b.planes)
    mean, variance = b.empty(b.shape[1]), b.positive(b.shape[1])
    yield b.work("lrn_forward", x, scale, y, 5, 1e-4, 0.75, 1.0, read=[x], write=[scale, y])
    yield b.work("lrn_backward", x, scale, y, dy, dx, 5, 1e-4, 0.75, read=[x, scale, dy], write=[dx])
    normalized = b.empty(*b.planes)
    yield b.work("normalize_forward", x, mean, variance, 1e-5, normalized, y, read=[x], write=[normalized, y])
    yield b.work("normalize_backward", variance, 1e-5, dy, y, read=[dy], write=[y])
    yield b.work("batch_norm_backward", x, variance, 1e-5, dy, y, read=[dy, x, dy, x], write=[y])
    factor = b.positive(b.shape[1])
    scaled = (factor, factor.copy(), factor.copy(), b.normal(b.shape[1]), 0.0)
    work = b.work("batch_norm_backward", x, variance, 1e-5, dy, y, *scaled, read=[dy, x, dy, x], write=[y])
    yield replace(work, name="batch_norm_backward ReLU")
    yield b.work("channel_statistics", x, mean, variance, read=[x])
    sums = b.positive(b.shape[1]), b.positive(b.shape[1]), b.positive(1)
    yield b.work("update_statistics", mean, variance, *sums, 0.999, 1.0)
    yield b.work("stored_statistics", *sums, mean, variance)
    x, dy, y, scale, dx = (array.reshape(b.shape) for array in (x, dy, y, scale, dx))
    yield b.work("lrn_within_forward", x, scale, y, 3, 1.0, 0.75, read=[x], write=[scale, y])
    yield b.work("lrn_within_backward", x, scale, y, dy, dx, 3, 1.0, 0.75, read=[x, scale, y, dy], write=[dx])
    x, dy, y = (array.reshape(b.shape[0] * b.shape[1], -1) for array in (x, dy, y))
    divisor = b.positive(len(x))
    yield b.work("mvn_forward", x, divisor, 1e-9, y, read=[x, x, x], write=[y])
    yield b.work("mvn_backward", x, divisor, dy, y, read=[x, dy, x, dy], write=[y])
    yield b.work("unit_forward", x, divisor, y, 1e-12, read=[x], write=[y])
    yield b.work("unit_backward", y, divisor, dy, x, 1e-12, read=[y, dy], write=[x])


def axes(b: Bench) -> Iterator[Work]:
    x, dy, y = b.normal(*b.planes), b.normal(*b.planes), b.empty(*b.planes)
    factor, bias = b.positive(b.shape[1]), b.normal(b.shape[1])
    yield b.work("scale_forward", x, factor, bias, y, read=[x], write=[y])
    yield b.work("scale_backward_factor", dy, x, factor, read=[dy, x])
    yield b.work("bias_forward", y, bias, read=[y], write=[y])
    yield b.work("bias_backward", dy, bias, read=[dy])
    x, dy, y = (array.reshape(-1, b.planes[2]) for array in (x, dy, y))
    sums = b.empty(len(x))
    yield b.work("reduce_forward", x, sums, "SUMSQ", 1.0, read=[x])
    yield b.work("reduce_backward", x, sums, y, "SUMSQ", 1.0, read=[x], write=[y])


def products(b: Bench) -> Iterator[Work]:
    size = 16 * b.shape[2] + 16
    left, right, out = b.normal(size, size), b.normal(size, size), b.empty(size, size)
    yield b.work("matmul", left, right, out, read=[left, right], write=[out], multiply_adds=size**3)
    g, channels = ConvGeometry((1, 1), (1, 1), (1, 1)), b.shape[1]
    x, y, w = b.normal(*b.shape), b.normal(*b.shape), b.normal(channels, channels, 3, 3)
    work = x.size * channels * 9
    yield b.work("conv_forward", x, w, y, g, read=[x], write=[y], multiply_adds=work)
    yield b.work("conv_backward_data", y, w, x, g, read=[y], write=[x], multiply_adds=work)
    yield b.work("conv_backward_weights", x, y, w, g, read=[x, y], multiply_adds=work)


def scores(b: Bench) -> Iterator[Work]:
    """Softmax and what is done with it; the scores of every item lie side by side."""
    items = b.count // CLASSES
    x, dy, y = b.positive(items, CLASSES, 1), b.normal(items, CLASSES, 1), b.empty(items, CLASSES, 1)
    labels, gains = b.labels(items, 1), b.positive(CLASSES, CLASSES)
    one, divisor, report = b.empty(1), b.positive(1), b.empty(2)
    yield b.work("softmax_forward", x, y, read=[x], write=[y])
    yield b.work("softmax_backward", x, dy, y, read=[x, dy], write=[y])
    yield b.work("check_labels", labels, CLASSES, None, report, read=[labels])
    yield b.work("count_labels", labels, divisor, 0, read=[labels])
    yield b.work("softmax_loss_forward", x, labels, one, divisor, None, read=[labels], gathered=items)
    yield b.work("softmax_loss_backward", x, labels, y, divisor, divisor, None, read=[x, labels], write=[y])
    yield b.work("infogain_loss_forward", x, labels, gains, one, divisor, None, read=[x, labels])
    yield b.work("infogain_loss_backward", x, labels, gains, y, divisor, divisor, None, read=[x, labels], write=[y])
    yield b.work("accuracy_forward", x, labels, one, None, 1, None, report, read=[x, labels])
    best = b.empty(items, 5, 1), b.empty(items, 5, 1)
    yield b.work("top_k", x, *best, 5, read=[x], write=best)


def losses(b: Bench) -> Iterator[Work]:
    items = b.count // CLASSES
    x, t, y = b.positive(items, CLASSES), b.positive(items, CLASSES), b.empty(items, CLASSES)
    labels, one, scale = b.labels(items), b.empty(1), b.positive(1)
    yield b.work("euclidean_loss_forward", x, t, y, one, read=[x, t], write=[y])
    yield b.work("euclidean_loss_backward", x, y, scale, 1, read=[x], write=[y])
    yield b.work("hinge_loss_forward", x, labels, y, one, 2, read=[x, labels], write=[y])
    yield b.work("hinge_loss_backward", labels, x, y, scale, 2, read=[x, labels], write=[y])
    yield b.work("multinomial_loss_forward", x, labels, one, read=[labels], gathered=items)
    yield b.work("multinomial_loss_backward", x, labels, y, scale, read=[x, labels], write=[y])
    yield b.work("sigmoid_loss_forward", x, t, one, scale, None, read=[x, t])
    yield b.work("sigmoid_loss_backward", x, t, y, scale, scale, None, read=[x, t], write=[y])


def contrastive(b: Bench) -> Iterator[Work]:
    left, right, difference = (b.normal(b.rows, EMBEDDING) for _ in range(3))
    labels, similar, replaced, distance, matches = (b.empty(b.rows) for _ in range(5))
    both, classes, active, loss = b.labels(b.rows, 2), b.normal(10, EMBEDDING), b.positive(1), b.empty(1)
    rule = ContrastiveRule()
    yield b.work("pair_similarity", both, labels, read=[both], write=[labels])
    targets = (left, both, similar, classes, "MATCHING", difference, replaced, active)  # none matches: all are copied
    yield b.work("contrastive_targets", *targets, read=[left, similar], write=[difference, replaced])
    arrays = (left, right, similar, active, difference, distance, loss, matches)
    written = [difference, distance, matches]
    yield b.work("contrastive_forward", *arrays, rule, read=[left, right, similar], write=written)
    kept = (difference, distance, similar, active)
    yield b.work(
        "contrastive_backward", *kept, left, active, 1, rule, read=[difference, distance, similar], write=[left]
    )


def triplets(b: Bench) -> Iterator[Work]:
    """Given triplets in any number; mined ones in a batch of ten classes, no larger than such batches are."""
    a, p, n = (b.normal(b.rows, EMBEDDING) for _ in range(3))
    da, dp, dn = (b.empty(b.rows, EMBEDDING) for _ in range(3))
    two, slope, tally = b.empty(b.rows, 2), b.empty(b.rows), b.empty(b.rows, TRIPLET_TALLY)
    loss, one, rule = b.empty(1), b.positive(1), TripletRule(1.0)
    yield b.work("triplet_forward", a, p, n, two, slope, tally, rule, read=[a, p, n], write=[two, slope, tally])
    given = (a, p, n, two, slope, one, one, da, dp, dn)
    yield b.work("triplet_backward", *given, rule, read=[a, p, n, two, slope], write=[da, dp, dn])
    yield b.work("triplet_summary", tally, loss, one, None, b.empty(2), "TWICE", read=[tally])
    items = min(256, b.rows)
    x, dx, labels = b.normal(items, EMBEDDING), b.empty(items, EMBEDDING), b.labels(items, 1, below=10)
    pairs, slope, tally = b.empty(items, items), b.empty(items, items), b.empty(items, TRIPLET_TALLY)
    yield b.work("pair_distances", x, pairs, rule, read=[x], write=[pairs])
    batch = (pairs, labels, slope, tally)
    yield b.work("triplet_mine", *batch, "HARD", rule, read=[pairs], write=[slope])
    for mining in ("ALL", "SEMIHARD"):
        work = b.work("triplet_mine", *batch, mining, rule, read=[pairs], write=[slope])
        yield replace(work, name=f"triplet_mine {mining}")
    found = (x, pairs, slope, one, one, dx)
    yield b.work("mined_triplet_backward", *found, rule, read=[x, pairs, slope], write=[dx])


def sequences(b: Bench) -> Iterator[Work]:
    """A batch of images, and two partners for each."""
    items, classes, slots = max(2, b.shape[0]), 10, 64
    size = b.count // b.shape[0]
    x, labels, places = b.normal(items, size), b.labels(items, below=classes), b.empty(items)
    cache, counts = b.empty(classes, slots, size), b.empty(classes)
    yield b.work("sequence_store", x, labels, cache, counts, places, read=[x], write=[x])
    chosen, of_item, position = b.empty(2, items), b.empty(items, 3), b.empty(1, dtype=np.uint64)
    arrays = (labels, places, counts, slots, chosen, of_item, 0, "SAME")
    drawing = (RandomStream(1, "benchmark"), position, b.empty(2))
    yield b.work("sequence_choose", *arrays, *drawing, read=[labels, places], write=[chosen, of_item])


def centroids(b: Bench) -> Iterator[Work]:
    """Ten classes, and no more items than a large batch has."""
    items, classes, slots = min(4096, b.rows), 10, 20
    x, labels = b.normal(items, EMBEDDING), b.labels(items, 1, below=classes)
    means, counts, status = b.normal(classes, EMBEDDING), b.positive(classes), b.positive(classes)
    distances, cache, out = b.empty(items, classes), b.empty(classes, slots, EMBEDDING), b.empty(classes, EMBEDDING)
    yield b.work("centroid_update", x, labels, means, counts, status, None, 100, read=[x, labels])
    yield b.work("absent_classes", counts, status, None, b.empty(classes))
    yield b.work("centroid_distances", x, means, distances, None, read=[x], write=[distances])
    passes = b.empty(1, dtype=np.uint64)
    yield b.work("centroid_output", means, status, None, passes, 0, out, read=[means], write=[out])
    yield b.work("nearest_accuracy", distances, labels, b.empty(1), (), read=[distances, labels])
    yield b.work("cache_encodings", x, labels, cache, counts, read=[x, labels])
    arrays = (x, cache, b.positive(classes) + 3, distances)
    yield b.work("nearest_cached_distances", *arrays, None, 3, read=[x], write=[distances])


def episodes(b: Bench) -> Iterator[Work]:
    """A batch as few-shot learning has them: ten classes, and no more items than a large batch has."""
    items, classes = min(1024, b.rows // 2 * 2), 10
    x, labels, kept = b.normal(items, EMBEDDING), b.labels(items, 1, below=classes), b.normal(classes, EMBEDDING)
    targets, shares, one, two = b.labels(items, below=classes), b.empty(classes, items), b.positive(1), b.empty(2)
    yield b.work("split_episode", labels, 5, targets, shares, b.empty(classes), two, read=[labels], write=[shares])
    distances, p, judge = b.positive(items, classes), b.empty(items, classes), PrototypeRule()
    arrays = (distances, targets, p, one, b.empty(1), None, two)
    yield b.work("prototypical_forward", *arrays, judge, read=[distances], write=[p])
    yield b.work("prototypical_backward", p, targets, one, one, distances, judge, read=[p], write=[distances])
    arrays = (x, kept, distances, b.empty(items, EMBEDDING), b.empty(classes, EMBEDDING))
    yield b.work("squared_distances_backward", *arrays, read=[x, distances], write=[x])
    values, slopes, tally = b.normal(items, items), b.empty(items, items), b.empty(items, TALLY)
    for rule in (PairRule(), PairRule(negatives_only=True)):
        yield b.work("sup_con_pairs", values, labels, slopes, tally, rule, read=[values], write=[slopes])
    yield b.work("sup_con_summary", tally, b.empty(1), one, two, read=[tally])
    yield b.work("sup_con_backward", slopes, one, one, values, read=[slopes], write=[values])


def newest(b: Bench) -> Iterator[Work]:
    """Ten batches of stored items, and ten classes."""
    items, classes, slots = min(64, b.rows), 10, 640
    x, ring, cursor = b.normal(items, EMBEDDING), b.normal(slots, EMBEDDING), b.empty(2)
    yield b.work("ring_store", x, ring, cursor, read=[x], write=[x])
    yield b.work("ring_advance", cursor, items, slots)
    b.device.ops.ring_advance(cursor, slots, slots)
    labels, scores = b.labels(slots, 1, below=classes), b.empty(items, classes)
    yield b.work("nearest_scores", x, ring, labels, cursor, scores, 100, read=[x, ring], write=[scores])


def moves(b: Bench) -> Iterator[Work]:
    x, dy, y = (b.normal(b.rows, EMBEDDING) for _ in range(3))
    index, winner = b.labels(b.rows, below=b.rows), b.empty(b.rows, EMBEDDING, dtype=np.int32)
    few = min(4096, b.rows)
    yield b.work("gather_rows", x, index, y, read=[x, index], write=[y])
    yield b.work("scatter_add_rows", dy[:few], index[:few], y, read=[dy[:few], y[:few]], write=[y[:few]])
    yield b.work("maximum_forward", [x, dy], y, winner, read=[x, dy], write=[y, winner])
    yield b.work("maximum_backward", dy, winner, y, 1, read=[dy, winner], write=[y])
    yield b.work("product", [x, dy], y, read=[x, dy], write=[y])
    yield b.work("product_backward", x, y, dy, dy, read=[x, y, dy], write=[dy])
    yield b.work("weighted_sum", [x, dy], (1.0, 1.0), y, read=[x, dy], write=[y])
    yield b.work("copy", x, y, read=[x], write=[y])
    yield b.work("fill", y, 0.0, write=[y])
    half = x[:, : EMBEDDING // 2]
    yield b.work("copy_columns", x, 0, y, 0, EMBEDDING // 2, read=[half], write=[half])
    window, start = dy.reshape(-1)[: x.size // 2].reshape(b.rows, -1), (0, EMBEDDING // 4)
    yield b.work("crop_forward", x, window, start, read=[window], write=[window])
    yield b.work("crop_backward", window, y, start, read=[window], write=[y])
    whole, block = x.reshape(-1, 4, 16), y.reshape(-1)[: x.size // 4].reshape(-1, 16)
    yield b.work("tile_forward", block, whole, read=[block], write=[whole])
    yield b.work("tile_backward", whole, block, read=[whole], write=[block])


def images(b: Bench) -> Iterator[Work]:
    """Crops of colour images, every other one mirrored, from a source of as many images as a batch holds."""
    side = b.shape[2]
    count, stored = max(2, b.count // (3 * side * side)), side + side // 8 + 1
    pixels = b.device.from_host(
        np.arange(count * 3 * stored * stored).astype(np.uint8).reshape(count, 3, stored, stored)
    )
    numbers = np.arange(count)
    choices = np.stack([numbers * 7919 % count, numbers % (stored - side), numbers % 3, numbers % 2], axis=1)
    arrays = pixels, None, b.device.from_host(choices.astype(np.int32)), b.normal(3, stored, stored)
    out = b.empty(count, 3, side, side)
    read = [pixels.reshape(-1)[: out.size]]
    yield b.work("transform_images", *arrays, ImageTransform(scale=0.5), out, read=read, write=[out])


def updates(b: Bench) -> Iterator[Work]:
    weights, diffs, *histories = (b.positive(b.count) for _ in range(4))
    segments, control = [Segment(0, b.count)], b.device.from_host(np.full(CONTROL_SIZE, 0.01))
    yield b.work("clip_gradients", diffs, segments, control, threshold=1.0, iter_size=1, read=[diffs])
    yield b.work("segment_mean_squares", diffs, segments, b.empty(1), read=[diffs])
    for rule, options in RULES.items():
        arrays = [weights, diffs, *histories[: HISTORIES[rule]]]
        rest = {"weight_decay": 5e-4, "l1": False, **options}
        yield b.work(f"update_{rule}", *arrays, segments, control, read=arrays, write=arrays, **rest)


def random_numbers(b: Bench) -> Iterator[Work]:
    out, position, stream = b.empty(b.count), b.empty(1, dtype=np.uint64), RandomStream(1, "benchmark")
    yield b.work("uniform", out, stream, 0, write=[out])
    yield b.work("bernoulli", out, 0.5, stream, 0, write=[out])
    yield b.work("advance", position, read=[position], write=[position])
