"""What debug_info prints: mean magnitudes of blobs, weights and gradients, line for line as Caffe words them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netforge.net import Learnable, Net


def traced_forward(net: Net) -> list[str]:
    """Run a net forward and describe each top and weight."""
    lines = []
    for number, layer in enumerate(net.layers):
        net.forward_layer(number)
        for name in layer.definition.message.top:
            lines.append(_line("Forward", layer, f"top blob {name} data", net.blobs[name].data, net))
        for index, blob in enumerate(layer.weights):
            lines.append(_line("Forward", layer, f"param blob {index} data", blob.data, net))
    return lines


def traced_backward(net: Net) -> list[str]:
    """Run a net backward and describe the gradient of each bottom that gets one, and of each weight that learns."""
    lines = []
    for number in reversed(range(len(net.layers))):
        layer = net.layers[number]
        net.backward_layer(number)
        for name in layer.definition.message.bottom:
            if net.blobs[name].diff_storage.allocated:
                lines.append(_line("Backward", layer, f"bottom blob {name} diff", net.blobs[name].diff, net))
        for index, blob in enumerate(layer.weights):
            if layer.learns(index):
                lines.append(_line("Backward", layer, f"param blob {index} diff", blob.diff, net))
    return lines


def describe_update(net: Net) -> list[str]:
    """Describe weights before an update, when diffs hold what will be subtracted, and the norms of all of them."""
    lines = []
    for entry in net.learnable:
        data, diff = (_mean_magnitude(array, net) for array in (entry.blob.data, entry.blob.diff))
        lines.append(f"    [Update] Layer {entry.layer}, param {entry.index} data: {data:g}; diff: {diff:g}")
    return lines


def describe_totals(net: Net) -> str:
    """L1 and L2 norms of all learnable weights and of their gradients."""
    norms = [(_norm(net.learnable, which, 1, net), _norm(net.learnable, which, 2, net)) for which in ("data", "diff")]
    (data1, data2), (diff1, diff2) = norms
    return (
        f"    [Backward] All net params (data, diff): "
        f"L1 norm = ({data1:g}, {diff1:g}); L2 norm = ({data2:g}, {diff2:g})"
    )


def _line(step: str, layer: Any, what: str, array: Any, net: Net) -> str:
    return f"    [{step}] Layer {layer.name}, {what}: {_mean_magnitude(array, net):g}"


def _mean_magnitude(array: Any, net: Net) -> float:
    host = net.device.to_host(array)
    return float(np.abs(host).mean()) if host.size else 0.0


def _norm(entries: Sequence[Learnable], which: str, order: int, net: Net) -> float:
    total = 0.0
    for entry in entries:
        host = net.device.to_host(getattr(entry.blob, which)).ravel().astype(np.float64)
        total += float(np.abs(host).sum() if order == 1 else np.dot(host, host))
    return total if order == 1 else total**0.5
