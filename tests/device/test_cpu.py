"""Finding a device, its arrays, and the signatures that all sets of operations share."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from netforge.device import get_device
from netforge.device.cpu import CpuOps
from netforge.device.operations import Ops
from netforge.errors import DeviceError


def operations(cls: type) -> dict[str, str]:
    """Public methods and their signatures as text."""
    return {
        name: str(inspect.signature(method, eval_str=False))
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def test_cpu_operations_have_the_signatures_of_the_reference():
    assert operations(CpuOps) == operations(Ops)


def test_devices_are_found_by_name():
    assert get_device("cpu") is get_device("cpu") is get_device("auto")
    assert get_device("cpu").name == "cpu"


@pytest.mark.parametrize(
    ("name", "words"),
    [("cpuu", 'did you mean "cpu"'), ("gpu", "unknown device"), ("", "unknown")],
)
def test_other_names_are_refused(name, words):
    with pytest.raises(DeviceError, match=f"(?i){words}"):
        get_device(name)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3, 4)])
def test_arrays_are_zero_and_aligned(shape):
    array = get_device("cpu").zeros(shape, np.float32)
    assert array.shape == shape and array.dtype == np.float32 and not array.any()
    assert array.flags.c_contiguous and array.flags.writeable
    assert not array.size or array.ctypes.data % 64 == 0


def test_copies_to_and_from_the_host():
    cpu, array = get_device("cpu"), np.arange(3)
    copy = cpu.from_host(array)
    assert copy is not array and copy.tolist() == [0, 1, 2]
    assert cpu.to_host(array) is array
    cpu.synchronize()


def test_too_large_an_array_is_a_device_error():
    with pytest.raises(DeviceError, match="no memory"):
        get_device("cpu").zeros((1 << 60,), np.float32)


def test_describe_names_numpy_and_threads():
    (line,) = get_device("cpu").describe()
    assert line.startswith("cpu: ") and np.__version__ in line and "thread" in line
