"""What reading a net gives: its layers in today's form, each with its place in the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netforge.errors import NetforgeError, Place, PluginError, SettingsError, did_you_mean
from netforge.schema import netforge_pb2 as messages
from netforge.schema import settings as user_settings
from netforge.schema.blocks import Block
from netforge.schema.fields import field_names, find_field
from netforge.schema.state import NetState, layer_is_kept
from netforge.schema.writing import write_text


@dataclass(frozen=True, eq=False)
class LayerDefinition:
    """One layer of a net, as the file says it.

    message: the LayerParameter. place: where the layer begins. block: where its fields stand, None for layers that no
    file holds.
    """

    message: Any
    place: Place = field(default=Place("<message>"))
    block: Block | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The layer's name; empty where the file gives none."""
        return str(self.message.name)

    @property
    def type(self) -> str:
        """The layer's type as written."""
        return str(self.message.type)

    def locate(self, path: str) -> Place:
        """The place of a field such as "pooling_param.kernel_size" or "bottom[1]"; the layer's where it is not set."""
        found = self.block.locate(path) if self.block else None
        if found is None and "." in path:
            return self.locate(path.rpartition(".")[0])
        return found or self.place

    def fail(self, found: str, *, setting: str, mend: str | None = None) -> SettingsError:
        """An error about a field, at its place, for where no `Layer` is made yet: `raise definition.fail(...)`."""
        return SettingsError(found, where=self.locate(setting), mend=mend)

    def has(self, path: str) -> bool:
        """Whether the file sets a field such as "pooling_param.stride"; for repeated fields, at least once."""
        message = self.message
        *outer, last = path.split(".")
        for step in outer:
            message = self._present(message, step)
            if message is None:
                return False
        return self._present(message, last) is not None

    def _present(self, message: Any, name: str) -> Any:
        spec = find_field(message.DESCRIPTOR, name)
        if spec is None:
            raise SettingsError(
                f'{message.DESCRIPTOR.name} has no field "{name}"',
                where=self.place,
                mend=did_you_mean(name, field_names(message.DESCRIPTOR)),
            )
        return spec.get(message) if spec.present_in(message) else None

    def settings(self, field_name: str | None) -> Any:
        """The layer's settings: the message in `field_name`, with defaults where the file says nothing.

        For a user's layer the dataclass that it declared, filled in; None for None. Raises SettingsError where a value
        that has no default is missing, or where the dataclass itself refuses a value.
        """
        if field_name is None:
            return None
        if user_settings.is_declared(field_name):
            try:
                return user_settings.instance(field_name, self.message, self.locate(field_name))
            except NetforgeError as error:
                raise error.at(None, f'"{self.name}" ({self.type})') from error.__cause__
        spec = find_field(self.message.DESCRIPTOR, field_name)
        if spec is None:
            known = field_names(self.message.DESCRIPTOR)
            raise PluginError(f'LayerParameter has no field "{field_name}"', mend=did_you_mean(field_name, known))
        return spec.get(self.message)

    def copy_with(self, message: Any) -> LayerDefinition:
        """The same layer at the same place with another LayerParameter."""
        return dataclasses.replace(self, message=message)


@dataclass(frozen=True, eq=False)
class NetDefinition:
    """A net as a file or message defines it, in today's form.

    layers: in order of execution; `input:` fields have become a first layer of type Input. message: the NetParameter
    without its layers. source: the file, or "<text>". folder: where paths in it start from. notes: what was
    passed over.
    """

    message: Any
    layers: tuple[LayerDefinition, ...]
    source: str = "<message>"
    folder: Path | None = None
    notes: tuple[str, ...] = ()
    place: Place = field(default=Place("<message>"))

    @property
    def name(self) -> str:
        """The net's name; empty where the file gives none."""
        return str(self.message.name)

    def select(self, state: NetState) -> NetDefinition:
        """The net with only those layers that `state` keeps; filtering twice changes nothing."""
        return self.replace_layers(d for d in self.layers if layer_is_kept(d.message, state))

    def replace_layers(self, layers: Iterable[LayerDefinition]) -> NetDefinition:
        """The same net with other layers."""
        return dataclasses.replace(self, layers=tuple(layers))

    def to_message(self) -> Any:
        """A NetParameter with the layers in it."""
        net = messages.NetParameter()
        net.CopyFrom(self.message)
        net.layer.extend(definition.message for definition in self.layers)
        return net

    def to_text(self) -> str:
        """Prototxt that reads back as the same net."""
        return write_text(self.to_message())


def merge_state(
    definition: NetDefinition, phase: str = "TEST", level: int | None = None, stages: Iterable[str] = ()
) -> NetState:
    """The state to build a net in: `phase` and `level` override the file's, `stages` are added to its.

    level: None keeps the file's.
    """
    filed = NetState().merged(definition.message.state)
    merged = tuple(dict.fromkeys([*filed.stages, *stages]))
    return NetState(phase, filed.level if level is None else level, merged)
