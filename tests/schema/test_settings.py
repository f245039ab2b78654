"""Dataclasses as settings of users' layers: typed, with defaults, ranges, choices, places, and a binary form."""

from __future__ import annotations

import enum
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from netforge.errors import PluginError, SchemaError, SettingsError
from netforge.schema import declare_settings, describe_settings, messages, parse_net, setting, write_text
from netforge.schema.settings import extension_number, settings_field

ROOT = Path(__file__).resolve().parents[2]


class Color(enum.Enum):
    RED = 1
    GREEN = 2


@dataclass
class Inner:
    size: int = setting(3, help="Side.", range="[1, 9]")
    names: list[str] = setting([], help="Names.")


@dataclass
class Wide:
    beta: float = setting(1.5, help="Slope.", range="(0, inf)")
    count: int = 2
    flag: bool = False
    word: str = setting("x", help="A word.")
    mode: Literal["fast", "exact"] = setting("fast", help="How.")
    power: Literal[1, 2] = 1
    color: Color = Color.RED
    colors: list[Color] = field(default_factory=list)
    rates: tuple[float, ...] = (0.5,)
    inner: Inner = field(default_factory=Inner)
    inners: list[Inner] = field(default_factory=list)
    limit: float | None = None
    step: int = setting(4, help="Step.", choices=[2, 4, 8])


FIELD = declare_settings("WideTest", Wide)


def read(text: str) -> Any:
    net = parse_net(f'layer {{ name: "l" type: "WideTest"\n wide_test_param {{ {text} }} }}', "n")
    return net.layers[0].settings(FIELD)


def test_names() -> None:
    assert FIELD == "wide_test_param"
    assert settings_field("SoftMarginLoss") == "soft_margin_loss_param"
    assert settings_field("my_losses.FocalLoss") == "my_losses_focal_loss_param"
    assert settings_field("HDF5Data") == "hdf5_data_param" and settings_field("PReLU") == "p_relu_param"


def test_defaults() -> None:
    assert read("") == Wide()
    assert parse_net('layer { type: "WideTest" }').layers[0].settings(FIELD) == Wide()


def test_all_kinds_of_values() -> None:
    found = read(
        "beta: 2 count: -7 flag: True word: 'a b' mode: exact power: 2 color: GREEN colors: [RED, 'GREEN'] rates: 1"
        " rates: 2 inner { size: 5 names: a names: 'b' } inners { size: 1 } inners {} limit: 3 step: 8"
    )
    assert found == Wide(
        beta=2.0, count=-7, flag=True, word="a b", mode="exact", power=2, color=Color.GREEN,
        colors=[Color.RED, Color.GREEN], rates=[1.0, 2.0], inner=Inner(5, ["a", "b"]), inners=[Inner(1), Inner()],
        limit=3.0, step=8,
    )  # type: ignore[arg-type]  # fmt: skip


FAULTS = [
    ("bta: 1", "n:2:20", 'Did you mean "beta"?'),
    ("beta: 0", "n:2:26", "must be greater than 0"),
    ("beta: x", "n:2:26", '"beta" takes a number'),
    ("mode: slow", "n:2:26", '"mode" is "slow", but must be one of fast, exact'),
    ("power: 3", "n:2:27", "must be one of 1, 2"),
    ("step: 3", "n:2:26", "must be one of 2, 4, 8"),
    ("color: GREN", "n:2:27", 'Did you mean "GREEN"?'),
    ("inner { size: 10 }", "n:2:34", "between 1 (included) and 9 (included)"),
    ("inner { sze: 10 }", "n:2:28", 'Did you mean "size"?'),
    ("count: 1 count: 2", "n:2:29", "given twice"),
    ("size: 3", "n:2:20", '"size" belongs in inner or inners'),
]


@pytest.mark.parametrize(("text", "place", "part"), FAULTS)
def test_faults_have_places(text: str, place: str, part: str) -> None:
    with pytest.raises((SchemaError, SettingsError)) as caught:
        read(text)
    assert str(caught.value).startswith(f"{place}: ") and part in str(caught.value), str(caught.value)


def test_the_full_name_works_too() -> None:
    layer = parse_net('layer { type: "WideTest" [netforge.plugin.wide_test_param] { count: 9 } }').layers[0]
    assert layer.settings(FIELD).count == 9 and layer.has("wide_test_param.count")
    assert not layer.has("wide_test_param.beta")


def test_text_and_bytes_keep_settings() -> None:
    net = parse_net('layer { type: "WideTest" wide_test_param { count: 9 inner { size: 2 } } }')
    text = net.to_text()
    assert "  wide_test_param {\n    count: 9\n" in text
    assert parse_net(text).to_message() == net.to_message()
    back = messages.NetParameter.FromString(net.to_message().SerializeToString())
    assert write_text(back) == text


def test_a_process_without_the_layer_keeps_the_bytes() -> None:
    data = parse_net('layer { type: "WideTest" wide_test_param { count: 9 } }').to_message().SerializeToString()
    code = (
        "import sys; from netforge.schema import messages as m;"
        "sys.stdout.buffer.write(m.NetParameter.FromString(sys.stdin.buffer.read()).SerializeToString())"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, cwd=ROOT, check=True)
    assert done.stdout == data


def test_numbers_never_change() -> None:
    assert extension_number("wide_test_param") == 283_055_728
    assert extension_number("soft_margin_param") == 54_255_529


def test_a_setting_without_a_default_must_be_written() -> None:
    @dataclass
    class Needs:
        size: int = setting(help="Side.")

    name = declare_settings("NeedsTest", Needs)
    layer = parse_net('layer { name: "l" type: "NeedsTest"\n needs_test_param {} }', "n").layers[0]
    with pytest.raises(SettingsError) as caught:
        layer.settings(name)
    assert str(caught.value).startswith('n:2:2: layer "l" (NeedsTest): "size" is missing in needs_test_param')
    assert parse_net("layer { needs_test_param { size: 1 } }").layers[0].settings(name).size == 1


def test_what_the_dataclass_refuses_has_a_place() -> None:
    @dataclass
    class Picky:
        size: int = 2

        def __post_init__(self) -> None:
            if self.size % 2:
                raise ValueError(f"size must be even, not {self.size}")

    name = declare_settings("PickyTest", Picky)
    layer = parse_net("layer { name: 'l' type: 'PickyTest'\n picky_test_param { size: 3 } }", "n").layers[0]
    with pytest.raises(
        SettingsError, match=r'n:2:2: layer "l" \(PickyTest\): picky_test_param: size must be even, not 3'
    ):
        layer.settings(name)


def test_declaring_again() -> None:
    @dataclass
    class First:
        size: int = setting(1, help="Side.", range="[0, 5]")

    assert declare_settings("AgainTest", First) == "again_test_param"
    with pytest.raises(SettingsError):
        parse_net("layer { again_test_param { size: 7 } }")

    @dataclass
    class Same:
        size: int = setting(2, help="Side.", range="[0, 9]")

    declare_settings("AgainTest", Same)
    assert parse_net("layer { again_test_param { size: 7 } }").layers[0].settings("again_test_param") == Same(7)

    @dataclass
    class Other:
        size: str = "x"

    with pytest.raises(PluginError, match="declared twice in different forms"):
        declare_settings("AgainTest", Other)


@dataclass
class Loop:
    inner: list[Loop] = field(default_factory=list)


def test_classes_that_prototxt_cannot_hold() -> None:
    @dataclass
    class Complex:
        value: complex = 0j

    @dataclass
    class Nested:
        value: list[list[int]] = field(default_factory=list)

    @dataclass
    class Outside:
        value: int = setting(0, help="Value.", range="[1, 2]")

    @dataclass
    class NoRange:
        value: int = setting(0, help="Value.", range="1..2")

    for cls, part in (
        (Complex, "which prototxt cannot hold"),
        (Nested, "which prototxt cannot hold"),
        (Loop, "contains itself"),
        (Outside, "outside of its range [1, 2]"),
        (NoRange, '"1..2" is no range'),
        (int, "is no dataclass"),
    ):
        with pytest.raises(PluginError) as caught:
            declare_settings(f"Bad{cls.__name__}Test", cls)
        assert part in str(caught.value)


def test_names_that_netforge_has() -> None:
    with pytest.raises(PluginError, match='would be called "swish_param", which netforge has already'):
        declare_settings("Swish", Inner)


def test_help() -> None:
    rows = {row.name: row for row in describe_settings(FIELD)}
    assert (rows["beta"].type, rows["beta"].default, rows["beta"].range, rows["beta"].help) == (
        "float", "1.5", "(0, inf)", "Slope.",
    )  # fmt: skip
    assert rows["mode"].choices == ("fast", "exact") and rows["mode"].default == '"fast"'
    assert rows["color"].choices == ("RED", "GREEN") and rows["color"].default == "RED"
    assert rows["flag"].default == "false" and rows["inners"].repeated and rows["limit"].default is None
    assert rows["step"].choices == ("2", "4", "8")


def test_plugins_named_in_a_net_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "plugin_beside_test.py").write_text(
        "from dataclasses import dataclass\n"
        "from netforge.schema import declare_settings, setting\n"
        "@dataclass\nclass S:\n    k: int = setting(1, help='K.')\n"
        "declare_settings('BesideTest', S)\n"
    )
    net = parse_net('layer { beside_test_param { k: 3 } }\nplugin: "plugin_beside_test" # last', folder=tmp_path)
    assert net.layers[0].settings("beside_test_param").k == 3
    assert list(net.message.plugin) == ["plugin_beside_test"]


@pytest.mark.parametrize("text", ['layer {}\nplugin: "no_such_module_x"', "layer {}\nplugin: [no_such_module_x]"])
def test_a_missing_plugin_is_reported_at_its_line(text: str) -> None:
    with pytest.raises(PluginError) as caught:
        parse_net(text, "n")
    assert str(caught.value).startswith('n:2:1: plugin "no_such_module_x" cannot be imported')


def test_a_plugin_named_behind_other_fields_of_its_line_is_found() -> None:
    with pytest.raises(PluginError, match="n:1:30: plugin"):
        parse_net('layer { name: "a" type: "b" } plugin: "no_such_module_x"'.replace("} p", "}p"), "n")


def test_the_word_plugin_elsewhere_imports_nothing() -> None:
    net = parse_net('# plugin: "no_such_module_y"\nname: "plugin: no_such_module_y" layer { name: "plugin" }')
    assert net.name.startswith("plugin")
    assert parse_net('name: "a" layer { name: "b" bottom: "plugin: no_such_module_z" }').layers
