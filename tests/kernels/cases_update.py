"""The solvers' update rules against their references."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import GRID, Bench, case

from netforge.device.operations.update import CONTROL_SIZE, CORRECTION, NORM, RATE, SCALE, Segment

SIZES = ((5, 0, 7), (0,), (1,), (300, 11, 256))
CHUNK = 64
RULES: dict[str, tuple[int, dict[str, float], tuple[float, ...]]] = {
    # kernel: how many histories, what the reference takes, what the kernel takes
    "update_sgd": (1, {"momentum": 0.9}, (0.9,)),
    "update_nesterov": (1, {"momentum": 0.9}, (0.9,)),
    "update_adagrad": (1, {"delta": 1e-3}, (1e-3,)),
    "update_rmsprop": (1, {"rms_decay": 0.98, "delta": 1e-3}, (0.98, 1 - 0.98, 1e-3)),
    "update_adadelta": (2, {"momentum": 0.95, "delta": 1e-3}, (0.95, 1 - 0.95, 1e-3)),
    "update_adam": (
        2,
        {"beta1": 0.9, "beta2": 0.999, "delta": 1e-3, "adamw_decay": 0.02},
        (0.9, 1 - 0.9, 0.999, 1 - 0.999, 1e-3, 0.02),
    ),
}


def segments_of(sizes: tuple[int, ...]) -> list[Segment]:
    """Blobs one behind the other, with three unused numbers between; the second does not learn."""
    multipliers = ((1.0, 1.0), (0.0, 1.0), (2.0, 0.0))
    segments, offset = [], 0
    for size, (rate, decay) in zip(sizes, multipliers, strict=False):
        segments.append(Segment(offset, size, rate, decay))
        offset += size + 3
    return segments


def table(b: Bench, segments: list[Segment]) -> tuple[np.ndarray, ...]:
    """The chunks of a launch: starts, ends, rate multipliers, decay multipliers."""
    rows = [
        (start, min(start + CHUNK, s.offset + s.size), s.lr_mult, s.decay_mult)
        for s in segments
        if s.lr_mult
        for start in range(s.offset, s.offset + s.size, CHUNK)
    ]
    starts, ends, rates, decays = np.array(rows, np.float64).reshape(-1, 4).T
    return starts.astype(np.int32), ends.astype(np.int32), rates.astype(b.dtype), decays.astype(b.dtype)


@case(*SIZES)
def updates(b: Bench, sizes: tuple[int, ...]) -> None:
    segments = segments_of(sizes)
    total = segments[-1].offset + segments[-1].size
    chunks = table(b, segments)
    control = np.zeros(CONTROL_SIZE)
    control[[RATE, SCALE, CORRECTION]] = 0.1, 0.5, 0.8
    for name, (histories, settings, numbers) in RULES.items():
        for decay, l1 in ((0.0, False), (0.05, False), (0.05, True)):
            got: list[Any] = [b.normal(total), b.normal(total), *(b.uniform(total) for _ in range(histories))]
            wanted = [a.copy() for a in got]
            for _ in range(2):
                b.launch(name, *got, *chunks, control, len(chunks[0]), decay, l1, *numbers)
                getattr(b.ops, name)(*wanted, segments, control, weight_decay=decay, l1=l1, **settings)
            for a, e in zip(got, wanted, strict=True):
                b.equal(a, e)


@case(37, 1, 1009)
def clipping(b: Bench, n: int) -> None:
    diffs, parts = b.normal(n), b.dirty(GRID)
    for threshold in (1e-2, 1e6):
        control, wanted = np.ones(CONTROL_SIZE), np.ones(CONTROL_SIZE)
        b.launch("gradient_squares", diffs, parts, n)
        b.launch("clip_gradients", parts, control, GRID, threshold, 4, grid=(1,))
        b.ops.clip_gradients(diffs, [Segment(0, n)], wanted, threshold=threshold, iter_size=4)
        b.equal(control, wanted)
        assert control[NORM] > 0


@case(*SIZES)
def mean_squares(b: Bench, sizes: tuple[int, ...]) -> None:
    segments = segments_of(sizes)
    limits = np.array([(s.offset, s.offset + s.size) for s in segments], np.int32)
    values, got, wanted = b.normal(int(limits.max())), b.dirty(len(segments)), b.dirty(len(segments))
    b.ops.segment_mean_squares(values, segments, wanted)
    bounds, count = (limits[:, 0].copy(), limits[:, 1].copy()), len(segments)
    for splits in (1, 3):
        parts = b.dirty(count, splits)
        b.launch("segment_squares", values, *bounds, parts, count, grid=(2, splits))
        b.launch("segment_mean_squares", parts, *bounds, got, count, splits)
        b.equal(got, wanted)
