"""Arrays that count as a GPU's."""

from __future__ import annotations

import traceback
from typing import Any, NamedTuple

import numpy as np

from fakecupy.capture import POISON, counts, recording, refuse_in_capture, submit, taken
from fakecupy.copying import copy_from_host


def note_host_read() -> None:
    """Note a transfer of values to the host, with the line of netforge behind it."""
    refuse_in_capture("a transfer to the host")
    frames = [frame for frame in traceback.extract_stack() if "/netforge/" in frame.filename]
    where = [f for f in frames if "/device/" not in f.filename] or frames
    last = where[-1] if where else None
    counts.host_reads.append(f"{last.filename.partition('/netforge/')[2]}: {last.line}" if last else "test")


class Pointer(NamedTuple):
    """What `data` of an array is in CuPy: device memory by its address."""

    ptr: int


class ndarray(np.ndarray):
    """An array of the GPU."""

    @property
    def data(self) -> Pointer:
        return Pointer(self.ctypes.data)

    def get(self, stream: Any = None) -> np.ndarray:
        note_host_read()
        return np.array(host(self))

    def set(self, array: Any, stream: Any) -> None:
        copy_from_host(array, host(self), stream)

    def item(self, *index: Any) -> Any:
        note_host_read()
        return host(self).item(*index)

    def tolist(self) -> Any:
        note_host_read()
        return host(self).tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        note_host_read()
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
        return computed("take", _take, self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        _refuse(index if isinstance(index, tuple) else (index,), "as an index")
        _refuse((value,), "as a value")
        if isinstance(value, tuple | list):
            raise TypeError("CuPy assigns arrays and numbers, not sequences")
        submit("assign", _assign, self, index, value)

    def fill(self, value: Any) -> None:
        submit("fill", _assign, self, ..., value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: tuple[Any, ...] = (), **options: Any) -> Any:
        _refuse((*inputs, *out), f"in {ufunc.__name__}")
        return computed(ufunc.__name__, getattr(ufunc, method), *inputs, out=out, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} called with an array of the GPU")


def _method(name: str) -> Any:
    """A method of NumPy's arrays whose result is an array of the GPU, a single number too, as in CuPy."""

    def call(self: ndarray, *args: Any, **options: Any) -> Any:
        _refuse((*args, *options.values()), f"in {name}")
        return computed(name, getattr(np.ndarray, name), self, *args, **options)

    return call


for _name in ("sum", "mean", "max", "min", "any", "all", "copy", "astype", "reshape", "ravel", "swapaxes", "transpose"):
    setattr(ndarray, _name, _method(_name))


def host(array: np.ndarray) -> np.ndarray:
    """The same memory as NumPy's array."""
    return np.ndarray.view(array, np.ndarray)


def device(result: Any) -> ndarray:
    """The same memory as an array of the GPU; numbers become arrays without axes."""
    return np.ndarray.view(np.asarray(result), ndarray)


def computed(name: str, function: Any, *args: Any, out: Any = (), **options: Any) -> Any:
    """What a function of NumPy makes of arrays of the GPU: in `out`, or else a view or a new array of the GPU."""
    out = out if isinstance(out, tuple) else (out,)
    if out:
        submit(name, _into, function, out[0], args, options)
        return out[0]
    with np.errstate(all="ignore"):
        result = np.asarray(_call(function, args, options))
    if any(np.may_share_memory(result, host(arg)) for arg in args if isinstance(arg, ndarray)):
        return device(result)
    result = taken(result)
    if recording() is None:
        counts.launches.append(name)
    else:
        poison(result)
        submit(name, _into, function, device(result), args, options)
    return device(result)


def _call(function: Any, args: Any, options: Any) -> Any:
    return function(*map(_plain, args), **{key: _plain(value) for key, value in options.items()})


def _into(function: Any, out: ndarray, args: Any, options: Any) -> None:
    host(out)[...] = _call(function, args, options)


def _take(array: np.ndarray, index: Any) -> np.ndarray:
    return array[index]


def _assign(array: ndarray, index: Any, value: Any) -> None:
    host(array)[_plain(index)] = _plain(value)


def poison(array: np.ndarray) -> None:
    """Fill memory whose contents are undefined."""
    array[...] = np.full(array.nbytes, POISON, np.uint8).view(array.dtype).reshape(array.shape)


def _plain(value: Any) -> Any:
    if isinstance(value, ndarray):
        return host(value)
    return tuple(map(_plain, value)) if type(value) is tuple else value


def _refuse(values: Any, where: str) -> None:
    for value in values:
        if type(value) is np.ndarray and value.ndim:
            raise TypeError(f"an array of NumPy met one of the GPU {where} (CuPy: Unsupported type numpy.ndarray)")
