"""The options of commands that are given a net, and building it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import click

from netforge.cli.files import net_of
from netforge.cli.options import load_plugins, plugin_option, split_commas, state_options

if TYPE_CHECKING:
    from netforge.net import Net


@dataclass(frozen=True)
class ChosenNet:
    """What `net_options` give a command: the file of a net, and what decides which of its layers take part."""

    model: str
    phase: str
    level: int
    stages: tuple[str, ...]
    plugins: tuple[str, ...]

    def build(self, **options: Any) -> Net:
        """Import the plugins and build the net; options: those of `Net` beside."""
        from netforge.net import Net

        load_plugins(self.plugins)
        return Net(net_of(self.model, self.phase), self.phase, self.level, split_commas(self.stages), **options)

    def plan(self, **options: Any) -> Net:
        """The net with shapes only: nothing can run, and no data is read beyond the headers of its sources."""
        return self.build(plan_only=True, **options)


def net_options(phase: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """NET (or --model), --phase with this default, --level, --stage and --plugin; the command gets them as `chosen`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*arguments: Any, net_file: str | None, model: str | None, **options: Any) -> None:
            if net_file and model:
                raise click.UsageError("NET and --model are the same: give one of them.")
            given = {field.name: options.pop(field.name) for field in fields(ChosenNet) if field.name != "model"}
            if not (net_file or model):
                name = click.get_current_context().info_name
                raise click.UsageError(f"which net? For example: netforge {name} models/lenet_mnist/train_val.prototxt")
            command(*arguments, chosen=ChosenNet(model=str(net_file or model), **given), **options)

        run = state_options(phase)(plugin_option(run))
        run = click.option("--model", metavar="NET", help="The same as the argument.")(run)
        return click.argument("net_file", required=False, metavar="[NET]")(run)

    return decorate
