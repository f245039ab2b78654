"""Softmax, losses and accuracy on a GPU (kernels/softmax.cu, loss.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.device.cuda_ops_core import CudaCore, not_a_number
from netforge.device.launch import sum_blocks

Array = Any  # a CuPy array


class CudaLoss(CudaCore):
    """`SoftmaxOps` and `LossOps` by kernels."""

    def softmax_forward(self, x: Array, y: Array) -> None:
        """y = exp(x) / sum of exp(x) over axis 1."""
        outer, classes, inner = x.shape
        if inner == 1:
            self.launch.warps("softmax_forward_rows", x.dtype, outer, x, y, outer, classes)
        else:
            self.launch.each("softmax_forward", x.dtype, outer * inner, x, y, outer, classes, inner)

    def softmax_backward(self, y: Array, dy: Array, dx: Array) -> None:
        """dx = y * (dy - sum of dy * y over axis 1)."""
        outer, classes, inner = y.shape
        if inner == 1:
            self.launch.warps("softmax_backward_rows", y.dtype, outer, y, dy, dx, outer, classes)
        else:
            self.launch.each("softmax_backward", y.dtype, outer * inner, y, dy, dx, outer, classes, inner)

    def check_labels(self, labels: Array, classes: int, ignore: int | None = None, report: Array | None = None) -> int:
        """Write the first wrong label into `report` and answer -1; without a report wait for its index."""
        arguments = (labels, self.first_index(), labels.size, classes, not_a_number(ignore))
        self.launch.several("check_labels", labels.dtype, labels.size, *arguments)
        return self.found(labels, labels.size, labels.dtype, report)

    def count_labels(self, labels: Array, divisor: Array, ignore: int | None) -> None:
        """divisor[0] = the number of labels other than `ignore`, at least 1."""
        after = (labels.size, not_a_number(ignore))
        self.launch.sum("count_labels", labels.dtype, labels.size, (labels, divisor), divisor, after, factor=1, least=1)

    def softmax_loss_forward(self, p: Array, labels: Array, loss: Array, divisor: Array, ignore: int | None) -> None:
        """loss[0] = -sum of log max(p[label], FLT_MIN) over the labels that count, divided by divisor[0]."""
        after = (divisor, *p.shape, not_a_number(ignore))
        self.launch.sum(
            "softmax_loss_forward", p.dtype, labels.size, (p, labels, loss), loss, after, factor=-1, divisor=divisor
        )

    def softmax_loss_backward(
        self, p: Array, labels: Array, dx: Array, scale: Array, divisor: Array, ignore: int | None
    ) -> None:
        """dx = (p - onehot(label)) * scale[0] / divisor[0], and 0 at ignored labels."""
        arguments = (p, labels, dx, scale, divisor, p.size, *p.shape[1:], not_a_number(ignore))
        self.launch.several("softmax_loss_backward", p.dtype, p.size, *arguments)

    def infogain_loss_forward(
        self, p: Array, labels: Array, gains: Array, loss: Array, divisor: Array, ignore: int | None
    ) -> None:
        """loss[0] = -sum over items and classes k of gains[label, k] * log max(p[k], 1e-20), over divisor[0]."""
        before, after = (p, labels, gains, loss), (divisor, p.size, *p.shape[1:], not_a_number(ignore))
        self.launch.sum("infogain_loss_forward", p.dtype, p.size, before, loss, after, factor=-1, divisor=divisor)

    def infogain_loss_backward(
        self,
        p: Array,
        labels: Array,
        gains: Array,
        dx: Array,
        scale: Array,
        divisor: Array,
        ignore: int | None,
    ) -> None:
        """dx = (p * sum of gains[label] - gains[label]) * scale[0] / divisor[0], and 0 at ignored labels."""
        classes = p.shape[1]
        sums = self.scratch.take("gain sums", (classes,), p.dtype)
        self.launch.warps("row_sums", p.dtype, classes, gains, sums, classes, classes)
        arguments = (p, labels, gains, sums, dx, scale, divisor, p.size, *p.shape[1:], not_a_number(ignore))
        self.launch.several("infogain_loss_backward", p.dtype, p.size, *arguments)

    def accuracy_forward(
        self,
        x: Array,
        labels: Array,
        accuracy: Array,
        per_class: Array | None,
        top_k: int,
        ignore: int | None,
        report: Array | None = None,
    ) -> int:
        """accuracy[0] = share of items where fewer than top_k other classes score as high as the label's class.

        The first item that has a NaN goes into `report`, and the answer is -1; without a report wait for its index.
        """
        items = labels.size
        verdict = self.scratch.take("verdict", (items,), np.int32)
        arguments = (x, labels, verdict, self.first_index(), *x.shape, top_k, not_a_number(ignore))
        self.launch.warps("accuracy_items", x.dtype, items, *arguments)
        blocks = sum_blocks(items)
        parts = self.scratch.take("accuracy parts", (2, blocks), np.int32)
        self.launch.grid("accuracy_parts", x.dtype, (blocks,), verdict, parts, items)
        self.launch.grid("accuracy_forward", x.dtype, (1,), parts, accuracy, blocks)
        if per_class is not None:
            classes = x.shape[1]
            self.launch.blocks("accuracy_per_class", x.dtype, classes, verdict, labels, per_class, items, classes)
        return self.found(None, items, x.dtype, report)

    def euclidean_loss_forward(self, a: Array, b: Array, difference: Array, loss: Array) -> None:
        """difference = a - b; loss[0] = sum of difference^2 / (2 N)."""
        factor = 0.5 / max(1, difference.shape[0])
        before, after = (a, b, difference, loss), (a.size, factor)
        self.launch.sum("euclidean_loss_forward", a.dtype, a.size, before, loss, after, factor=factor)

    def euclidean_loss_backward(self, difference: Array, dx: Array, scale: Array, sign: int) -> None:
        """dx = sign * scale[0] / N * difference."""
        factor = sign / max(1, difference.shape[0])
        self.launch.several("euclidean_loss_backward", dx.dtype, dx.size, difference, dx, scale, dx.size, factor)

    def hinge_loss_forward(self, x: Array, labels: Array, margins: Array, loss: Array, norm: int) -> None:
        """One-against-all hinge loss: margins, and loss[0] = sum of margins^norm / N."""
        factor = 1 / max(1, len(x))
        before, after = (x, labels, margins, loss), (x.size, x.shape[1], norm, factor)
        self.launch.sum("hinge_loss_forward", x.dtype, x.size, before, loss, after, factor=factor)

    def hinge_loss_backward(self, labels: Array, margins: Array, dx: Array, scale: Array, norm: int) -> None:
        """Gradient of `hinge_loss_forward`."""
        arguments = (labels, margins, dx, scale, dx.size, dx.shape[1], norm, 1 / max(1, len(dx)))
        self.launch.several("hinge_loss_backward", dx.dtype, dx.size, *arguments)

    def multinomial_loss_forward(self, p: Array, labels: Array, loss: Array) -> None:
        """loss[0] = -sum of log max(p[label], 1e-20) / N."""
        factor = -1 / max(1, len(p))
        after = (*p.shape, factor)
        self.launch.sum("multinomial_loss_forward", p.dtype, len(p), (p, labels, loss), loss, after, factor=factor)

    def multinomial_loss_backward(self, p: Array, labels: Array, dx: Array, scale: Array) -> None:
        """dx = -scale[0] / (N * max(p[label], 1e-20)) at the label's class, 0 elsewhere."""
        arguments = (p, labels, dx, scale, p.size, p.shape[1], -1 / max(1, len(p)))
        self.launch.each("multinomial_loss_backward", p.dtype, p.size, *arguments)

    def sigmoid_loss_forward(self, x: Array, targets: Array, loss: Array, divisor: Array, ignore: int | None) -> None:
        """Cross entropy of sigmoid(x) against targets in [0, 1], over divisor[0]."""
        after = (divisor, x.size, not_a_number(ignore))
        self.launch.sum(
            "sigmoid_loss_forward", x.dtype, x.size, (x, targets, loss), loss, after, factor=1, divisor=divisor
        )

    def sigmoid_loss_backward(
        self, x: Array, targets: Array, dx: Array, scale: Array, divisor: Array, ignore: int | None
    ) -> None:
        """dx = (sigmoid(x) - targets) * scale[0] / divisor[0], and 0 where the element does not count."""
        arguments = (x, targets, dx, scale, divisor, x.size, not_a_number(ignore))
        self.launch.several("sigmoid_loss_backward", x.dtype, x.size, *arguments)
