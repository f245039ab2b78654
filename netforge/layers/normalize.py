"""Normalisation: by batch statistics, by an item's own statistics, and by neighbouring values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netforge.blob import Blob
from netforge.layers.axes import rows
from netforge.layers.base import Layer, register_layer, slots
from netforge.layers.pooling import check_image


@register_layer("BatchNorm", settings="batch_norm_param")
class BatchNorm(Layer):
    """y = (x - mean) / sqrt(variance + eps) per channel (Ioffe and Szegedy 2015), without scale and shift.

    In TRAIN the statistics are the batch's, and weights [0] (sum of means), [1] (sum of unbiased variances) and [2]
    (sum of weights) take them in, after a multiplication by moving_average_fraction. Elsewhere, or with
    use_global_stats, the statistics are [0] / [2] and [1] / [2]. No solver touches these weights. Follow it with a
    Scale layer (bias_term: true) for a learned scale and shift.
    """

    bottoms = slots("x (N, C, ...)")
    in_place = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare the stored statistics."""
        s = self.settings
        self.stored = s.use_global_stats if s.HasField("use_global_stats") else self.phase != "TRAIN"
        if s.scale_bias:
            raise self.fail(
                "scale_bias is not offered",
                setting="batch_norm_param.scale_bias",
                mend="add a Scale layer with bias_term: true",
            )
        self.channels = self._channels(bottom[0])
        for shape in ((self.channels,), (self.channels,), (1,)):
            self.add_weight(shape, learnable=False)
        names = ("mean", "variance", "normalized")
        self.mean, self.variance, self.normalized = map(self.buffer, names)

    @staticmethod
    def _channels(blob: Blob) -> int:
        return blob.shape[1] if len(blob.shape) > 1 else 1

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The number of channels stays as it was."""
        shape = bottom[0].shape
        if self._channels(bottom[0]) != self.channels or not shape:
            raise self.fail(
                f'bottom "{bottom[0].name}" has shape {shape}, the layer was made for {self.channels} channels'
            )
        self.view = (shape[0], self.channels, math.prod(shape[2:]))
        if top[0] is not bottom[0]:
            top[0].reshape(shape)
        self.mean.reshape(self.channels)
        self.variance.reshape(self.channels)
        self.normalized.reshape(self.view)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Normalise, and in TRAIN take the batch's statistics in."""
        self.forward_scaled(bottom, top, None, None)

    def forward_scaled(self, bottom: list[Blob], top: list[Blob], factor: Any, bias: Any, slope: float = 1.0) -> None:
        """`forward`, then what Scale and ReLU layers in place of the top do.

        Times factor, plus bias, each where given, and times slope what is below 0.
        """
        x = bottom[0].data.reshape(self.view)
        mean, variance = self.mean.data, self.variance.data
        if self.stored:
            mean_sum, variance_sum, weight = (blob.data for blob in self.weights)
            self.ops.stored_statistics(mean_sum, variance_sum, weight, mean, variance)
        else:
            self.ops.channel_statistics(x, mean, variance)
            self._take_in(mean, variance)
        y = top[0].data.reshape(self.view)
        normalized = self.normalized.data
        self.ops.normalize_forward(x, mean, variance, self.settings.eps, normalized, y, factor, bias, slope)

    def _take_in(self, mean: Any, variance: Any) -> None:
        items = self.view[0] * self.view[2]
        mean_sum, variance_sum, weight = (blob.data for blob in self.weights)
        fraction, correction = self.settings.moving_average_fraction, items / max(1, items - 1)
        self.ops.update_statistics(mean, variance, mean_sum, variance_sum, weight, fraction, correction)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Stored statistics are constants; the batch's own depend on the input."""
        if propagate_down[0]:
            self.backward_scaled(top, bottom)

    def backward_scaled(
        self,
        top: list[Blob],
        bottom: list[Blob],
        factor: Any = None,
        dfactor: Any = None,
        dbias: Any = None,
        bias: Any = None,
        slope: float = 1.0,
    ) -> None:
        """`backward`, from the gradient of what `forward_scaled` made; dfactor and dbias are added to.

        With stored statistics there is no factor: nothing is saved there.
        """
        dy, dx = top[0].diff.reshape(self.view), bottom[0].diff.reshape(self.view)
        variance, eps = self.variance.data, self.settings.eps
        if self.stored:
            self.ops.normalize_backward(variance, eps, dy, dx)
        else:
            scaled = (factor, dfactor, dbias, bias, slope)
            self.ops.batch_norm_backward(self.normalized.data, variance, eps, dy, dx, *scaled)


@register_layer("MVN", settings="mvn_param")
class MVN(Layer):
    """Mean 0 and, with normalize_variance, standard deviation 1 for each plane, or each item with across_channels.

    y = (x - mean) / (std + eps): eps is added to the standard deviation. The gradient treats std + eps as std.
    """

    bottoms = slots("x (N, C, ...)")
    backward_reads_top = True
    per_item = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Make room for the divisor of each plane."""
        self.divisor = self.buffer("divisor")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Each row of the view is normalised by itself."""
        shape = bottom[0].shape
        if len(shape) < 2:
            raise self.fail(f'bottom "{bottom[0].name}" has shape {shape}', mend="MVN takes (N, C, ...)")
        axis = 1 if self.settings.across_channels else 2
        self.view = (math.prod(shape[:axis]), math.prod(shape[axis:]))
        self.divisor.reshape(self.view[0])
        top[0].reshape(shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Centre, then divide."""
        x, y = bottom[0].data.reshape(self.view), top[0].data.reshape(self.view)
        self.ops.mvn_forward(x, self._divisor(), self.settings.eps, y)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """dx = (dy - mean(dy) - y * mean(y * dy)) / (std + eps)."""
        if not propagate_down[0]:
            return
        y, dy, dx = (a.reshape(self.view) for a in (top[0].data, top[0].diff, bottom[0].diff))
        self.ops.mvn_backward(y, self._divisor(), dy, dx)

    def _divisor(self) -> Any:
        return self.divisor.data if self.settings.normalize_variance else None


@register_layer("LRN", settings="lrn_param")
class LRN(Layer):
    """Local response normalisation (Krizhevsky et al. 2012, section 3.3).

    ACROSS_CHANNELS: y = x * (k + alpha / local_size * sum of x^2 over local_size neighbouring channels) ^ -beta.
    WITHIN_CHANNEL: y = x * (1 + alpha * mean of x^2 in a local_size square, counting zeros of the padding) ^ -beta.
    """

    bottoms = slots("x (N, C, H, W)")
    backward_reads_top = True
    per_item = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check the window."""
        s = self.settings
        if s.local_size % 2 == 0:
            raise self.fail(f"local_size is {s.local_size}", setting="lrn_param.local_size", mend="use an odd number")
        self.within = s.norm_region == s.WITHIN_CHANNEL
        self.scale = self.buffer("scale")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The top has the bottom's shape."""
        check_image(self, bottom[0])
        shape = bottom[0].shape
        self.view = shape if self.within else (*shape[:2], math.prod(shape[2:]))
        top[0].reshape(shape)
        self.scale.reshape(shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Divide by the neighbours' magnitude."""
        s = self.settings
        x, scale, y = (a.reshape(self.view) for a in (bottom[0].data, self.scale.data, top[0].data))
        if self.within:
            self.ops.lrn_within_forward(x, scale, y, s.local_size, s.alpha, s.beta)
        else:
            self.ops.lrn_forward(x, scale, y, s.local_size, s.alpha, s.beta, s.k)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """The direct slope, less what each value adds to its neighbours' divisors."""
        if not propagate_down[0]:
            return
        s = self.settings
        gradient = self.ops.lrn_within_backward if self.within else self.ops.lrn_backward
        x, scale, y = (a.reshape(self.view) for a in (bottom[0].data, self.scale.data, top[0].data))
        dy, dx = top[0].diff.reshape(self.view), bottom[0].diff.reshape(self.view)
        gradient(x, scale, y, dy, dx, s.local_size, s.alpha, s.beta)


@register_layer("Normalization1", settings="normalization_param")
class Normalization1(Layer):
    """y = x / norm of its item: the root of the sum of squares (L2), or the sum of magnitudes (norm: L1).

    A norm below eps counts as eps. Embeddings of length 1 differ in direction only: their squared distance is twice
    their cosine distance.
    """

    bottoms = slots("x (N, ...)")
    in_place = True
    per_item = True
    backward_reads_top = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Make room for the norms."""
        self.l1 = self.settings.norm == self.settings.L1
        self.norm = self.buffer("norm")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The top has the bottom's shape."""
        if not bottom[0].shape:
            raise self.fail(f'"{bottom[0].name}" is a scalar', mend="give a blob with a batch axis")
        if top[0] is not bottom[0]:
            top[0].reshape(bottom[0].shape)
        self.norm.reshape(bottom[0].shape[0])

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Divide each item by its norm."""
        x, y = rows(bottom[0].data), rows(top[0].data)
        self.ops.unit_forward(x, self.norm.data, y, self.settings.eps, self.l1)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """What turns an item, without what lengthens it, over its norm."""
        if propagate_down[0]:
            y, dy, dx = rows(top[0].data), rows(top[0].diff), rows(bottom[0].diff)
            self.ops.unit_backward(y, self.norm.data, dy, dx, self.settings.eps, self.l1)
