"""Fields of messages as the reader sees them: by name, with the reader of their values and their range."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from netforge.schema.ranges import Interval, note_of
from netforge.schema.values import scalar_parser

_LABEL_REPEATED, _LABEL_REQUIRED = 3, 2


def is_repeated(field: FieldDescriptor) -> bool:
    """Whether a field may hold several values (protobuf 6 replaced `label` by flags)."""
    flag = getattr(field, "is_repeated", None)
    return bool(getattr(field, "label", None) == _LABEL_REPEATED if flag is None else flag)


def is_required(field: FieldDescriptor) -> bool:
    """Whether a message is incomplete without the field."""
    flag = getattr(field, "is_required", None)
    return bool(getattr(field, "label", None) == _LABEL_REQUIRED if flag is None else flag)


def copy_field(message: Any, name: str, value: Any) -> None:
    """Give a field of `message` a value: a number, a text or a message; a repeated field gets it, or all of it, added.

    Raises TypeError or ValueError where the value is of another type than the field.
    """
    target = getattr(message, name)
    if hasattr(target, "extend"):
        many = isinstance(value, Iterable) and not isinstance(value, str | bytes)
        target.extend(value if many else [value])
    elif hasattr(target, "CopyFrom"):
        target.CopyFrom(value)
    else:
        setattr(message, name, value)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field: its name in prototxt, its descriptor, and how its values are read.

    parse reads an unquoted word; None for messages and text. range holds for numbers. choices holds for text.
    """

    name: str
    descriptor: FieldDescriptor
    repeated: bool
    is_message: bool
    is_text: bool
    is_bytes: bool
    parse: Callable[[str], Any] | None
    range: Interval | None
    choices: tuple[Any, ...] | None = None

    @property
    def block(self) -> Descriptor:
        """The message that the field holds."""
        found = self.descriptor.message_type
        assert found is not None, f"{self.name} holds no message"
        return found

    def get(self, message: Any) -> Any:
        """The value in a message; its default where it is absent."""
        if self.descriptor.is_extension:
            return message.Extensions[self.descriptor]
        return getattr(message, self.descriptor.name)

    def put(self, message: Any, value: Any) -> None:
        """Set a singular scalar, or append to a repeated one."""
        if self.repeated:
            self.get(message).append(value)
        elif self.descriptor.is_extension:
            message.Extensions[self.descriptor] = value
        else:
            setattr(message, self.descriptor.name, value)

    def add_message(self, message: Any) -> Any:
        """The sub-message to fill in: a new one of a repeated field, else the one, marked as present."""
        if self.repeated:
            return self.get(message).add()
        child = self.get(message)
        child.SetInParent()
        return child

    def present_in(self, message: Any) -> bool:
        """Whether the message holds a value of this field."""
        if self.repeated:
            return len(self.get(message)) > 0
        if self.descriptor.is_extension:
            return bool(message.HasExtension(self.descriptor))
        return bool(message.HasField(self.descriptor.name))


def make_spec(field: FieldDescriptor, choices: tuple[Any, ...] | None = None) -> FieldSpec:
    """The FieldSpec of a descriptor."""
    is_message = field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE
    is_text = field.cpp_type == FieldDescriptor.CPPTYPE_STRING
    return FieldSpec(
        name=field.name,
        descriptor=field,
        repeated=is_repeated(field),
        is_message=is_message,
        is_text=is_text,
        is_bytes=field.type == FieldDescriptor.TYPE_BYTES,
        parse=None if is_message or is_text else scalar_parser(field),
        range=note_of(field.full_name).range,
        choices=choices,
    )


_extensions: dict[str, dict[str, FieldSpec]] = {}
_choices: dict[str, tuple[Any, ...]] = {}


def declare_choices(full_name: str, choices: tuple[Any, ...]) -> None:
    """Say which values a field that was declared at run time may have."""
    _choices[full_name] = choices


def declare_extension(field: FieldDescriptor) -> None:
    """Let prototxt name a protobuf extension by its short name inside the message that it extends."""
    extended: Any = field.containing_type
    _extensions.setdefault(extended.full_name, {})[field.name] = make_spec(field)


def forget_fields() -> None:
    """Forget what was worked out about fields, after a declaration has changed."""
    _own_fields.cache_clear()


@functools.cache
def _own_fields(full_name: str) -> dict[str, FieldSpec]:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(full_name)
    return {f.name: make_spec(f, _choices.get(f.full_name)) for f in descriptor.fields}


def find_field(descriptor: Descriptor, name: str) -> FieldSpec | None:
    """The field of a message that prototxt calls `name`, users' extensions included; None where there is none."""
    own = _own_fields(descriptor.full_name).get(name)
    return own or _extensions.get(descriptor.full_name, {}).get(name)


def find_extension(descriptor: Descriptor, full_name: str) -> FieldSpec | None:
    """The extension of a message that prototxt calls `[full_name]`; None where there is none."""
    try:
        field = descriptor_pool.Default().FindExtensionByName(full_name)
    except KeyError:
        return None
    extended: Any = field.containing_type
    return make_spec(field) if extended.full_name == descriptor.full_name else None


def field_names(descriptor: Descriptor) -> list[str]:
    """The names of all fields of a message, users' extensions included."""
    return [*_own_fields(descriptor.full_name), *_extensions.get(descriptor.full_name, {})]


def own_specs(descriptor: Descriptor) -> Iterable[FieldSpec]:
    """All fields of a message without extensions."""
    return _own_fields(descriptor.full_name).values()


def blocks_with(descriptor: Descriptor, name: str) -> Iterator[FieldSpec]:
    """The message fields of a message whose own fields include `name`."""
    for candidate in [*_own_fields(descriptor.full_name).values(), *_extensions.get(descriptor.full_name, {}).values()]:
        if candidate.is_message and find_field(candidate.block, name) is not None:
            yield candidate


@functools.cache
def required_fields(full_name: str) -> tuple[str, ...]:
    """The names of the fields without which a message is incomplete."""
    return tuple(s.name for s in _own_fields(full_name).values() if is_required(s.descriptor))
