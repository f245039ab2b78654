"""The CPU: NumPy arrays, and operations cut into pieces that all processors share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.base import Device, host_zeros
from netforge.device.cpu_channels import CpuChannels
from netforge.device.cpu_convolution import CpuConvolution
from netforge.device.cpu_linear import CpuLinear
from netforge.device.cpu_pooling import CpuPooling
from netforge.device.operations import Ops
from netforge.device.workers import Workers
from netforge.errors import DeviceError


class CpuOps(CpuConvolution, CpuPooling, CpuLinear, CpuChannels, Ops):
    """The operations on a CPU: the reference bodies, and faster ones for those that take most of the time."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers


class CpuDevice(Device):
    """The host's memory and processors."""

    def __init__(self) -> None:
        self.name = "cpu"
        self.xp = np
        self.workers = Workers()
        self.ops = CpuOps(self.workers)

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A new array of zeros, aligned for vector units; raises DeviceError where memory runs out."""
        try:
            return host_zeros(shape, dtype)
        except MemoryError as error:
            raise DeviceError(
                f"no memory for an array of shape {shape}", mend="make the batch or the images smaller"
            ) from error

    def from_host(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy of a NumPy array."""
        return np.array(array)

    def to_host(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The same array: the host is the device."""
        return array

    def describe(self) -> list[str]:
        """What runs on this device, one line each."""
        threads = f"{self.workers.size} thread{'s' if self.workers.size > 1 else ''}"
        return [f"cpu: NumPy {np.__version__}, {self.workers.blas.describe()}, {threads}"]
