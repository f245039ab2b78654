"""What settings a layer has: for `netforge layers TYPE`, from the .proto's comments or from a dataclass."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from netforge.errors import UnknownNameError, did_you_mean
from netforge.schema import netforge_pb2 as messages
from netforge.schema import settings as user_settings
from netforge.schema.fields import FieldSpec, field_names, find_field, own_specs
from netforge.schema.ranges import note_of

_TYPE_NAMES = {
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_ENUM: "choice",
}


@dataclass(frozen=True)
class SettingHelp:
    """One setting of a layer: `default` is text as prototxt writes it, None where there is none.

    is_block: whether it holds further settings; then `type` is the name of a message.
    """

    name: str
    type: str
    default: str | None
    range: str | None
    help: str
    choices: tuple[str, ...] = ()
    repeated: bool = False
    is_block: bool = False


def describe_message(name: str) -> list[SettingHelp]:
    """The fields of a message of the schema such as "FillerParameter"; raises UnknownNameError at another name."""
    known = messages.DESCRIPTOR.message_types_by_name
    if name not in known:
        raise UnknownNameError(f'the schema has no message "{name}"', mend=did_you_mean(name, known))
    return [_describe(spec, None) for spec in own_specs(known[name])]


def describe_settings(field: str) -> list[SettingHelp]:
    """The settings in a field of LayerParameter such as "pooling_param"; raises UnknownNameError at another."""
    spec = find_field(messages.LayerParameter.DESCRIPTOR, field)
    if spec is None or not spec.is_message:
        known = field_names(messages.LayerParameter.DESCRIPTOR)
        raise UnknownNameError(f'LayerParameter has no block "{field}"', mend=did_you_mean(field, known))
    declared = user_settings.declared_class(field) if user_settings.is_declared(field) else None
    return [_describe(child, declared) for child in own_specs(spec.block)]


def _describe(spec: FieldSpec, declared: type | None) -> SettingHelp:
    note = note_of(spec.descriptor.full_name)
    descriptor = spec.descriptor
    choices: tuple[str, ...] = tuple(map(str, spec.choices or ()))
    if descriptor.enum_type is not None:
        choices = tuple(value.name for value in descriptor.enum_type.values)
    kind = spec.block.name if spec.is_message else _TYPE_NAMES.get(descriptor.cpp_type, "int")
    return SettingHelp(
        name=spec.name,
        type="choice" if choices else kind,
        default=_declared_default(declared, spec.name) if declared else _default(spec),
        range=str(note.range) if note.range else None,
        help=note.help,
        choices=choices,
        repeated=spec.repeated,
        is_block=spec.is_message,
    )


def _default(spec: FieldSpec) -> str | None:
    descriptor = spec.descriptor
    if spec.repeated or spec.is_message or not descriptor.has_default_value:
        return None
    if descriptor.enum_type is not None:
        return str(descriptor.enum_type.values_by_number[descriptor.default_value].name)
    return _written(descriptor.default_value)


def _declared_default(cls: type, name: str) -> str | None:
    entry = next(f for f in dataclasses.fields(cls) if f.name == name)
    if entry.default is not dataclasses.MISSING and not dataclasses.is_dataclass(entry.default):
        return None if entry.default is None else _written(entry.default)
    return None


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:.7g}" if isinstance(value, float) else str(value)
