"""Settings of users' layers: a dataclass beside the layer becomes a protobuf extension of LayerParameter at run time.

The extension's number follows from its name alone, so that files written by one process are read by another.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import re
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from netforge.errors import NetforgeError, Place, PluginError, SettingsError
from netforge.schema import netforge_pb2 as messages
from netforge.schema.fields import declare_choices, declare_extension, find_field, forget_fields
from netforge.schema.ranges import FieldNote, declare_note, parse_interval

PACKAGE = "netforge.plugin"
_FIRST_NUMBER, _LAST_NUMBER = 100_000, 2**29 - 1
_KEY = "netforge"
Proto = FieldDescriptorProto
_SCALARS = {bool: Proto.TYPE_BOOL, int: Proto.TYPE_INT64, float: Proto.TYPE_DOUBLE, str: Proto.TYPE_STRING}


def setting(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    range: str | None = None,
    choices: typing.Sequence[Any] | None = None,
) -> Any:
    """A field of a settings dataclass: `beta: float = setting(1.0, help="Slope.", range="(0, inf)")`.

    default: value where the file says nothing; left out, the file must say it; a list is copied for each layer.
    help: one line for `netforge layers TYPE`. range: interval of the numbers. choices: the values that are allowed.
    """
    metadata = {_KEY: (help, range, tuple(choices) if choices else None)}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class _Kind:
    """The type of one dataclass field, taken apart."""

    base: type
    repeated: bool = False
    choices: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class _Declared:
    """One settings dataclass that has become an extension."""

    cls: type
    proto: FileDescriptorProto
    extension: FieldDescriptor


_declared: dict[str, _Declared] = {}


def settings_field(type_name: str) -> str:
    """The field that holds the settings of a user's layer type: "SoftMargin" -> "soft_margin_param"."""
    words = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", type_name)
    return re.sub(r"\W+", "_", words).lower() + "_param"


def declare_settings(type_name: str, cls: type) -> str:
    """Make `cls`, a dataclass, the settings of layer type `type_name`; returns the field that prototxt holds them in.

    Raises PluginError where the class cannot be expressed in protobuf, or where the field's name or number is taken.
    """
    name = settings_field(type_name)
    fault = f'settings of layer type "{type_name}"'
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise PluginError(f"{fault}: {cls!r} is no dataclass", mend="put @dataclass above it")
    proto = _file_proto(name, cls, fault)
    known = _declared.get(name)
    if known is not None:
        if known.proto != proto:
            raise PluginError(
                f'{fault} are declared twice in different forms, both as "{name}"', mend="rename one of them"
            )
        _declared[name] = dataclasses.replace(known, cls=cls)
        _declare_notes(cls, f"{PACKAGE}.{proto.message_type[0].name}")
        forget_fields()
        return name
    if find_field(messages.LayerParameter.DESCRIPTOR, name) is not None:
        raise PluginError(f'{fault} would be called "{name}", which netforge has already', mend="rename the layer type")
    extension = _add_to_pool(proto, name, fault)
    _declare_notes(cls, f"{PACKAGE}.{proto.message_type[0].name}")
    declare_extension(extension)
    _declared[name] = _Declared(cls, proto, extension)
    return name


def is_declared(name: str) -> bool:
    """Whether a field of LayerParameter was declared by `declare_settings`."""
    return name in _declared


def declared_class(name: str) -> type:
    """The dataclass behind a declared field."""
    return _declared[name].cls


def instance(name: str, layer: Any, place: Place) -> Any:
    """The dataclass of a declared field filled in from a LayerParameter; raises SettingsError at `place`."""
    declared = _declared[name]
    return _fill(declared.cls, layer.Extensions[declared.extension], name, place)


def _fill(cls: type, message: Any, name: str, place: Place) -> Any:
    values: dict[str, Any] = {}
    kinds = _kinds(cls, name)
    for entry in dataclasses.fields(cls):
        kind = kinds[entry.name]
        found = getattr(message, entry.name)
        if kind.repeated and len(found):
            values[entry.name] = [_value(kind, item, name, place) for item in found]
        elif not kind.repeated and message.HasField(entry.name):
            values[entry.name] = _value(kind, found, name, place)
        elif entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING:
            raise SettingsError(
                f'"{entry.name}" is missing in {name}', where=place, mend=f"write {name} {{ {entry.name}: ... }}"
            )
    try:
        return cls(**values)
    except NetforgeError as error:
        raise error.at(place) from None
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{name}: {error}", where=place) from error


def _value(kind: _Kind, found: Any, name: str, place: Place) -> Any:
    if dataclasses.is_dataclass(kind.base):
        return _fill(kind.base, found, name, place)
    if issubclass(kind.base, enum.Enum):
        return kind.base[found]
    return found


# ---- from dataclass to descriptor


def _kinds(cls: type, fault: str) -> dict[str, _Kind]:
    try:
        hints = typing.get_type_hints(cls)
    except Exception as error:  # annotations are evaluated: whatever they raise is the author's
        raise PluginError(
            f"{fault}: annotations of {cls.__name__} cannot be resolved: {error}",
            mend="import what they name at the top of the module",
        ) from error
    return {f.name: _kind(hints[f.name], f"{fault}: {cls.__name__}.{f.name}") for f in dataclasses.fields(cls)}


def _kind(hint: Any, fault: str) -> _Kind:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (list, tuple) and arguments and arguments[-1] in (arguments[0], Ellipsis):
        inner = _kind(arguments[0], fault)
        if not inner.repeated:
            return dataclasses.replace(inner, repeated=True)
    elif origin in (typing.Union, types.UnionType):
        rest = [a for a in arguments if a is not type(None)]
        if len(rest) == 1:
            return _kind(rest[0], fault)
    elif origin is Literal and len({type(a) for a in arguments}) == 1:
        return _Kind(type(arguments[0]), choices=arguments)
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _Kind(hint, choices=tuple(hint.__members__))
    elif hint in _SCALARS or (isinstance(hint, type) and dataclasses.is_dataclass(hint)):
        return _Kind(hint)
    raise PluginError(
        f"{fault} has type {hint!r}, which prototxt cannot hold",
        mend="use bool, int, float, str, an Enum, a Literal, another dataclass, or a list of one of these",
    )


def _file_proto(name: str, cls: type, fault: str) -> FileDescriptorProto:
    proto = FileDescriptorProto(
        name=f"netforge/plugin/{name}.proto", package=PACKAGE, dependency=["netforge.proto"], syntax="proto2"
    )
    message = proto.message_type.add(name="".join(word.capitalize() for word in name.split("_")))
    _fill_message(message, f".{PACKAGE}.{message.name}", cls, fault, ())
    proto.extension.add(
        name=name,
        number=extension_number(name),
        label=Proto.LABEL_OPTIONAL,
        type=Proto.TYPE_MESSAGE,
        type_name=f".{PACKAGE}.{message.name}",
        extendee=".netforge.LayerParameter",
    )
    return proto


def extension_number(name: str) -> int:
    """The field number of a declared field: a hash of its name, the same everywhere and for ever."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return _FIRST_NUMBER + digest % (_LAST_NUMBER - _FIRST_NUMBER + 1)


def _fill_message(message: DescriptorProto, path: str, cls: type, fault: str, outer: tuple[type, ...]) -> None:
    if cls in outer:
        raise PluginError(f"{fault}: {cls.__name__} contains itself", mend="prototxt settings cannot nest without end")
    for number, (name, kind) in enumerate(_kinds(cls, fault).items(), start=1):
        field = message.field.add(
            name=name, number=number, label=Proto.LABEL_REPEATED if kind.repeated else Proto.LABEL_OPTIONAL
        )
        if dataclasses.is_dataclass(kind.base):
            nested = message.nested_type.add(name=f"{name.title().replace('_', '')}Block")
            _fill_message(nested, f"{path}.{nested.name}", kind.base, fault, (*outer, cls))
            field.type, field.type_name = Proto.TYPE_MESSAGE, f"{path}.{nested.name}"
        else:
            field.type = _SCALARS.get(kind.base, Proto.TYPE_STRING)


def _add_to_pool(proto: FileDescriptorProto, name: str, fault: str) -> FieldDescriptor:
    pool = descriptor_pool.Default()
    taken = [d for d in _declared.values() if d.extension.number == extension_number(name)]
    if taken:
        raise PluginError(
            f'{fault}: "{name}" has the number of "{taken[0].extension.name}"', mend="rename the layer type"
        )
    try:
        pool.AddSerializedFile(proto.SerializeToString())
        return pool.FindExtensionByName(f"{PACKAGE}.{name}")
    except TypeError as error:
        raise PluginError(f"{fault} cannot be expressed in protobuf: {error}") from error


def _check_default(entry: dataclasses.Field[Any], note: FieldNote, choices: tuple[Any, ...] | None, name: str) -> None:
    default = entry.default.name if isinstance(entry.default, enum.Enum) else entry.default
    if default is dataclasses.MISSING or default is None:
        return
    if note.range is not None and not (isinstance(default, int | float) and default in note.range):
        raise PluginError(
            f"the default of {name} is {default}, outside of its range {note.range}", mend="correct one of them"
        )
    if choices is not None and default not in choices:
        raise PluginError(
            f"the default of {name} is {default!r}, which is none of its choices", mend="correct one of them"
        )


def _declare_notes(cls: type, full_name: str) -> None:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(full_name)
    kinds = _kinds(cls, full_name)
    for entry in dataclasses.fields(cls):
        help_text, interval, choices = entry.metadata.get(_KEY, ("", None, None))
        own = f"{full_name}.{entry.name}"
        note = FieldNote(help_text, parse_interval(interval) if interval else None)
        allowed = choices or kinds[entry.name].choices
        _check_default(entry, note, allowed, f"{cls.__name__}.{entry.name}")
        declare_note(own, note)
        if allowed:
            declare_choices(own, allowed)
        field = descriptor.fields_by_name[entry.name]
        if field.message_type is not None:
            _declare_notes(kinds[entry.name].base, field.message_type.full_name)
