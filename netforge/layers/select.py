"""Layers that pick part of a blob: a window of it, or some of its items."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from netforge.blob import Blob
from netforge.errors import DataError
from netforge.layers.axes import canonical_axis, check_labels, rows
from netforge.layers.base import Layer, register_layer, slots


@register_layer("Crop", settings="crop_param")
class Crop(Layer):
    """Bottom 0 cut to the sizes of bottom 1 from `axis` on, starting at `offset`; bottom 1 gives only its shape."""

    bottoms = slots("x any shape", "reference with as many axes")
    tops = slots("y, of the reference's sizes from `axis` on")
    replayable = True

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Work out the window."""
        x, reference = bottom[0].shape, bottom[1].shape
        if len(x) != len(reference):
            raise self.fail(
                f'bottoms differ in their number of axes: "{bottom[0].name}" {x}, "{bottom[1].name}" {reference}'
            )
        axis = canonical_axis(self, self.settings.axis, bottom[0], "crop_param.axis")
        offsets = list(self.settings.offset) or [0]
        if len(offsets) not in (1, len(x) - axis):
            raise self.fail(
                f"offset is given {len(offsets)} times for {len(x) - axis} cropped axes",
                setting="crop_param.offset",
                mend="give it once, or once for each cropped axis",
            )
        offsets = offsets * (len(x) - axis) if len(offsets) == 1 else offsets
        for i, offset in enumerate(offsets, start=axis):
            if offset + reference[i] > x[i]:
                raise self.fail(
                    f'axis {i}: {offset} + {reference[i]} goes beyond the {x[i]} elements of bottom "{bottom[0].name}"',
                    setting="crop_param",
                    mend="use a smaller offset, or a smaller reference",
                )
        self.offsets = (*[0] * axis, *offsets)
        top[0].reshape((*x[:axis], *reference[axis:]))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy the window."""
        self.ops.crop_forward(bottom[0].data, top[0].data, self.offsets)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Copy the gradient into the window, zeros around it; the reference's gradient is zero."""
        if propagate_down[0]:
            self.ops.crop_backward(top[0].diff, bottom[0].diff, self.offsets)
        if propagate_down[1]:
            self.ops.fill(bottom[1].diff, 0.0)


@register_layer("BatchReindex")
class BatchReindex(Layer):
    """y[i] = x[index[i]]: items picked, repeated or left out; gradients of one item add up."""

    bottoms = slots("x (N, ...)", "index (M,), whole numbers below N")
    tops = slots("y (M, ...)")
    blocked_bottoms = (1,)
    replayable = True

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One item for each index."""
        if len(bottom[1].shape) != 1 or not bottom[0].shape:
            raise self.fail(f'bottom "{bottom[1].name}" has shape {bottom[1].shape}', mend="indices have one axis")
        top[0].reshape((bottom[1].shape[0], *bottom[0].shape[1:]))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy the items."""
        check_labels(self, bottom[1], bottom[0].shape[0], explain=partial(self._bad_index, bottom))
        if top[0].count:
            self.ops.gather_rows(rows(bottom[0].data), bottom[1].data, rows(top[0].data))

    def _bad_index(self, bottom: list[Blob], index: int, value: float) -> Exception:
        return self.fail(
            f'index {value:g} at position {index} of "{bottom[1].name}" is not an item of "{bottom[0].name}" '
            f"{bottom[0].shape}",
            error=DataError,
        )

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Add each gradient to its item."""
        if propagate_down[0]:
            self.ops.fill(bottom[0].diff, 0.0)
            if top[0].count:
                self.ops.scatter_add_rows(rows(top[0].diff), bottom[1].data, rows(bottom[0].diff))


@register_layer("Filter")
class Filter(Layer):
    """The items of each bottom whose selector, the last bottom, is not 0. The number of items may be 0.

    How many items there are decides shapes, so that the host reads the selector in every pass: a net with this layer
    runs its passes launch by launch on a GPU.
    """

    bottoms = slots("x (N, ...)", "selector (N, 1...), the last bottom", more="more blobs before the selector")
    tops = slots("y (selected, ...)", more="one for each further bottom")
    dynamic_shape = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """A top for each bottom but the selector, which gets no gradient."""
        self.blocked_bottoms = (len(bottom) - 1,)
        self.chosen = self.buffer("chosen")
        if len(top) != len(bottom) - 1:
            raise self.fail(f"{len(bottom)} bottoms need {len(bottom) - 1} tops, there are {len(top)}")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Room for all items; `forward` makes the tops smaller."""
        selector = bottom[-1]
        if not selector.shape or selector.count != selector.shape[0]:
            raise self.fail(
                f'selector "{selector.name}" has shape {selector.shape}', mend="give one number for each item"
            )
        for source, target in zip(bottom, top, strict=False):
            if not source.shape or source.shape[0] != selector.shape[0]:
                raise self.fail(
                    f'"{source.name}" {source.shape} and selector "{selector.name}" {selector.shape} differ in items'
                )
            target.reshape(source.shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy the selected items."""
        chosen = self.ops.selected_rows(bottom[-1].data.reshape(-1))
        self.chosen.reshape(len(chosen))
        self.chosen.data[...] = self.device.from_host(chosen.astype(self.dtype))
        for source, target in zip(bottom, top, strict=False):
            target.reshape((len(chosen), *source.shape[1:]))
            if target.count:
                self.ops.gather_rows(rows(source.data), self.chosen.data, rows(target.data))

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Copy gradients back to the selected items, zeros elsewhere."""
        for source, target, wanted in zip(bottom, top, propagate_down, strict=False):
            if wanted:
                self.ops.fill(source.diff, 0.0)
                if target.count:
                    self.ops.scatter_add_rows(rows(target.diff), self.chosen.data, rows(source.diff))
