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

    auto: the first GPU where one works, else the CPU. allow_tf32, deterministic: how a GPU computes (`CudaDevice`); a
    CPU always computes in full precision and gives the same bits every time.
    Raises DeviceError where the name is unknown, the device is not there, or a CPU is asked for TF32 or for algorithms
    that are not deterministic.
    """
    if name == "auto":
        device = _best(allow_tf32, deterministic)
        return device if device.name != "cpu" else _plain_cpu("there is no GPU that works", allow_tf32, deterministic)
    if name == "cpu":
        return _plain_cpu("the device is the CPU", allow_tf32, deterministic)
    if match := re.fullmatch(r"cuda(?::(\d+))?", name):
        return _cuda(int(match[1] or 0), allow_tf32, deterministic)
    raise DeviceError(f'unknown device "{name}"', mend=did_you_mean(name, DEVICE_NAMES))


def _plain_cpu(why: str, allow_tf32: bool, deterministic: bool) -> Device:
    """The CPU; raises DeviceError for what only GPUs can do, so that nobody measures a wish."""
    if allow_tf32 or not deterministic:
        wish = "TF32" if allow_tf32 else "algorithms that are not deterministic"
        raise DeviceError(f"{wish} cannot be had: {why}", mend="leave that out, or give a GPU with --device cuda:0")
    return _cpu()


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
