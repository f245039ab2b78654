"""Caffe's spellings of options."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from netforge.cli import cli
from netforge.cli.options import CaffeCommand, device_name, split_commas


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


def test_weights_and_snapshot_exclude_each_other() -> None:
    result = CliRunner().invoke(cli, ["train", "-solver=a", "--weights=b", "--snapshot=c"])
    assert result.exit_code == 2
    assert "--weights" in result.stderr and "--snapshot" in result.stderr
