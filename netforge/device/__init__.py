"""Devices: where arrays live and operations run."""

from __future__ import annotations

import logging
import re
from functools import cache

from netforge.device.base import Device
from netforge.errors import DeviceError, did_you_mean

__all__ = ["Device", "get_device"]

DEVICE_NAMES = ("auto", "cpu", "cuda:0")

logger = logging.getLogger("netforge")


def get_device(name: str = "auto", *, allow_tf32: bool = False, deterministic: bool = True) -> Device:
    """The device called "cpu", "cuda:N" (also "cuda", the first one) or "auto"; one object for each.

    auto: the first GPU where one works, else the CPU. allow_tf32, deterministic: how a GPU computes (`CudaDevice`).
    Raises DeviceError where the name is unknown or the device is not there.
    """
    if name == "auto":
        return _best(allow_tf32, deterministic)
    if name == "cpu":
        return _cpu()
    if match := re.fullmatch(r"cuda(?::(\d+))?", name):
        return _cuda(int(match[1] or 0), allow_tf32, deterministic)
    raise DeviceError(f'unknown device "{name}"', mend=did_you_mean(name, DEVICE_NAMES))


@cache
def _best(allow_tf32: bool, deterministic: bool) -> Device:
    from netforge.device.probe import probe

    if not probe().gpus:
        return _cpu()
    try:
        device = _cuda(0, allow_tf32, deterministic)
        device.check()
    except DeviceError as error:
        logger.warning("using the CPU: %s", error)
        return _cpu()
    return device


@cache
def _cpu() -> Device:
    from netforge.device.cpu import CpuDevice

    return CpuDevice()


@cache
def _cuda(index: int, allow_tf32: bool, deterministic: bool) -> Device:
    from netforge.device.cuda import CudaDevice

    return CudaDevice(index, allow_tf32=allow_tf32, deterministic=deterministic)
