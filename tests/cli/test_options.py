"""Caffe's spellings of options."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from netforge.cli import cli
from netforge.cli.options import CaffeCommand, arithmetic_options, arithmetic_words, device_name, split_commas
from tests.cli.files import leaves


@click.command(cls=CaffeCommand, context_settings={"token_normalize_func": lambda name: name.replace("_", "-")})
@click.option("--solver")
@click.option("--level", type=int)
@click.option("--sigint-effect", type=click.Choice(["stop", "none"]))
@click.option("--stage", multiple=True)
@click.option("-q", is_flag=True)
@click.argument("rest", nargs=-1)
def echo(solver: str, level: int, sigint_effect: str, stage: tuple[str, ...], q: bool, rest: list[str]) -> None:
    click.echo(f"{solver} {level} {sigint_effect} {split_commas(stage)} {q} {rest}")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--solver x", "x None None () False ()"),
        ("-solver x", "x None None () False ()"),
        ("-solver=x", "x None None () False ()"),
        ("--solver=x", "x None None () False ()"),
        ("-level -1", "None -1 None () False ()"),
        ("--sigint_effect=none", "None None none () False ()"),
        ("-sigint_effect stop", "None None stop () False ()"),
        ("-stage a,b --stage c", "None None None ('a', 'b', 'c') False ()"),
        ("-q file", "None None None () True ('file',)"),
    ],
)
def test_spellings(arguments: str, expected: str) -> None:
    result = CliRunner().invoke(echo, arguments.split())
    assert result.output == expected + "\n"


@pytest.mark.parametrize(
    ("device", "gpu", "expected"), [(None, None, "auto"), ("cpu", None, "cpu"), (None, "0", "cuda:0")]
)
def test_device_name(device: str | None, gpu: str | None, expected: str) -> None:
    assert device_name(device, gpu) == expected


@pytest.mark.parametrize(("device", "gpu"), [("cpu", "0"), (None, "all"), (None, "0,1")])
def test_device_contradictions(device: str | None, gpu: str) -> None:
    with pytest.raises(click.UsageError, match="--gpu"):
        device_name(device, gpu)


def test_an_option_takes_the_same_in_all_commands() -> None:
    found: dict[str, set[str]] = {}
    for _, command in leaves(cli):
        for option in (one for one in command.params if isinstance(one, click.Option)):
            values = "|".join(option.type.choices) if isinstance(option.type, click.Choice) else option.metavar
            found.setdefault(option.opts[-1], set()).add(values or option.type.name)
    assert {name: values for name, values in found.items() if len(values) > 1} == {
        "--index": {"N", "LIST"},  # one image, or those to edit
        "--name": {"CLASS", "text"},  # of what is made: a class, a source
        "--run": {"NAME", "RUN"},  # as the database knows it, or where its files are
        "--threshold": {"X", "auto|X", "auto|none|X"},  # nothing is calibrated, nothing by default, or both
        "--to": {"LABEL", "N"},  # the new value: a label, a boost
    }


def test_weights_and_snapshot_exclude_each_other() -> None:
    result = CliRunner().invoke(cli, ["train", "-solver=a", "--weights=b", "--snapshot=c"])
    assert result.exit_code == 2
    assert "--weights" in result.stderr and "--snapshot" in result.stderr


@pytest.mark.parametrize(
    ("option", "wish"), [("--allow-tf32", "TF32"), ("--no-deterministic", "algorithms that are not deterministic")]
)
@pytest.mark.parametrize(
    "command", [["device-query"], ["time", "net.prototxt"], ["test", "--model=net.prototxt", "--weights=w"]]
)
def test_what_only_a_gpu_can_do_is_refused_on_the_cpu(command: list[str], option: str, wish: str) -> None:
    result = CliRunner().invoke(cli, [*command, "--device", "cpu", option])
    assert result.exit_code == 1
    assert f"{wish} cannot be had: the device is the CPU" in result.stderr and "--device cuda:0" in result.stderr


def test_training_on_the_cpu_that_the_solver_asks_for_refuses_too(tmp_path: Path) -> None:
    (tmp_path / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 1 lr_policy: "fixed" max_iter: 1 solver_mode: CPU'
    )
    result = CliRunner().invoke(cli, ["train", "--solver", str(tmp_path / "solver.prototxt"), "--allow-tf32"])
    assert result.exit_code == 1 and "TF32 cannot be had: the device is the CPU" in result.stderr
    result = CliRunner().invoke(cli, ["train", "--solver", str(tmp_path / "solver.prototxt"), "--deterministic"])
    assert "net.prototxt" in result.stderr  # a CPU is: it goes on to the net, which is missing


def test_going_on_needs_the_same_arithmetic() -> None:
    @click.command()
    @arithmetic_options
    def words() -> None:
        click.echo(" ".join(arithmetic_words()))

    for given in ("", "--allow-tf32", "--no-deterministic", "--allow-tf32 --no-deterministic"):
        assert CliRunner().invoke(words, given.split()).output == given + "\n"


@pytest.mark.parametrize("words", [["--quiet", "--verbose"], ["--verbose", "--quiet"]])
def test_quiet_and_verbose_contradict_each_other(words: list[str]) -> None:
    result = CliRunner().invoke(cli, ["check", "net.prototxt", *words])
    assert result.exit_code == 2
    assert "--quiet and --verbose: give one of them" in result.stderr
