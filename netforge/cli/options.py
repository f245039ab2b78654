"""Options that several commands share, in netforge's and in Caffe's spellings."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from netforge.device import Device

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


class FiniteRange(click.FloatRange):
    """A number within bounds; neither NaN, which is in every range, nor infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that `value` spells."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number


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


def seed_option(text: str, default: int | None = 0, *, most: int = 2**63 - 1) -> Callable[[F], F]:
    """--seed, of everything random; text: its help. None as `default` leaves it to chance, or to a file."""
    return click.option(
        "--seed",
        type=click.IntRange(0, most),
        metavar="N",
        default=default,
        show_default=default is not None,
        help=text,
    )


def device_options(command: F) -> F:
    """--device, --gpu and `arithmetic_options`: give the first two to `make_device`."""
    command = click.option("--gpu", metavar="N", help="The same as --device cuda:N.")(arithmetic_options(command))
    return click.option(
        "--device",
        metavar="cpu|cuda:N|auto",
        help="Where to compute; by default the best there is (train: what solver_mode says).",
    )(command)


def arithmetic_options(command: F) -> F:
    """--deterministic and --allow-tf32; `make_device` obeys them, and `arithmetic_words` repeats them."""
    command = click.option(
        "--allow-tf32",
        is_flag=True,
        expose_value=False,
        callback=_note,
        help="GPU: round float32 to TF32 (10 bits of mantissa) in products; faster. An error on the CPU.",
    )(command)
    return click.option(
        "--deterministic/--no-deterministic",
        default=True,
        expose_value=False,
        callback=_note,
        help="GPU: the same bits in every run (the default), or whatever measures fastest. A CPU is deterministic.",
    )(command)


def arithmetic_words() -> tuple[str, ...]:
    """What was given of `arithmetic_options`, as words of a command line."""
    given = arithmetic()
    words = ("--allow-tf32", given["allow_tf32"]), ("--no-deterministic", not given["deterministic"])
    return tuple(word for word, wanted in words if wanted)


def arithmetic() -> dict[str, bool]:
    """The values of `arithmetic_options`, as `get_device` takes them."""
    meta = click.get_current_context().meta
    return {name: bool(meta[f"netforge.{name}"]) for name in ("allow_tf32", "deterministic")}


def make_device(device: str | None, gpu: str | None) -> Device:
    """The device that --device, --gpu and `arithmetic_options` ask for; raises DeviceError where it is not there."""
    from netforge.device import get_device

    return get_device(device_name(device, gpu), **arithmetic())


def _note(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    ctx.meta[f"netforge.{param.name}"] = value
    if all(ctx.meta.get(f"netforge.{name}") for name in ("quiet", "verbose")):
        raise click.UsageError("--quiet and --verbose: give one of them.", ctx)
    return value


def output_options(command: F) -> F:
    """--quiet and --verbose; ask `is_quiet` and `is_verbose`."""
    return verbose_option(_flag("quiet", "Print errors and the final result only.")(command))


def verbose_option(command: F) -> F:
    """--verbose alone, for commands whose whole output is the result."""
    return _flag(
        "verbose", "Show more: each display or batch on a terminal, every layer of weights, where an error arose."
    )(command)


def _flag(name: str, text: str) -> Callable[[F], F]:
    return click.option(f"--{name}", is_flag=True, expose_value=False, is_eager=True, callback=_note, help=text)


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
