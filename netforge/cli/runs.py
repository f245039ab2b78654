"""Opening runs for the commands that look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from netforge.inspect.run import Run


def open_run(text: str) -> Run:
    """The run that `text` means, with the plugins imported that it was begun with; notes say which, and which fail."""
    from netforge.errors import PluginError
    from netforge.inspect.run_plugins import import_plugins
    from netforge.inspect.runs import load_run

    run = load_run(text)
    try:
        for module, file in import_plugins(run).items():
            click.echo(f'note: plugin "{module}" of {run.name} was imported from {file}', err=True)
    except PluginError as error:
        click.echo(f"note: of {run.name}: {error}", err=True)
    return run
