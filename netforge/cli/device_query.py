"""`netforge device-query`: what computes here."""

from __future__ import annotations

import click

from netforge.cli.options import (
    CaffeCommand,
    arithmetic,
    device_name,
    device_options,
    make_device,
)
from netforge.device.base import Device
from netforge.errors import DeviceError


@click.command("device-query", cls=CaffeCommand)
@device_options
def device_query(device: str | None, gpu: str | None) -> None:
    """Show what computes here: processor, threads, libraries, and the GPU or why there is none.

    A GPU has to compile a kernel, run it and multiply two matrices first. One line says how it computes:
    "deterministic algorithms, full float32 products", unless --no-deterministic or --allow-tf32 is given, here as in
    train, test and time.
    """
    from netforge.device import get_device

    if device_name(device, gpu) != "auto":
        _show(make_device(device, gpu))
        return
    _show(get_device("cpu"))
    try:
        _show(get_device("cuda:0", **arithmetic()))
    except DeviceError as error:
        click.echo(f"cuda: {error}")


def _show(device: Device) -> None:
    """Say what a device is, then let it compute something; raises DeviceError where it cannot."""
    for line in device.describe():
        click.echo(line)
    device.check()
