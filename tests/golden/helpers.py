"""What the tests against numbers of the original Caffe share."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.net import Net


def assert_close(got: Any, expected: Any, tolerance: tuple[float, float], what: str) -> None:
    """|got - expected| <= atol + rtol * |expected|, NaN equals NaN, and the shapes are equal."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    rtol, atol = tolerance
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol, err_msg=what)


def set_weights(net: Net, arrays: Any) -> None:
    """Give a net the weights of a weights.npz: keys LAYER/INDEX."""
    for key in arrays.files:
        layer, _, index = key.rpartition("/")
        net.params[layer][int(index)].data[...] = arrays[key]


def feed(net: Net, inputs: Any, first: int = 0) -> list[float]:
    """Let forward pass k read entry k of `inputs`, counted from `first`; returns a list that each loss is added to."""
    losses: list[float] = []
    run, read_loss = net.feed_pass, net.loss
    arrays = {name: inputs[name] for name in inputs.files}
    passes = iter(range(first, len(next(iter(arrays.values())))))

    def feed_pass() -> None:
        k = next(passes)
        for name, array in arrays.items():
            net.blobs[name].data[...] = array[k]
        run()

    def loss() -> float:
        losses.append(read_loss())
        return losses[-1]

    net.feed_pass, net.loss = feed_pass, loss  # type: ignore[method-assign]
    return losses
