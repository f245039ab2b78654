"""Means of a net's outputs over batches."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.errors import SolverError
from netforge.net import Net
from netforge.schema import parse_net
from netforge.solver.evaluation import Averages, evaluate

NET = parse_net(
    'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 } } }'
    'layer { name: "y" type: "Power" bottom: "x" top: "y" loss_weight: 3 }'
)


class Batches:
    """Hands a net other values at each of its passes."""

    def __init__(self, net: Net, *values: list[float]) -> None:
        self.left = [np.array(value) for value in values]
        self.net, self.run = net, net.forward_pass

    def __call__(self) -> None:
        blob = self.net.blobs["x"]
        value = self.left.pop(0)
        if value.shape != blob.shape:
            blob.reshape(value.shape)
            self.net.reshape()
        blob.data[...] = value
        self.run()


def test_loss_and_outputs_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    with Net(NET) as net:
        monkeypatch.setattr(net, "forward_pass", Batches(net, [1, 2], [5, 2]))
        averages = Averages(net)
        assert [output.values.tolist() for output in averages.add_batch()] == [[1, 2]]
        assert [output.values.tolist() for output in averages.add_batch()] == [[5, 2]]
        (mean,) = averages.means()
        assert (mean.name, mean.values.tolist(), mean.loss_weight) == ("y", [3, 2], 3)
        assert (averages.loss, averages.batches) == (15, 2)


def test_an_output_that_changes_its_shape_has_no_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    with Net(NET) as net:
        monkeypatch.setattr(net, "forward_pass", Batches(net, [1, 2], [1, 2, 3]))
        with pytest.raises(SolverError, match=r'output "y" changed its shape from \(2,\) to \(3,\)'):
            evaluate(net, 2)
