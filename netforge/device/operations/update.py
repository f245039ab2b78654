"""Operations: the solvers' update rules, each one fused pass over a net's flat weights.

All of them take the same things:

weights, diffs: flat arrays of one float type; `diffs` holds summed gradients, and afterwards what was subtracted.
histories (`velocity`, `squares` ...): flat arrays of the same size and type, kept between calls.
segments: which part of the flat arrays belongs to which blob, with that blob's multipliers. A blob whose lr_mult is 0
is left alone, and so are its histories.
control: float64 array of `CONTROL_SIZE` numbers on the device, at the places RATE, SCALE, CORRECTION and NORM. What
changes from one iteration to the next comes in through it, so that the call itself never changes.
weight_decay, l1: with g = diffs * control[SCALE], the gradient is g + weight_decay * decay_mult * w, or with `l1`
g + weight_decay * decay_mult * sign(w).

a below is control[RATE] * lr_mult; every rule ends with w -= update.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # a NumPy or a CuPy array

RATE = 0  # learning rate of this iteration
SCALE = 1  # what summed gradients are multiplied with: 1 / iter_size, smaller where they are clipped
CORRECTION = 2  # Adam: sqrt(1 - beta2^t) / (1 - beta1^t)
NORM = 3  # global L2 norm of the summed gradients, written where gradients are clipped
CONTROL_SIZE = 4

CHUNK = 1 << 15  # elements worked on at a time, so that temporaries stay in a core's cache


@dataclass(frozen=True)
class Segment:
    """The part [offset, offset + size) of the flat arrays, which holds one blob, with the blob's own multipliers."""

    offset: int
    size: int
    lr_mult: float = 1.0
    decay_mult: float = 1.0


class UpdateOps:
    """NumPy reference of the solvers' update rules."""

    def clip_gradients(
        self, diffs: Array, segments: Sequence[Segment], control: Array, *, threshold: float, iter_size: int
    ) -> None:
        """control[NORM] = |diffs|; control[SCALE] = min(1, threshold / |diffs|) / iter_size.

        The norm is that of the sum over iter_size passes, before weight decay, as in Caffe.
        """
        parts = (diffs[s.offset : s.offset + s.size] for s in segments)
        # einsum sums in a fixed order and in float64; a BLAS dot product would depend on the number of threads
        norm = math.sqrt(sum(float(np.einsum("i,i->", part, part, dtype=np.float64)) for part in parts))
        control[NORM] = norm
        control[SCALE] = (threshold / norm if norm > threshold else 1.0) / iter_size

    def segment_mean_squares(self, values: Array, segments: Sequence[Segment], means: Array) -> None:
        """means[i] = mean of the squares of segment i of the flat `values`, whatever its multipliers; 0 where empty."""
        for number, s in enumerate(segments):
            starts = range(s.offset, s.offset + s.size, CHUNK)
            parts = (values[start : min(start + CHUNK, s.offset + s.size)] for start in starts)
            with np.errstate(over="ignore"):  # what overflows is infinite, which whoever looks at it shall see
                means[number] = sum(float(np.dot(part, part)) for part in parts) / max(1, s.size)

    def update_sgd(
        self,
        weights: Array,
        diffs: Array,
        velocity: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        momentum: float,
    ) -> None:
        """v = momentum * v + a * g; update = v. The rate is inside the velocity, as in Caffe."""
        rate = float(control[RATE])
        for segment, part, w, g in _regularized(weights, diffs, segments, control, weight_decay, l1):
            v = velocity[part]
            v *= momentum
            g *= rate * segment.lr_mult
            v += g
            w -= v
            g[...] = v

    def update_nesterov(
        self,
        weights: Array,
        diffs: Array,
        velocity: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        momentum: float,
    ) -> None:
        """p = v; v = momentum * v + a * g; update = (1 + momentum) * v - momentum * p (Sutskever et al., ICML 2013)."""
        rate = float(control[RATE])
        for segment, part, w, g in _regularized(weights, diffs, segments, control, weight_decay, l1):
            v = velocity[part]
            previous = v * momentum
            g *= rate * segment.lr_mult
            np.add(previous, g, out=v)
            np.multiply(v, 1.0 + momentum, out=g)
            g -= previous
            w -= g

    def update_adagrad(
        self,
        weights: Array,
        diffs: Array,
        squares: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        delta: float,
    ) -> None:
        """s += g^2; update = a * g / (sqrt(s) + delta) (Duchi et al., JMLR 2011)."""
        rate = float(control[RATE])
        for segment, part, w, g in _regularized(weights, diffs, segments, control, weight_decay, l1):
            s = squares[part]
            s += g * g
            _step(w, g, s, rate * segment.lr_mult, delta)

    def update_rmsprop(
        self,
        weights: Array,
        diffs: Array,
        squares: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        rms_decay: float,
        delta: float,
    ) -> None:
        """s = rms_decay * s + (1 - rms_decay) * g^2; update = a * g / (sqrt(s) + delta) (Tieleman and Hinton, 2012)."""
        rate = float(control[RATE])
        for segment, part, w, g in _regularized(weights, diffs, segments, control, weight_decay, l1):
            s = squares[part]
            _average(s, g * g, rms_decay)
            _step(w, g, s, rate * segment.lr_mult, delta)

    def update_adadelta(
        self,
        weights: Array,
        diffs: Array,
        squares: Array,
        updates: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        momentum: float,
        delta: float,
    ) -> None:
        """The rule of Zeiler, arXiv:1212.5701, where `momentum` is its rho.

        s = rho * s + (1 - rho) * g^2; v = g * sqrt((u + delta) / (s + delta)); u = rho * u + (1 - rho) * v^2;
        update = a * v.
        """
        rate = float(control[RATE])
        for segment, part, w, g in _regularized(weights, diffs, segments, control, weight_decay, l1):
            s, u = squares[part], updates[part]
            _average(s, g * g, momentum)
            g *= np.sqrt((u + delta) / (s + delta))
            _average(u, g * g, momentum)
            g *= rate * segment.lr_mult
            w -= g

    def update_adam(
        self,
        weights: Array,
        diffs: Array,
        mean: Array,
        variance: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        beta1: float,
        beta2: float,
        delta: float,
        adamw_decay: float = 0.0,
    ) -> None:
        """The rule of Kingma and Ba, arXiv:1412.6980, with delta outside the bias correction, as in Caffe.

        m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
        update = a * (control[CORRECTION] * m / (sqrt(v) + delta) + adamw_decay * decay_mult * w), where the last part
        is the decay beside the gradient of AdamW (Loshchilov and Hutter, ICLR 2019).
        """
        rate, correction = float(control[RATE]), float(control[CORRECTION])
        for segment, part, w, g in _regularized(weights, diffs, segments, control, weight_decay, l1):
            m, v = mean[part], variance[part]
            _average(m, g, beta1)
            _average(v, g * g, beta2)
            np.divide(m, np.sqrt(v) + delta, out=g)
            g *= rate * segment.lr_mult * correction
            decay = adamw_decay * segment.decay_mult
            if decay:
                g += w * (rate * segment.lr_mult * decay)
            w -= g


def _chunks(segments: Sequence[Segment]) -> Iterator[tuple[Segment, slice]]:
    """Cut the segments that learn into cache-sized parts."""
    for segment in segments:
        if segment.lr_mult == 0:
            continue
        end = segment.offset + segment.size
        for start in range(segment.offset, end, CHUNK):
            yield segment, slice(start, min(start + CHUNK, end))


def _regularized(
    weights: Array, diffs: Array, segments: Sequence[Segment], control: Array, weight_decay: float, l1: bool
) -> Iterator[tuple[Segment, slice, Array, Array]]:
    """Yield (segment, part, weights, gradients) for each chunk; gradients are scaled and regularised in `diffs`."""
    scale = float(control[SCALE])
    for segment, part in _chunks(segments):
        w, g = weights[part], diffs[part]
        if scale != 1.0:
            g *= scale
        decay = weight_decay * segment.decay_mult
        if decay:
            g += (np.sign(w) if l1 else w) * decay
        yield segment, part, w, g


def _average(mean: Array, value: Array, keep: float) -> None:
    """mean = keep * mean + (1 - keep) * value, in place."""
    mean *= keep
    mean += value * (1.0 - keep)


def _step(w: Array, g: Array, squares: Array, rate: float, delta: float) -> None:
    """g = rate * g / (sqrt(squares) + delta); w -= g."""
    root = np.sqrt(squares)
    root += delta
    g /= root
    g *= rate
    w -= g
