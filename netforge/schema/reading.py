"""Reads nets and solvers from files, text or messages."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from netforge.errors import NetforgeError, Place, SchemaError, SettingsError
from netforge.registry import load_entry_points, load_plugin
from netforge.schema import netforge_pb2 as messages
from netforge.schema.blocks import Block
from netforge.schema.definition import LayerDefinition, NetDefinition
from netforge.schema.fields import copy_field
from netforge.schema.files import read_text, resolve_path
from netforge.schema.reader import parse_message
from netforge.schema.tokens import SourceText, skip_space
from netforge.schema.upgrade import misplaced_transform, upgrade_net


def read_net(source: str | Path | Any, *, plugins: Iterable[str] = ()) -> NetDefinition:
    """The definition of a net: from the path of a prototxt or from a NetParameter; a NetDefinition is returned as is.

    plugins: Python modules to import first. Raises SchemaError or SettingsError with file, line and column, and
    PluginError where a module cannot be imported.
    """
    if isinstance(source, NetDefinition):
        return source
    load_plugins(plugins, None)
    if isinstance(source, messages.NetParameter):
        load_plugins(source.plugin, None)
        return define_net(source, None, source="<message>", folder=None)
    path = resolve_path(source, None)
    definition = _parse_net(read_text(path, "a net"), path.parent)
    if not definition.layers:
        raise SchemaError("the file holds no layer", where=str(path), mend='a net is made of "layer { ... }" blocks')
    return definition


def parse_net(text: str, name: str = "<text>", folder: str | Path | None = None) -> NetDefinition:
    """The definition of a net given as prototxt; `name` stands for the file in messages, `folder` for where it lies."""
    return _parse_net(SourceText(text, name), Path(folder) if folder is not None else None)


def _parse_net(source: SourceText, folder: Path | None) -> NetDefinition:
    scan_plugins(source, folder)
    parsed = parse_message(messages.NetParameter, source)
    return define_net(parsed.message, parsed.block, source=source.file, folder=folder, notes=parsed.notes)


@functools.cache
def _load_installed_plugins() -> None:
    load_entry_points()


def load_plugins(modules: Iterable[str], folder: Path | None) -> None:
    """Import the modules named, and those of installed packages that extend netforge."""
    _load_installed_plugins()
    for module in modules:
        load_plugin(module, beside=folder)


_BRACES_AND_PLUGINS = re.compile(r"""[{}<>]|#[^\n]*+|"(?:[^"\\\n]|\\.)*+"?+|'(?:[^'\\\n]|\\.)*+'?+|\bplugin\b""")


def scan_plugins(source: SourceText, folder: Path | None) -> None:
    """Import what `plugin:` names at the outermost level of a text or in a net inside it, before the rest is read.

    Raises PluginError, at the line, for a module that cannot be imported.
    """
    load_plugins((), None)
    if "plugin" not in source.text:
        return
    depth = 0
    for match in _BRACES_AND_PLUGINS.finditer(source.text):
        depth += {"{": 1, "<": 1, "}": -1, ">": -1}.get(match[0], 0)
        if match[0] == "plugin" and depth <= 1:
            for module in _modules_at(source.text, match.end()):
                try:
                    load_plugin(module, beside=folder)
                except NetforgeError as error:
                    raise error.at(source.place(match.start())) from error.__cause__


_AFTER_PLUGIN = re.compile(r"\s*+:\s*+(\[?)")
_MODULE = re.compile(r"""["']?([A-Za-z_][\w.]*+)["']?""")


def _modules_at(text: str, position: int) -> list[str]:
    start = _AFTER_PLUGIN.match(text, position)
    if start is None:
        return []
    found = []
    position = start.end()
    while (module := _MODULE.match(text, position)) is not None:
        found.append(module[1])
        position = skip_space(text, module.end())
        if not start[1] or text[position : position + 1] != ",":
            break
        position = skip_space(text, position + 1)
    return found


def define_net(
    message: Any, block: Block | None, *, source: str, folder: Path | None, notes: Iterable[str] = ()
) -> NetDefinition:
    """Upgrade a NetParameter and give every layer its place; `block` holds the places, None where there is no text."""
    here = block.place if block else Place(source)

    def place(path: str) -> Place:
        return (block.locate(path) if block else None) or here

    upgraded = upgrade_net(message, place)
    field = "layers" if message.layers else "layer"
    blocks: list[Any] = block.fields.get(field, []) if block else []
    definitions = []
    all_notes = [*notes, *upgraded.notes]
    for layer, index in upgraded.layers:
        if index is None:
            definition = LayerDefinition(layer, place("input"))
        elif index < len(blocks):
            definition = LayerDefinition(layer, blocks[index].place, blocks[index])
        else:
            definition = LayerDefinition(layer, here)
        _check_rules(definition)
        all_notes += [
            f'{definition.locate(f"{b}.{f}")}: "{f}" has no effect in {b}; write it in transform_param'
            for b, f in misplaced_transform(layer)
        ]
        definitions.append(definition)
    return NetDefinition(
        _without_layers(message), tuple(definitions), source, folder, tuple(dict.fromkeys(all_notes)), here
    )


def _check_rules(definition: LayerDefinition) -> None:
    if definition.message.include and definition.message.exclude:
        raise SettingsError(
            "a layer takes include rules or exclude rules, not both",
            where=definition.locate("exclude"),
            layer=f'"{definition.name}" ({definition.type})',
            mend="keep one kind; several include rules mean: any of them",
        )


_LAYER_FIELDS = ("layer", "layers", "input", "input_shape", "input_dim")


def _without_layers(message: Any) -> Any:
    net = messages.NetParameter()
    for descriptor, value in message.ListFields():
        if descriptor.name not in _LAYER_FIELDS:
            copy_field(net, descriptor.name, value)
    return net
