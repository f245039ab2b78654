"""`netforge device-query`: what computes here."""

from __future__ import annotations

import click

from netforge.cli.options import (
    CaffeCommand,
    arithmetic,
    arithmetic_options,
    device_name,
    device_options,
    make_device,
)
from netforge.errors import DeviceError


@click.command("device-query", cls=CaffeCommand)
@device_options
@arithmetic_options
def device_query(device: str | None, gpu: str | None) -> None:
    """Show what computes here: processor, threads, libraries, and the GPU or why there is none.

    For a GPU one line says how it computes: "deterministic algorithms, full float32 products", unless
    --no-deterministic or --allow-tf32 is given, here as in train, test and time.
    """
    from netforge.device import get_device

    asked = device_name(device, gpu)
    if asked != "auto":
        lines = make_device(device, gpu).describe()
    else:
        lines = get_device("cpu").describe()
        try:
            lines += get_device("cuda:0", **arithmetic()).describe()
        except DeviceError as error:
            lines.append(f"cuda: {error}")
    for line in lines:
        click.echo(line)
