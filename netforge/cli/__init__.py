"""The command line: `netforge COMMAND ...`.

This module knows the commands by name and one line of help, and imports a command's module only when it runs: that
keeps `netforge --help` quick. Errors end here too: what the user can mend becomes one clear message, see `errors`.
"""

from __future__ import annotations

import importlib
import io
import sys
import warnings
from typing import Any, NoReturn

import click

from netforge.errors import did_you_mean

COMMANDS = {
    "train": ("netforge.cli.train", "Train a net, go on with a stopped run, or fine-tune from weights."),
    "test": ("netforge.cli.test", "Measure a net with its weights: losses and accuracies."),
    "test-many": ("netforge.cli.test_many", "Recognise many images: accuracy of each class, confusions."),
    "predict": ("netforge.cli.predict", "Say what is on images, or that it is unknown."),
    "calibrate": ("netforge.cli.calibrate", "Find from which distance on an image is unknown."),
    "enroll": ("netforge.cli.enroll", "Add a class by a few images, without training."),
    "evaluate": ("netforge.cli.evaluate", "Measure embeddings: verification, retrieval, few-shot episodes."),
    "inspect": ("netforge.cli.inspect", "Look into a net: embeddings, weights, activations, gradients, mistakes."),
    "report": ("netforge.cli.report", "Show everything about a run as one HTML page."),
    "monitor": ("netforge.cli.monitor", "Show a run in the browser while it trains."),
    "compare": ("netforge.cli.compare", "Put runs side by side: scores, curves, settings that differ."),
    "check": ("netforge.cli.check", "Say whether prototxt files are right, or what is wrong where."),
    "summary": ("netforge.cli.summary", "Show layers, shapes, weights, memory and multiply-adds."),
    "draw": ("netforge.cli.draw", "Draw a net as a diagram: SVG, PNG, or a page to click on."),
    "time": ("netforge.cli.time", "Measure forward and backward of each layer in milliseconds."),
    "layers": ("netforge.cli.layers", "List the layer types, or explain one of them."),
    "data": ("netforge.cli.data", "Import, copy, list and look at image data."),
    "device-query": ("netforge.cli.device_query", "Show what computes here."),
}


class LazyGroup(click.Group):
    """A group of commands whose modules are imported when called; each module names its command like itself.

    Errors that a user can mend leave it as one message and exit status 1, bugs with a traceback and status 70.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command; None where there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module = COMMANDS[cmd_name][0]
        command = getattr(importlib.import_module(module), module.rpartition(".")[2])
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with; an unknown one is answered with the closest."""
        if args[0].replace("_", "-") not in COMMANDS and not args[0].startswith("-"):
            mend = did_you_mean(args[0], COMMANDS) or "netforge --help lists all."
            raise click.UsageError(f'No such command "{args[0]}": {mend}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what it raises into a message and an exit status."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            stop(ctx)
        except Exception as error:
            if isinstance(error.__cause__, KeyboardInterrupt):  # Ctrl-C while Python made a class of a module
                stop(ctx)
            from netforge.cli.errors import show_error

            ctx.exit(show_error(error))


def stop(ctx: click.Context) -> NoReturn:
    """End after Ctrl-C, with the status that shells give it."""
    click.echo("Stopped.", err=True)
    ctx.exit(130)


def print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    """Callback of --version."""
    if wanted and not ctx.resilient_parsing:
        from netforge import __version__

        click.echo(f"netforge {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: name.replace("_", "-"),
        "max_content_width": 100,
    },
    epilog="`netforge COMMAND --help` explains a command. Caffe's spellings work too: -solver=x, --sigint_effect stop.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Nets and solvers as prototxt files, trained, tested and looked into.

    Start with: netforge train --solver solvers/siamese_digits.prototxt
    """


def main() -> None:
    """Entry point of the `netforge` program."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever the encoding lacks
    cli(prog_name="netforge")
