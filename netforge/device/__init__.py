"""Devices: where arrays live and operations run."""

from __future__ import annotations

import re
from functools import cache

from netforge.device.base import Device
from netforge.errors import DeviceError, did_you_mean

__all__ = ["Device", "get_device"]

DEVICE_NAMES = ("auto", "cpu", "cuda:0")


@cache
def get_device(name: str = "auto") -> Device:
    """The device called "cpu", "cuda:N" or "auto" (the best one there is); one object per name.

    Raises DeviceError where the name is unknown or the device is not there.
    """
    if name in ("cpu", "auto"):
        from netforge.device.cpu import CpuDevice

        return get_device("cpu") if name == "auto" else CpuDevice()
    if re.fullmatch(r"cuda(:\d+)?", name):
        raise DeviceError(f'device "{name}" is not supported by this version', mend='use device "cpu"')
    raise DeviceError(f'unknown device "{name}"', mend=did_you_mean(name, DEVICE_NAMES))
