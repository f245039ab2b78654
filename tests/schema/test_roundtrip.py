"""Whatever is written reads back alike, and whatever is read wrongly ends in a NetforgeError."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netforge.errors import NetforgeError, PluginError
from netforge.schema import merge_state, messages, parse_net, parse_solver, write_text
from netforge.schema.fields import is_repeated, is_required
from netforge.schema.ranges import Interval, note_of
from netforge.schema.reader import parse_message
from netforge.schema.tokens import SourceText

STYLES: list[dict[str, Any]] = [
    {},
    {"as_one_line": True},
    {"pointy_brackets": True},
    {"use_short_repeated_primitives": True},
    {"use_short_repeated_primitives": True, "as_one_line": True, "as_utf8": True},
]
PATIENT = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def _number(field: FieldDescriptor, interval: Interval | None) -> st.SearchStrategy[Any]:
    if field.cpp_type in _INTEGERS:
        low, high = _INTEGERS[field.cpp_type]
        if interval is not None:
            low = max(low, int(interval.low) + interval.low_open if interval.low > -1e18 else low)
            high = min(high, int(interval.high) - interval.high_open if interval.high < 1e18 else high)
        return st.integers(low, high)
    width = 32 if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT else 64
    if interval is None:
        return st.floats(width=width, allow_nan=False)
    return st.floats(width=width, allow_nan=False).filter(lambda value: value in interval)


def _value(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return message_values(field.message_type, depth - 1)
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=8)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return st.text(max_size=8)
    return _number(field, note_of(field.full_name).range)


@st.composite
def message_values(draw: st.DrawFn, descriptor: Descriptor, depth: int) -> dict[str, Any]:
    """Keyword arguments that make a message of this type; at most four fields, `depth` levels."""
    usable = [f for f in descriptor.fields if depth > 0 or f.message_type is None]
    chosen = draw(st.lists(st.sampled_from(usable), max_size=4, unique_by=lambda f: f.name)) if usable else []
    chosen += [f for f in descriptor.fields if is_required(f) and f not in chosen]
    values: dict[str, Any] = {}
    for field in chosen:
        one = _value(field, depth)
        values[field.name] = draw(st.lists(one, min_size=1, max_size=3) if is_repeated(field) else one)
    return values


def read(text: str, cls: Any) -> Any:
    return parse_message(cls, SourceText(text, "f")).message


@pytest.mark.parametrize("cls", [messages.NetParameter, messages.SolverParameter, messages.LayerParameter])
@PATIENT
@given(data=st.data(), style=st.sampled_from(STYLES))
def test_text_of_any_message_reads_back(cls: Any, data: st.DataObject, style: dict[str, Any]) -> None:
    message = cls(**data.draw(message_values(cls.DESCRIPTOR, 3)))
    assert read(text_format.MessageToString(message, **style), cls) == message
    assert read(write_text(message), cls) == message


def golden_texts(golden: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(golden.glob("**/*.prototxt"))]


def test_all_golden_files_are_read_as_protobuf_reads_them(golden: Path) -> None:
    count = 0
    for path in sorted(golden.glob("**/*.prototxt")):
        cls: Any = messages.SolverParameter if "solver" in path.name else messages.NetParameter
        text = path.read_text(encoding="utf-8")
        assert read(text, cls) == text_format.Parse(text, cls()), path
        count += 1
    assert count > 100


def test_all_golden_nets_survive_writing(golden: Path) -> None:
    for path in sorted(golden.glob("**/net*.prototxt")):
        net = parse_net(path.read_text(encoding="utf-8"), path.name)
        assert parse_net(net.to_text()).to_message() == net.to_message(), path


SCRAPS = [
    *"{}<>[]:,;\"'\\#\n-_.\0", "0x", "1e999", "nan", "layers", "layer {", "input_dim: 3", "type", '"\\xff"', "[a.b]",
    "99999999999999999999", "True", "é", "include { phase: TRAIN }", "state { phase: ALL }", 'input: "a"',
    'layers { layer { type: "padding" } }', "option { active: True }", "weight_adapter { a: { b: [1, 2] } }",
]  # fmt: skip


def mutate(text: str, rng: random.Random) -> str:
    for _ in range(rng.randrange(1, 6)):
        at, kind = rng.randrange(len(text) + 1), rng.randrange(5)
        if kind == 0:
            text = text[:at] + rng.choice(SCRAPS) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + rng.randrange(1, 20) :]
        elif kind == 2:
            other = rng.randrange(len(text) + 1)
            text = text[:at] + text[other : other + 30] + text[at:]
        elif kind == 3:
            text = text[:at] + chr(rng.randrange(1, 256)) + text[at + 1 :]
        else:
            words = text.split(" ")
            words[rng.randrange(len(words))] = rng.choice(words)
            text = " ".join(words)
    return text


def use_net(text: str) -> Any:
    net = parse_net(text, "f")
    for layer in net.select(merge_state(net, "TRAIN")).layers:
        layer.locate("param[1].lr_mult")
    assert parse_net(net.to_text()).to_message().SerializeToString(deterministic=True) == net.to_message(
    ).SerializeToString(deterministic=True)  # fmt: skip


def use_solver(text: str) -> Any:
    solver = parse_solver(text, "f")
    solver.train_net()
    solver.test_nets()


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_end_in_one_of_our_errors_and_never_differ_from_protobuf(golden: Path, seed: int) -> None:
    rng = random.Random(seed)
    texts = golden_texts(golden)
    agreed = 0
    for _ in range(400):
        text = mutate(rng.choice(texts), rng)
        for use, cls in ((use_net, messages.NetParameter), (use_solver, messages.SolverParameter)):
            try:
                use(text)
            except NetforgeError as error:
                assert error.where is not None, text
            try:
                expected = text_format.Parse(text, cls())
            except Exception:  # whatever protobuf refuses may be MyCaffe's dialect
                continue
            try:
                found = read(text, cls)
            except NetforgeError as error:
                assert "must be" in str(error) or "needs" in str(error), (text, str(error))
            else:
                assert found.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)
                agreed += 1
    assert agreed > 10


@PATIENT
@given(st.text())
def test_any_text_ends_in_one_of_our_errors_or_is_a_net(text: str) -> None:
    try:
        parse_net(text)
    except PluginError:
        raise
    except NetforgeError as error:
        assert error.where is not None
