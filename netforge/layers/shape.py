"""Layers that move whole blobs without changing a value: joining, cutting, repeating, reordering."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from netforge.blob import Blob
from netforge.device.operations.shape import around
from netforge.layers.axes import canonical_axis
from netforge.layers.base import Layer, register_layer, slots


def _axis_or_dim(layer: Layer, blob: Blob, field: str, old: str) -> int:
    """The axis from `axis` or from its old form; both may be given where they agree (MyCaffe writes both)."""
    s = layer.settings
    if s.HasField(old) and getattr(s, old) >= len(blob.shape):
        raise layer.fail(
            f'{old} {getattr(s, old)} is out of range for "{blob.name}" {blob.shape}', setting=f"{field}.{old}"
        )
    axis = canonical_axis(layer, s.axis, blob, f"{field}.axis")
    if s.HasField(old):
        if s.HasField("axis") and axis != getattr(s, old):
            raise layer.fail(
                f"axis {s.axis} and {old} {getattr(s, old)} differ", setting=f"{field}.{old}", mend=f"remove {old}"
            )
        axis = int(getattr(s, old))
    return axis


class Columns(Layer):
    """What Concat and Slice share: one whole and its parts along an axis, as columns of matrices with equal rows."""

    passes_values = True
    replayable = True

    def lay_out(self, axis: int, whole: tuple[int, ...], sizes: Sequence[int]) -> None:
        """Work out where the parts lie in a blob of shape `whole`; sizes: theirs along the axis."""
        outer, size, inner = around(whole, axis)
        self.view = (outer, size * inner)
        self.widths = [part * inner for part in sizes]
        self.starts = [start * inner for start in accumulate(sizes, initial=0)][:-1]

    def join(self, parts: Sequence[Any], whole: Any) -> None:
        """Copy each part to its place."""
        for part, start, width in zip(parts, self.starts, self.widths, strict=True):
            self.ops.copy_columns(part.reshape(self.view[0], width), 0, whole.reshape(self.view), start, width)

    def cut(self, whole: Any, parts: Sequence[Any | None]) -> None:
        """Copy each part out of the whole, but for those that are None."""
        for part, start, width in zip(parts, self.starts, self.widths, strict=True):
            if part is not None:
                self.ops.copy_columns(whole.reshape(self.view), start, part.reshape(self.view[0], width), 0, width)


@register_layer("Concat", settings="concat_param")
class Concat(Columns):
    """The bottoms joined along `axis`; their other axes agree."""

    bottoms = slots("x0 any shape", more="more blobs, equal but for the axis")
    tops = slots("y, the bottoms one after another")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Sizes along the axis add up."""
        axis = _axis_or_dim(self, bottom[0], "concat_param", "concat_dim")
        shape = list(bottom[0].shape)
        for blob in bottom:
            if len(blob.shape) != len(shape) or any(
                a != b for i, (a, b) in enumerate(zip(blob.shape, shape, strict=True)) if i != axis
            ):
                raise self.fail(
                    f'bottoms differ off axis {axis}: "{bottom[0].name}" has {bottom[0].shape}, '
                    f'"{blob.name}" has {blob.shape}'
                )
        sizes = [blob.shape[axis] for blob in bottom]
        shape[axis] = sum(sizes)
        top[0].reshape(tuple(shape))
        self.lay_out(axis, top[0].shape, sizes)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy each bottom to its place."""
        self.join([blob.data for blob in bottom], top[0].data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Copy each part of the gradient back."""
        wanted = zip(bottom, propagate_down, strict=True)
        self.cut(top[0].diff, [blob.diff if flag else None for blob, flag in wanted])


@register_layer("Slice", settings="slice_param")
class Slice(Columns):
    """The bottom cut along `axis`, at slice_point or into equal parts, one top for each part."""

    tops = slots("y0, the first part", more="the other parts")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Work out where each part lies."""
        axis = _axis_or_dim(self, bottom[0], "slice_param", "slice_dim")
        size = bottom[0].shape[axis]
        edges = [0, *self._points(size, len(top)), size]
        sizes = [stop - start for start, stop in pairwise(edges)]
        for blob, part in zip(top, sizes, strict=True):
            blob.reshape((*bottom[0].shape[:axis], part, *bottom[0].shape[axis + 1 :]))
        self.lay_out(axis, bottom[0].shape, sizes)

    def _points(self, size: int, parts: int) -> list[int]:
        points = list(self.settings.slice_point)
        if not points:
            if size % parts:
                raise self.fail(
                    f"an axis of size {size} cannot be cut into {parts} equal parts", mend="give slice_point"
                )
            return [size // parts * part for part in range(1, parts)]
        if len(points) != parts - 1:
            raise self.fail(
                f"{len(points)} slice points make {len(points) + 1} parts, there are {parts} tops",
                setting="slice_param.slice_point",
                mend=f"give {parts - 1} slice points, or {len(points) + 1} tops",
            )
        if any(a >= b for a, b in zip([0, *points], [*points, size], strict=True)):
            raise self.fail(
                f"slice points {points} do not rise between 0 and {size}, the size of the axis",
                setting="slice_param.slice_point",
            )
        return points

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy each part."""
        self.cut(bottom[0].data, [blob.data for blob in top])

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Copy the gradients together."""
        if propagate_down[0]:
            self.join([blob.diff for blob in top], bottom[0].diff)


@register_layer("Split")
class Split(Layer):
    """Copies of the bottom; gradients add up. A net does this by itself where a blob has several readers."""

    passes_values = True
    tops = slots("y0, a copy", more="more copies")
    replayable = True

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Every top has the bottom's shape."""
        for blob in top:
            blob.reshape(bottom[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy."""
        for blob in top:
            self.ops.copy(bottom[0].data, blob.data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Add the gradients up."""
        if propagate_down[0]:
            self.ops.weighted_sum([blob.diff for blob in top], [1.0] * len(top), bottom[0].diff)


class Reordered(Layer):
    """What Flatten and Reshape share: the same values in the same order under another shape."""

    passes_values = True
    replayable = True

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy."""
        self.ops.copy(bottom[0].data.reshape(-1), top[0].data.reshape(-1))

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Copy back."""
        if propagate_down[0]:
            self.ops.copy(top[0].diff.reshape(-1), bottom[0].diff.reshape(-1))


@register_layer("Flatten", settings="flatten_param")
class Flatten(Reordered):
    """Axes `axis` to `end_axis` become one."""

    per_item = True

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Multiply the sizes of the merged axes."""
        first = canonical_axis(self, self.settings.axis, bottom[0], "flatten_param.axis")
        last = canonical_axis(self, self.settings.end_axis, bottom[0], "flatten_param.end_axis")
        if last < first:
            raise self.fail(
                f"end_axis {last} comes before axis {first}", setting="flatten_param.end_axis", mend="exchange them"
            )
        shape = bottom[0].shape
        top[0].reshape((*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@register_layer("Reshape", settings="reshape_param")
class Reshape(Reordered):
    """Axes `axis` to `axis` + num_axes take the sizes in `shape`: 0 keeps the bottom's size, one -1 is worked out."""

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Fill in the sizes that are 0 or -1."""
        s, shape = self.settings, bottom[0].shape
        start = s.axis if s.axis >= 0 else len(shape) + s.axis + 1
        end = len(shape) if s.num_axes == -1 else start + s.num_axes
        if not 0 <= start <= end <= len(shape):
            raise self.fail(
                f'axis {s.axis} with num_axes {s.num_axes} is out of range for bottom "{bottom[0].name}" {shape}',
                setting="reshape_param",
            )
        wanted = [self._size(dim, start + i, shape) for i, dim in enumerate(s.shape.dim)]
        if wanted.count(-1) > 1:
            raise self.fail("more than one size is -1", setting="reshape_param.shape", mend="give all but one of them")
        full = [*shape[:start], *wanted, *shape[end:]]
        if -1 in wanted:
            known = math.prod(size for size in full if size != -1)
            if not known or bottom[0].count % known:
                raise self.fail(
                    f'the {bottom[0].count} elements of bottom "{bottom[0].name}" {shape} cannot be divided by {known}',
                    setting="reshape_param.shape",
                )
            full[full.index(-1)] = bottom[0].count // known
        if math.prod(full) != bottom[0].count:
            raise self.fail(
                f"shape {tuple(full)} has {math.prod(full)} elements, "
                f'bottom "{bottom[0].name}" {shape} has {bottom[0].count}',
                setting="reshape_param.shape",
            )
        top[0].reshape(tuple(full))

    def _size(self, dim: int, axis: int, shape: tuple[int, ...]) -> int:
        if dim == 0:
            if axis >= len(shape):
                raise self.fail(
                    f"size 0 copies axis {axis}, which the bottom {shape} has not", setting="reshape_param.shape"
                )
            return shape[axis]
        if dim < -1:
            raise self.fail(f"size {dim} is negative", setting="reshape_param.shape", mend="use -1, 0 or more")
        return int(dim)


@register_layer("Tile", settings="tile_param")
class Tile(Layer):
    """The bottom repeated `tiles` times along `axis`, whole blocks one after another."""

    passes_values = True
    replayable = True

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The axis gets `tiles` times as long."""
        if self.settings.tiles < 1:
            raise self.fail("tiles is missing", setting="tile_param", mend="give tiles, 1 or more")
        axis = canonical_axis(self, self.settings.axis, bottom[0], "tile_param.axis")
        outer, size, inner = around(bottom[0].shape, axis)
        self.view = (outer, self.settings.tiles, size * inner)
        shape = bottom[0].shape
        top[0].reshape((*shape[:axis], size * self.settings.tiles, *shape[axis + 1 :]))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy the block into each place."""
        outer, _, block = self.view
        self.ops.tile_forward(bottom[0].data.reshape(outer, block), top[0].data.reshape(self.view))

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Add the copies' gradients up."""
        if propagate_down[0]:
            outer, _, block = self.view
            self.ops.tile_backward(top[0].diff.reshape(self.view), bottom[0].diff.reshape(outer, block))
