"""Arrays that count as a GPU's."""

from __future__ import annotations

import traceback
from typing import Any, NamedTuple

import numpy as np


class Counts:
    """What happened since `reset`. host_reads: the line of netforge behind each transfer of values to the host."""

    def __init__(self) -> None:
        self.host_reads: list[str] = []

    def reset(self) -> None:
        """Forget everything."""
        self.host_reads.clear()

    def read(self) -> None:
        """Note a transfer."""
        frames = [frame for frame in traceback.extract_stack() if "/netforge/" in frame.filename]
        where = [f for f in frames if "/device/" not in f.filename] or frames
        last = where[-1] if where else None
        self.host_reads.append(f"{last.filename.partition('/netforge/')[2]}: {last.line}" if last else "test")


counts = Counts()


class Pointer(NamedTuple):
    """What `data` of an array is in CuPy: device memory by its address."""

    ptr: int


class ndarray(np.ndarray):
    """An array of the GPU."""

    @property
    def data(self) -> Pointer:
        return Pointer(self.ctypes.data)

    def get(self, stream: Any = None) -> np.ndarray:
        counts.read()
        return np.array(host(self))

    def item(self, *index: Any) -> Any:
        counts.read()
        return host(self).item(*index)

    def tolist(self) -> Any:
        counts.read()
        return host(self).tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        counts.read()
        return host(self).tobytes(order)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        _refuse(index if isinstance(index, tuple) else (index,), "as an index")
        return device(host(self)[_plain(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        _refuse(index if isinstance(index, tuple) else (index,), "as an index")
        _refuse((value,), "as a value")
        if isinstance(value, tuple | list):
            raise TypeError("CuPy assigns arrays and numbers, not sequences")
        host(self)[_plain(index)] = _plain(value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: tuple[Any, ...] = (), **options: Any) -> Any:
        _refuse((*inputs, *out), f"in {ufunc.__name__}")
        if out:
            options["out"] = tuple(map(_plain, out))
        result = getattr(ufunc, method)(*map(_plain, inputs), **{k: _plain(v) for k, v in options.items()})
        return out[0] if out else device(result)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} called with an array of the GPU")


def _method(name: str) -> Any:
    """A method of NumPy's arrays whose result is an array of the GPU, a single number too, as in CuPy."""

    def call(self: ndarray, *args: Any, **options: Any) -> Any:
        _refuse((*args, *options.values()), f"in {name}")
        result = getattr(host(self), name)(*map(_plain, args), **{k: _plain(v) for k, v in options.items()})
        return options.get("out", device(result))

    return call


for _name in ("sum", "mean", "max", "min", "any", "all", "copy", "astype", "reshape", "ravel", "swapaxes", "transpose"):
    setattr(ndarray, _name, _method(_name))


def host(array: np.ndarray) -> np.ndarray:
    """The same memory as NumPy's array."""
    return np.ndarray.view(array, np.ndarray)


def device(result: Any) -> ndarray:
    """The same memory as an array of the GPU; numbers become arrays without axes."""
    return np.ndarray.view(np.asarray(result), ndarray)


def _plain(value: Any) -> Any:
    if isinstance(value, ndarray):
        return host(value)
    return tuple(map(_plain, value)) if type(value) is tuple else value


def _refuse(values: Any, where: str) -> None:
    for value in values:
        if type(value) is np.ndarray and value.ndim:
            raise TypeError(f"an array of NumPy met one of the GPU {where} (CuPy: Unsupported type numpy.ndarray)")
