"""The text of netforge's CUDA kernels, and what each of them takes.

The kernels lie as text in `netforge/kernels`, one family a file. A family is compiled once for each floating type: its
kernels are written with the type `Real` and declared as `KERNEL(name)(parameters)`, and `module_text` puts the
definitions of both in front. Here is also what CuPy does not check, whether the arguments of a launch are what the
kernel's signature says: a `float` parameter reads garbage from a Python float, and an `int*` from an array of int64.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import DeviceError, did_you_mean

LARGEST_SIZE = 2**31 - 1
"""No array that a kernel works on holds more elements, but a data source: sizes and indices are 32 bits wide."""

_FOLDER = files("netforge").joinpath("kernels")
_SUFFIXES = {"float32": "f32", "float64": "f64"}
_REALS = {"float32": "float", "float64": "double"}
_TYPES: dict[str, np.dtype[Any]] = {
    "int": np.dtype(np.int32),
    "double": np.dtype(np.float64),
    "Word": np.dtype(np.uint64),
    "Byte": np.dtype(np.uint8),
    "Pixel": np.dtype(np.float32),
}
_OF_SOURCES = ("Byte", "Pixel")

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_KERNEL = re.compile(r"^KERNEL\((\w+)\)\s*\(([^)]*)\)", re.M)
_PARAMETER = re.compile(r"(?P<const>const\s+)?(?P<type>\w+)\s*(?P<pointer>\*)?\s*(?:__restrict__\s+)?(?P<name>\w+)")
_INCLUDE = re.compile(r'^#include "([\w.]+)"\n', re.M)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel: an array (`pointer`, `const` where it is only read) or a number, of type `dtype`.

    wide: the kernel finds its way in arrays of any size.
    """

    name: str
    dtype: np.dtype[Any]
    pointer: bool
    const: bool
    wide: bool = False

    @functools.cached_property
    def limits(self) -> tuple[int, int] | None:
        """The least and the largest whole number that fits; None for floating types. Kept, as each launch asks."""
        if self.dtype.kind not in "iu":
            return None
        found = np.iinfo(self.dtype)
        return int(found.min), int(found.max)


@dataclass(frozen=True)
class Kernel:
    """A kernel of one floating type. name: its symbol, such as "relu_forward_f32". family: the file that holds it."""

    name: str
    family: str
    dtype: np.dtype[Any]
    parameters: tuple[Parameter, ...]

    def arguments(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """`values` as a launch has to pass them: Python numbers become NumPy scalars of the parameter's type.

        Arrays pass through: C-contiguous ones of the parameter's dtype (any array type that has `dtype`, `size` and
        `flags`), or None for a null pointer. Raises DeviceError, which names the parameter, for anything else.
        """
        if len(values) != len(self.parameters):
            names = ", ".join(p.name for p in self.parameters)
            raise DeviceError(
                f"kernel {self.name} takes {len(self.parameters)} arguments ({names}), {len(values)} were given"
            )
        return tuple(
            self._array(p, v) if p.pointer else self._number(p, v) for p, v in zip(self.parameters, values, strict=True)
        )

    def _array(self, parameter: Parameter, value: Any) -> Any:
        if value is None:
            return None
        if not hasattr(value, "dtype") or not hasattr(value, "flags"):
            raise self._not_an_array(parameter, type(value).__name__)
        if value.dtype != parameter.dtype:
            raise self._not_an_array(parameter, f"an array of {value.dtype}")
        if not value.flags.c_contiguous:
            raise self._not_an_array(parameter, f"an array with strides {value.strides}")
        if value.size > LARGEST_SIZE and not parameter.wide:
            raise self._error(parameter, f"{value.size} elements", f"at most {LARGEST_SIZE} elements")
        return value

    def _number(self, parameter: Parameter, value: Any) -> Any:
        limits = parameter.limits
        allowed = (int, float, np.integer, np.floating) if limits is None else (int, np.integer)
        if not isinstance(value, allowed):
            raise self._error(parameter, f"{type(value).__name__} {value!r}", f"a number of type {parameter.dtype}")
        if limits is not None and not limits[0] <= int(value) <= limits[1]:
            raise self._error(parameter, str(value), f"a number in [{limits[0]}, {limits[1]}]")
        return parameter.dtype.type(value)

    def _not_an_array(self, parameter: Parameter, found: str) -> DeviceError:
        return self._error(parameter, found, f"a C-contiguous array of {parameter.dtype}")

    def _error(self, parameter: Parameter, found: str, wanted: str) -> DeviceError:
        return DeviceError(f"kernel {self.name}, parameter {parameter.name}: found {found}, expected {wanted}")


@functools.cache
def families() -> tuple[str, ...]:
    """The names of all families, sorted."""
    return tuple(sorted(f.name.removesuffix(".cu") for f in _FOLDER.iterdir() if f.name.endswith(".cu")))


@functools.cache
def module_text(family: str, dtype: npt.DTypeLike) -> str:
    """The whole text of a family's module for one floating type, ready for a compiler without any search path."""
    name = _real(dtype)
    definitions = (
        f'typedef {_REALS[name]} Real;\n#define KERNEL(name) extern "C" __global__ void name##_{_SUFFIXES[name]}\n'
    )
    return definitions + _with_lines(f"{family}.cu", _INCLUDE.sub(_included, _read(f"{family}.cu")))


@functools.cache
def kernels(dtype: npt.DTypeLike) -> dict[str, Kernel]:
    """All kernels of one floating type, by the name they are declared with ("relu_forward")."""
    real = np.dtype(_real(dtype))
    found: dict[str, Kernel] = {}
    for family in families():
        for name, parameters in _KERNEL.findall(_COMMENT.sub("", _read(f"{family}.cu"))):
            symbol = f"{name}_{_SUFFIXES[real.name]}"
            found[name] = Kernel(symbol, family, real, _parameters(symbol, parameters, real))
    return found


def kernel(name: str, dtype: npt.DTypeLike) -> Kernel:
    """The kernel `name` of one floating type; raises DeviceError where there is none."""
    known = kernels(np.dtype(dtype).name)
    if name not in known:
        raise DeviceError(f"there is no kernel {name}", mend=did_you_mean(name, known))
    return known[name]


def _real(dtype: npt.DTypeLike) -> str:
    name = np.dtype(dtype).name
    if name not in _SUFFIXES:
        raise DeviceError(f"there are no kernels for {name}", mend="use float32 or float64")
    return name


def _read(file: str) -> str:
    return _FOLDER.joinpath(file).read_text(encoding="utf-8")


def _with_lines(file: str, text: str) -> str:
    """`text` with a compiler's messages about it pointing at its own file and line."""
    return f'#line 1 "netforge/kernels/{file}"\n{text}'


def _included(match: re.Match[str]) -> str:
    """An included file's text; the line count of the file that includes it goes on behind it."""
    line = match.string.count("\n", 0, match.end()) + 1
    return f"{_with_lines(match[1], _read(match[1]))}#line {line}\n"


def _parameters(symbol: str, text: str, real: np.dtype[Any]) -> tuple[Parameter, ...]:
    types: dict[str, np.dtype[Any]] = {**_TYPES, "Real": real}
    parameters = []
    for part in filter(None, (" ".join(p.split()) for p in text.split(","))):
        match = _PARAMETER.fullmatch(part)
        if match is None or match["type"] not in types:
            raise DeviceError(f"kernel {symbol}: cannot read its parameter '{part}'", mend="reinstall netforge")
        pointer, const, wide = match["pointer"] is not None, match["const"] is not None, match["type"] in _OF_SOURCES
        parameters.append(Parameter(match["name"], types[match["type"]], pointer, const, wide))
    return tuple(parameters)
