"""Options that several commands share, in netforge's and in Caffe's spellings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class CaffeCommand(click.Command):
    """A command that also takes Caffe's single-dash spellings: `-solver x` and `-solver=x` mean `--solver x`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Double the dash of every argument that is one of this command's long options with a single dash."""
        known = {name.lstrip("-") for param in self.get_params(ctx) for name in param.opts if name.startswith("--")}

        def doubled(arg: str) -> str:
            name = arg[1:].partition("=")[0].replace("_", "-")
            return "-" + arg if len(name) > 1 and arg[:1] == "-" and name in known else arg

        return super().parse_args(ctx, [doubled(arg) for arg in args])


def split_commas(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The values of an option that may be repeated and may hold several with commas between, one by one."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def device_name(device: str | None, gpu: str | None) -> str:
    """The device that --device and --gpu ask for together: "cpu", "auto" (neither is given) or "cuda:N"."""
    if gpu is None:
        return device or "auto"
    if device is not None:
        raise click.UsageError("--device and --gpu contradict each other: give one of them.")
    if not gpu.isdigit():
        raise click.UsageError(f'--gpu "{gpu}": netforge computes on one GPU; give its number, for example --gpu 0.')
    return f"cuda:{gpu}"


def load_plugins(modules: tuple[str, ...]) -> None:
    """Import the modules of --plugin; a module may lie in the current folder."""
    from netforge.registry import load_plugin

    for module in modules:
        load_plugin(module, beside=Path.cwd())


def device_options(command: F) -> F:
    """--device and --gpu."""
    command = click.option("--gpu", metavar="N", help="The same as --device cuda:N.")(command)
    return click.option(
        "--device",
        metavar="cpu|cuda:N|auto",
        help="Where to compute; by default the best there is (train: what solver_mode says).",
    )(command)


def _note_verbosity(ctx: click.Context, param: click.Parameter, wanted: bool) -> bool:
    ctx.meta[f"netforge.{param.name}"] = wanted
    return wanted


def output_options(command: F) -> F:
    """--quiet and --verbose; ask `is_quiet` and `is_verbose`."""
    for name, text in (
        ("quiet", "Print errors and the final result only."),
        ("verbose", "Show every layer of files of weights, and where in a plugin an error arose."),
    ):
        command = click.option(
            f"--{name}", is_flag=True, expose_value=False, is_eager=True, callback=_note_verbosity, help=text
        )(command)
    return command


def is_quiet() -> bool:
    """Whether --quiet was given."""
    return bool(click.get_current_context().meta.get("netforge.quiet"))


def is_verbose() -> bool:
    """Whether --verbose was given."""
    return bool(click.get_current_context().meta.get("netforge.verbose"))


def plugin_option(command: F) -> F:
    """--plugin."""
    return click.option(
        "--plugin", "plugins", multiple=True, metavar="MODULE", help="Import a module with layers of yours."
    )(command)


def state_options(phase: str | None) -> Callable[[F], F]:
    """--level and --stage, and --phase with its default where `phase` is given."""

    def decorate(command: F) -> F:
        command = click.option(
            "--stage",
            "stages",
            multiple=True,
            metavar="A,B",
            help="Stages, for include and exclude.",
        )(command)
        command = click.option(
            "--level",
            type=int,
            metavar="N",
            default=None if phase is None else 0,
            help="Level, for include and exclude.",
        )(command)
        if phase is None:
            return command
        return click.option(
            "--phase",
            type=click.Choice(["TRAIN", "TEST", "RUN"], case_sensitive=False),
            default=phase,
            show_default=True,
            metavar="TRAIN|TEST|RUN",
            help="Which layers take part.",
        )(command)

    return decorate
