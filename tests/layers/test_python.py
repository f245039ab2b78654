"""Python layers: classes written for pycaffe run unchanged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from netforge.errors import NetforgeError, PluginError, UnknownNameError
from netforge.net import Net
from netforge.schema import parse_net

SOURCE = '''
import caffe
import numpy as np

class Tally(caffe.Layer):
    """y = k x + b, with a weight of its own."""
    def setup(self, bottom, top):
        self.k = float(self.param_str)
        self.blobs.add_blob(1)
        if len(bottom) != 1:
            raise Exception("one bottom please")
    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].num, bottom[0].channels, bottom[0].height, bottom[0].width)
    def forward(self, bottom, top):
        y = self.k * bottom[0].data.reshape(top[0].shape) + self.blobs[0].data
        top[0].data[...] = y + (self.phase == caffe.TEST)
    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += top[0].diff.sum()
        if propagate_down[0]:
            bottom[0].diff[...] = self.k * top[0].diff.reshape(bottom[0].shape)
'''


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a module of a Python layer; the module is forgotten afterwards."""
    (tmp_path / "tally_layer.py").write_text(SOURCE)
    yield tmp_path
    sys.modules.pop("tally_layer", None)


def net(folder: Path, param: str, bottoms: str = 'bottom: "x"', **options: object) -> Net:
    text = f"""force_backward: true
    layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}
    layer {{ name: "p" type: "Python" {bottoms} top: "y" python_param {{ {param} }} }}"""
    return Net(parse_net(text, folder=folder), **options)


def test_forward_and_backward(folder: Path) -> None:
    built = net(folder, 'module: "tally_layer" layer: "Tally" param_str: "2.5"', phase="TRAIN")
    x = np.arange(6.0).reshape(2, 3)
    assert built.forward(x=x)["y"].shape == (2, 3, 1, 1)
    np.testing.assert_allclose(built.forward(x=x)["y"].reshape(2, 3), 2.5 * x)
    dx = built.backward(y=np.ones((2, 3, 1, 1)))["x"]
    np.testing.assert_allclose(dx, np.full((2, 3), 2.5))
    assert built.params["p"][0].diff[0] == 6


def test_it_follows_a_new_batch_size_and_knows_its_phase(folder: Path) -> None:
    built = net(folder, 'module: "tally_layer" layer: "Tally" param_str: "1"')
    np.testing.assert_allclose(built.forward(x=np.zeros((5, 3)))["y"], np.ones((5, 3, 1, 1)))


@pytest.mark.parametrize(
    ("param", "bottoms", "error", "words"),
    [
        ('layer: "Tally"', 'bottom: "x"', NetforgeError, "needs module"),
        ('module: "nowhere" layer: "Tally"', 'bottom: "x"', PluginError, "nowhere"),
        ('module: "tally_layer" layer: "Tallly"', 'bottom: "x"', UnknownNameError, 'Did you mean "Tally"?'),
        ('module: "tally_layer" layer: "Tally"', 'bottom: "x"', NetforgeError, "ValueError: could not convert string"),
        ('module: "tally_layer" layer: "Tally" param_str: "1"', "", NetforgeError, "one bottom please"),
    ],
)
def test_errors_name_the_layer(folder: Path, param: str, bottoms: str, error: type[NetforgeError], words: str) -> None:
    with pytest.raises(error) as caught:
        net(folder, param, bottoms)
    assert words in str(caught.value)
    assert "<text>:3:" in str(caught.value)
