"""Layers that move whole blobs without changing a value: joining, cutting, repeating, reordering."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netforge.blob import Blob
from netforge.layers.axes import around, canonical_axis
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


def _window(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    return (*(slice(None) for _ in range(axis)), slice(start, stop))


@register_layer("Concat", settings="concat_param")
class Concat(Layer):
    """The bottoms joined along `axis`; their other axes agree."""

    bottoms = slots("x0 any shape", more="more blobs, equal but for the axis")
    tops = slots("y, the bottoms one after another")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Sizes along the axis add up."""
        axis = _axis_or_dim(self, bottom[0], "concat_param", "concat_dim")
        shape = list(bottom[0].shape)
        self.windows = []
        start = 0
        for blob in bottom:
            if len(blob.shape) != len(shape) or any(
                a != b for i, (a, b) in enumerate(zip(blob.shape, shape, strict=True)) if i != axis
            ):
                raise self.fail(
                    f'bottoms differ off axis {axis}: "{bottom[0].name}" has {bottom[0].shape}, '
                    f'"{blob.name}" has {blob.shape}'
                )
            self.windows.append(_window(axis, start, start + blob.shape[axis]))
            start += blob.shape[axis]
        shape[axis] = start
        top[0].reshape(tuple(shape))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy each bottom to its place."""
        for blob, window in zip(bottom, self.windows, strict=True):
            top[0].data[window] = blob.data

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Copy each part of the gradient back."""
        for blob, window, wanted in zip(bottom, self.windows, propagate_down, strict=True):
            if wanted:
                blob.diff[...] = top[0].diff[window]


@register_layer("Slice", settings="slice_param")
class Slice(Layer):
    """The bottom cut along `axis`, at slice_point or into equal parts, one top for each part."""

    tops = slots("y0, the first part", more="the other parts")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Work out where each part lies."""
        axis = _axis_or_dim(self, bottom[0], "slice_param", "slice_dim")
        size = bottom[0].shape[axis]
        edges = [0, *self._points(size, len(top)), size]
        self.windows = []
        for blob, start, stop in zip(top, edges[:-1], edges[1:], strict=True):
            self.windows.append(_window(axis, start, stop))
            blob.reshape((*bottom[0].shape[:axis], stop - start, *bottom[0].shape[axis + 1 :]))

    def _points(self, size: int, parts: int) -> list[int]:
        points = list(self.settings.slice_point)
        if not points:
            if size % parts:
                raise self.fail(f"{size} elements cannot be cut into {parts} equal parts", mend="give slice_point")
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
        for blob, window in zip(top, self.windows, strict=True):
            blob.data[...] = bottom[0].data[window]

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Copy the gradients together."""
        if propagate_down[0]:
            for blob, window in zip(top, self.windows, strict=True):
                bottom[0].diff[window] = blob.diff


@register_layer("Split")
class Split(Layer):
    """Copies of the bottom; gradients add up. A net does this by itself where a blob has several readers."""

    tops = slots("y0, a copy", more="more copies")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Every top has the bottom's shape."""
        for blob in top:
            blob.reshape(bottom[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy."""
        for blob in top:
            blob.data[...] = bottom[0].data

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Add the gradients up."""
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff
            for blob in top[1:]:
                bottom[0].diff[...] += blob.diff


class Reordered(Layer):
    """What Flatten and Reshape share: the same values in the same order under another shape."""

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy."""
        top[0].data.reshape(-1)[...] = bottom[0].data.reshape(-1)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Copy back."""
        if propagate_down[0]:
            bottom[0].diff.reshape(-1)[...] = top[0].diff.reshape(-1)


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
        top[0].data.reshape(self.view)[...] = bottom[0].data.reshape(outer, 1, block)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Add the copies' gradients up."""
        if propagate_down[0]:
            outer, _, block = self.view
            self.xp.sum(top[0].diff.reshape(self.view), axis=1, out=bottom[0].diff.reshape(outer, block))
