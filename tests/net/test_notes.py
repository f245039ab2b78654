"""What a net tells about settings that its layers do not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from netforge.cli import cli
from netforge.layers.base import LAYERS, Layer, register_layer
from netforge.net import Net
from netforge.schema import LayerDefinition, parse_net
from netforge.testing import LayerCase
from netforge.testing.cases import layer_definition
from netforge.testing.checks import run_case
from tests.layers.cases import CASES

NET = """
layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 1 dim: 1 dim: 4 dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param { num_output: 1 kernel_size: 1 }
  pooling_param { stride: 2 } }
layer { name: "again" type: "Convolution" bottom: "conv" top: "again" pooling_param { stride: 2 }
  convolution_param { num_output: 1 kernel_size: 1 } include { phase: TEST } }
layer { name: "abs" type: "AbsVal" bottom: "conv" top: "abs" relu_param { negative_slope: 1 } }
layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "abs" bottom: "y" top: "loss"
  loss_param { normalize: true } loss_weight: 2 }
"""
POOLING = 'layer "conv" (Convolution) does not read pooling_param; its settings are in convolution_param'
ABSVAL = 'layer "abs" (AbsVal) does not read relu_param; it has no settings'


def test_settings_of_another_type_are_told_once_with_their_place() -> None:
    with Net(parse_net(NET, "net.prototxt"), "TEST", plan_only=True) as net:
        assert net.definition.notes == (f"net.prototxt:5:3: {POOLING}", f"net.prototxt:8:62: {ABSVAL}")


def test_check_tells_them(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET, encoding="utf-8")
    result = CliRunner().invoke(cli, ["check", str(path)])
    assert result.exit_code == 0 and result.stdout.count(POOLING) == result.stdout.count(ABSVAL) == 1


@dataclass
class TwiceSettings:
    factor: float = 2.0


@pytest.fixture
def twice() -> Iterator[None]:
    @register_layer("NotesTwice", settings=TwiceSettings)
    class Twice(Layer):
        def reshape(self, bottom, top) -> None:
            top[0].reshape(bottom[0].shape)

    yield
    LAYERS.remove("NotesTwice")


def test_settings_that_a_plugin_declares_are_its_own(twice: None) -> None:
    start = NET.partition('layer { name: "conv"')[0]
    text = start + 'layer { name: "t" type: "NotesTwice" bottom: "x" top: "t" notes_twice_param { factor: 3 } }'
    with Net(parse_net(text), plan_only=True) as net:
        assert net.definition.notes == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layers_name_all_settings_that_they_read(case: LayerCase, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str | None] = set()
    settings = LayerDefinition.settings

    def note(definition: LayerDefinition, name: str | None) -> object:
        asked.add(name)
        return settings(definition, name)

    monkeypatch.setattr(LayerDefinition, "settings", note)
    run_case(case)
    cls = LAYERS[layer_definition(case.layer).type]
    assert asked <= {cls.settings_field, *cls.also_reads}


def test_readers_of_images_name_transform_param() -> None:
    readers = [
        cls for cls in map(LAYERS.__getitem__, LAYERS) if cls.image_shape.__func__ is not Layer.image_shape.__func__
    ]
    assert readers and all("transform_param" in cls.also_reads for cls in readers)
