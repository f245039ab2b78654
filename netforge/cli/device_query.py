"""`netforge device-query`: what computes here."""

from __future__ import annotations

import click

from netforge.cli.options import CaffeCommand, device_name, device_options, output_options
from netforge.errors import DeviceError


@click.command("device-query", cls=CaffeCommand)
@device_options
@output_options
def device_query(device: str | None, gpu: str | None) -> None:
    """Show what computes here: processor, threads, libraries, and the GPU or why there is none."""
    from netforge.device import get_device

    asked = device_name(device, gpu)
    if asked != "auto":
        lines = get_device(asked).describe()
    else:
        lines = get_device("cpu").describe()
        try:
            lines += get_device("cuda:0").describe()
        except DeviceError as error:
            lines.append(f"cuda: {error}")
    for line in lines:
        click.echo(line)
