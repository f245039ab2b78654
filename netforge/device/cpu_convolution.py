"""Convolution on a CPU: columns of a few images at a time, which stay in the cache, times the weights.

Columns have the images as their innermost axis, so that copying and adding windows moves long runs of memory.
Where the first spatial axis has stride 1, only the other axes are unfolded into columns, and the rows of the kernel
become shifted views of one block of columns (Cho and Brand, "MEC: memory-efficient convolution", ICML 2017): for a
5 x 5 kernel a fifth of the copying of im2col. Otherwise a block unfolds the whole kernel and there is one shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.operations.convolution import ConvGeometry, ConvolutionOps, add_windows, interior, windows
from netforge.device.workers import Workers, piece_size, scratch

Array = npt.NDArray[Any]

BLOCK_ELEMENTS = 1 << 18  # the most columns of one piece of work: 1 MiB in float32
CHUNK = 16  # the most images of one piece of work: as many fill the lanes of any vector unit
NARROW = 16  # rows of a matrix below which one product with all of the kernel beats one per kernel row
PARTIAL_SUMS = 8  # weight gradients are summed in so many parts, each by one thread


def images_last(x: Array) -> Array:
    """(images, channels, ...) seen as (channels, ..., images)."""
    return x.transpose(*range(1, x.ndim), 0)


def images_first(x: Array) -> Array:
    """(channels, ..., images) seen as (images, channels, ...)."""
    return x.transpose(-1, *range(x.ndim - 1))


@dataclass(frozen=True)
class Plan:
    """How a convolution is cut into pieces and blocks of columns; a function of shapes, so that results are, too.

    chunk: images per piece. spatial, padded: of x. kernel: the kernel axes that a block unfolds. positions: the window
    positions that it holds. shifts: for each slice of the kernel, which of the positions meet it.
    """

    batch: int
    chunk: int
    spatial: tuple[int, ...]
    padded: tuple[int, ...]
    kernel: tuple[int, ...]
    positions: tuple[int, ...]
    shifts: tuple[slice, ...]
    geometry: ConvGeometry

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return -(-self.batch // self.chunk)

    def images(self, piece: int) -> slice:
        """The images of one piece."""
        return slice(piece * self.chunk, min((piece + 1) * self.chunk, self.batch))

    def views(self, images: slice) -> list[slice]:
        """For each slice of the kernel, its part of a block of columns."""
        scale = prod(self.positions[1:]) * (images.stop - images.start)
        return [slice(shift.start * scale, shift.stop * scale) for shift in self.shifts]

    def kernels(self, w: Array) -> Array:
        """Weights as matrices (shift, group, O / group, rows), rows = C / group times the unfolded kernel."""
        group, shifts, unfolded = self.geometry.group, len(self.shifts), prod(self.kernel)
        parts = w.reshape(group, w.shape[0] // group, w.shape[1], shifts, unfolded).transpose(3, 0, 1, 2, 4)
        return parts.reshape(shifts, group, w.shape[0] // group, w.shape[1] * unfolded)

    def add_kernels(self, kernels: Array, w: Array) -> None:
        """Adjoint of `kernels`: add matrices to weights."""
        group, shifts, unfolded = self.geometry.group, len(self.shifts), prod(self.kernel)
        parts = w.reshape(group, w.shape[0] // group, w.shape[1], shifts, unfolded).transpose(3, 0, 1, 2, 4)
        parts += kernels.reshape(parts.shape)

    def split(self, block: Array) -> Array:
        """(channels, positions..., images) as matrices (group, channels / group, positions times images)."""
        return block.reshape(self.geometry.group, block.shape[0] // self.geometry.group, prod(block.shape[1:]))

    def outputs(self, y: Array) -> Array:
        """Some images y (images, O, out...) as matrices (group, O / group, positions times images)."""
        block = scratch("outputs", (*y.shape[1:], y.shape[0]), y.dtype)
        np.copyto(block, images_last(y))
        return self.split(block)

    def columns(self, x: Array) -> Array:
        """The block of columns (group, rows, positions times images) of some images x (images, C, spatial...)."""
        image = self._frame(x)
        if self.positions == self.padded:  # nothing to unfold
            return self.split(image)
        view = windows(images_first(image), self.kernel, self.positions, self.geometry)
        block = scratch("columns", (*view.shape[1:], view.shape[0]), x.dtype)
        np.copyto(block, images_last(view))
        return self.split(block.reshape(x.shape[1] * prod(self.kernel), *self.positions, x.shape[0]))

    def add_columns(self, columns: Array, x: Array) -> None:
        """Adjoint of `columns`: x (overwritten) is the sum of the elements of a block over each of its pixels."""
        image = scratch("image", (x.shape[1], *self.padded, x.shape[0]), x.dtype)
        image.fill(0)
        block = columns.reshape(x.shape[1], *self.kernel, *self.positions, x.shape[0])
        images = images_first(image)
        add_windows(images_first(block), images, self.geometry)
        x[...] = images[interior(self.spatial, self.geometry.pad)]

    def _frame(self, x: Array) -> Array:
        """Images (images, C, spatial...) as (C, padded spatial..., images)."""
        image = scratch("image", (x.shape[1], *self.padded, x.shape[0]), x.dtype)
        if self.padded != self.spatial:
            image.fill(0)
        images_first(image)[interior(self.spatial, self.geometry.pad)] = x
        return image


@lru_cache(maxsize=512)
def plan_convolution(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], y_shape: tuple[int, ...], g: ConvGeometry
) -> Plan:
    """The plan for x (N, C, spatial...), w (O, C / group, kernel...), y (N, O, out...)."""
    spatial, kernel, out = x_shape[2:], w_shape[2:], y_shape[2:]
    padded = tuple(size + 2 * p for size, p in zip(spatial, g.pad, strict=True))
    shifts: tuple[slice, ...] = (slice(0, out[0] if out else 1),)
    positions = out
    if kernel and g.stride[0] == 1 and w_shape[1] * prod(kernel[1:]) >= NARROW:
        shifts = tuple(slice(i * g.dilation[0], i * g.dilation[0] + out[0]) for i in range(kernel[0]))
        kernel, positions = (1, *kernel[1:]), (padded[0], *out[1:])
    block = x_shape[1] * prod(kernel) * prod(positions)
    chunk = piece_size(x_shape[0], min(BLOCK_ELEMENTS // max(block, 1), CHUNK))
    return Plan(x_shape[0], chunk, spatial, padded, kernel, positions, shifts, g)


def mirrored_geometry(w_shape: tuple[int, ...], g: ConvGeometry) -> ConvGeometry | None:
    """The geometry in which the gradient of x is itself a convolution, of dy with the mirrored weights.

    Writing each pixel once is faster than adding windows up. None where there is no such geometry (a stride, or more
    padding than the kernel reaches), or where its columns, of dy, are larger than those of x.
    """
    reach = tuple(d * (k - 1) for d, k in zip(g.dilation, w_shape[2:], strict=True))
    if w_shape[0] > w_shape[1] * g.group or any(s != 1 for s in g.stride) or any(map(int.__lt__, reach, g.pad)):
        return None
    return ConvGeometry(g.stride, tuple(r - p for r, p in zip(reach, g.pad, strict=True)), g.dilation, g.group)


def mirrored_weights(w: Array, group: int) -> Array:
    """Weights (O, C / group, kernel...) as (C, O / group, kernel...), each kernel turned round."""
    parts = w.reshape(group, w.shape[0] // group, *w.shape[1:]).swapaxes(1, 2)
    return np.flip(parts, tuple(range(3, parts.ndim))).reshape(group * w.shape[1], -1, *w.shape[2:])


class CpuConvolution(ConvolutionOps):
    """Convolution in pieces of a few images, on all processors."""

    workers: Workers

    def conv_forward(self, x: Array, w: Array, y: Array, g: ConvGeometry, b: Array | None = None) -> None:
        """See `ConvolutionOps`."""
        plan = plan_convolution(x.shape, w.shape, y.shape, g)
        kernels = plan.kernels(w)

        def piece(index: int) -> None:
            images = plan.images(index)
            columns, views = plan.columns(x[images]), plan.views(images)
            result = scratch("result", (y.shape[1], *y.shape[2:], images.stop - images.start), y.dtype)
            out = plan.split(result)
            np.matmul(kernels[0], columns[..., views[0]], out=out)
            term = scratch("product", out.shape, out.dtype)
            for matrix, view in zip(kernels[1:], views[1:], strict=True):
                out += np.matmul(matrix, columns[..., view], out=term)
            if b is not None:
                out += b.reshape(g.group, -1, 1)
            y[images] = images_first(result)

        self.workers.run(plan.pieces, piece)

    def conv_backward_data(self, dy: Array, w: Array, dx: Array, g: ConvGeometry) -> None:
        """See `ConvolutionOps`."""
        if (mirrored := mirrored_geometry(w.shape, g)) is not None:
            self.conv_forward(dy, mirrored_weights(w, g.group), dx, mirrored)
            return
        plan = plan_convolution(dx.shape, w.shape, dy.shape, g)
        kernels = plan.kernels(w).swapaxes(2, 3)

        def piece(index: int) -> None:
            images = plan.images(index)
            part, views = plan.outputs(dy[images]), plan.views(images)
            size = prod(plan.positions) * (images.stop - images.start)
            columns = scratch("columns", (g.group, kernels.shape[2], size), dx.dtype)
            columns[..., part.shape[2] :] = 0
            np.matmul(kernels[0], part, out=columns[..., views[0]])
            term = scratch("product", (*columns.shape[:2], part.shape[2]), dx.dtype)
            for matrix, view in zip(kernels[1:], views[1:], strict=True):
                columns[..., view] += np.matmul(matrix, part, out=term)
            plan.add_columns(columns, dx[images])

        self.workers.run(plan.pieces, piece)

    def conv_backward_weights(self, x: Array, dy: Array, dw: Array, g: ConvGeometry) -> None:
        """See `ConvolutionOps`."""
        plan = plan_convolution(x.shape, dw.shape, dy.shape, g)
        parts = min(plan.pieces, PARTIAL_SUMS)
        sums = np.zeros((parts, *plan.kernels(dw).shape), dw.dtype)

        def part(number: int) -> None:
            for index in range(number, plan.pieces, parts):
                images = plan.images(index)
                columns, out = plan.columns(x[images]).swapaxes(1, 2), plan.outputs(dy[images])
                for total, view in zip(sums[number], plan.views(images), strict=True):
                    total += np.matmul(out, columns[:, view])

        self.workers.run(parts, part)
        plan.add_kernels(sums.sum(axis=0), dw)
