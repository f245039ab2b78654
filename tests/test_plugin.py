"""A layer from a package outside netforge: found, trained with, and answered with errors of the same quality."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from netforge import registry
from netforge.blob import Blob
from netforge.errors import NetforgeError, PluginError, SchemaError, SettingsError
from netforge.layers import LAYERS, Layer, register_layer
from netforge.net import Net
from netforge.schema import parse_net, reading
from tests.net.helpers import dense, input_layer, layer

EXAMPLE = Path(__file__).parent / "plugin_example"
NET = input_layer("data", 4, 3) + input_layer("target", 4, 2) + dense("data", "h", 4)


@pytest.fixture(autouse=True)
def example_on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example package is importable, and is forgotten after the test."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield
    if "Snake" in LAYERS:
        LAYERS.remove("Snake")
    sys.modules.pop("snake_layer", None)
    registry._loaded_plugins.discard("snake_layer")


def snake(settings: str) -> Net:
    text = 'plugin: "snake_layer"\n' + NET + layer("Snake", "h", "s", settings)
    return Net(parse_net(text + dense("s", "y", 2) + layer("EuclideanLoss", "y target", "loss")), "TRAIN", seed=3)


def test_a_net_with_the_layer_learns(rng: np.random.Generator) -> None:
    net = snake("snake_param { frequency: 2 }")
    x = rng.normal(size=(4, 3))
    inputs = {"data": x, "target": np.sin(3 * x[:, :2])}
    losses = []
    for _ in range(200):
        net.forward(**inputs)
        losses.append(net.loss())
        net.clear_weight_diffs()
        net.backward()
        net.flat_weights.data[...] -= 0.1 * net.flat_weights.diff
    assert losses[-1] < 0.05 * losses[0]


def test_settings_have_defaults() -> None:
    assert snake("").layers[3].settings.frequency == 1.0


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ("snake_param { frequncy: 2 }", SchemaError, ["frequncy", 'Did you mean "frequency"?', "<text>:5:"]),
        ("snake_param { frequency: 0 }", SettingsError, ["frequency", "(0, inf)", "<text>:5:"]),
        ('snake_param { frequency: "high" }', SchemaError, ["frequency", "<text>:5:"]),
    ],
)
def test_wrong_settings(settings: str, error: type[NetforgeError], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        snake(settings)
    for word in words:
        assert word in str(caught.value)


def test_the_net_survives_text_and_binary() -> None:
    definition = snake("snake_param { frequency: 2.5 }").definition
    again = Net(parse_net(definition.to_text()), "TRAIN")
    assert again.layers[3].settings.frequency == 2.5
    message = type(definition.to_message()).FromString(definition.to_message().SerializeToString())
    assert Net(message, "TRAIN").layers[3].settings.frequency == 2.5


def test_unknown_plugin_is_named() -> None:
    with pytest.raises(PluginError, match="no_such_module"):
        parse_net('plugin: "no_such_module"\n' + NET)


def test_a_second_layer_of_the_same_name_is_refused() -> None:
    snake("")
    with pytest.raises(PluginError, match="registered twice"):
        LAYERS.add("snake", LAYERS["ReLU"])


def test_an_error_in_the_layer_s_own_code_names_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    net = snake("")

    def broken(self: object, bottom: object, top: object) -> None:
        raise ValueError("no snakes today")

    monkeypatch.setattr(type(net.layers[3]), "forward", broken)
    with pytest.raises(NetforgeError, match=r'layer "s" \(Snake\): ValueError: no snakes today'):
        net.forward()


def test_a_layer_without_a_method_is_told_so(rng: np.random.Generator) -> None:
    @register_layer("Hollow")
    class Hollow(Layer):
        """Only has shapes."""

        def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
            top[0].reshape(bottom[0].shape)

    try:
        net = Net(parse_net(input_layer("data", 4, 3) + layer("Hollow", "data", "y")))
        with pytest.raises(NetforgeError, match=r'layer "y" \(Hollow\): class Hollow has no method forward'):
            net.forward(data=rng.normal(size=(4, 3)))
    finally:
        LAYERS.remove("Hollow")


def test_an_installed_package_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "snake_layer-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: snake-layer\nVersion: 1.0\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text("[netforge.layers]\nsnake = snake_layer\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    reading._load_installed_plugins.cache_clear()  # looked for once per process
    definition = parse_net(NET + layer("Snake", "h", "s", "snake_param { frequency: 2 }"))
    assert Net(definition).layers[3].settings.frequency == 2
