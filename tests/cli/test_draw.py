"""`netforge draw`, as people type it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from netforge.cli import cli


def draw(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(cli, ["draw", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_the_ending_says_what_is_written(folder: Path) -> None:
    assert draw("net.prototxt", "-o", "net.svg") == "net.svg: 4 layers, phase TRAIN\n"
    assert Path("net.svg").read_text(encoding="utf-8").startswith("<svg ")
    draw("net.prototxt", "-o", "net.HTML", "--quiet")
    assert Path("net.HTML").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "pixels" in draw("net.prototxt", "-o", "net.png", "--scale=1", "--dark")
    with Image.open("net.png") as down:
        draw("net.prototxt", "-o", "right.png", "--scale=1", "--direction=right")
        with Image.open("right.png") as right:
            assert down.height > down.width and right.width > right.height


def test_an_unknown_ending_names_the_known_ones(folder: Path) -> None:
    text = draw("net.prototxt", "-o", "net.pdf", status=2)
    assert '"net.pdf" ends in none of .svg, .png, .html' in text


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_phases_and_solvers(folder: Path, phase: str) -> None:
    draw("--model", "solver.prototxt", "-o", "net.svg", "--phase", phase)
    assert (">Accuracy<" in Path("net.svg").read_text(encoding="utf-8")) == (phase == "TEST")


def test_what_cannot_be_drawn_says_why_and_writes_nothing(folder: Path) -> None:
    text = Path("net.prototxt").read_text(encoding="utf-8")
    Path("net.prototxt").write_text(text.replace("Convolution", "Convolutoin"), encoding="utf-8")
    assert 'unknown layer type "Convolutoin"' in draw("net.prototxt", "-o", "net.svg", status=1)
    assert not Path("net.svg").exists()
    assert "folder does not exist" in draw("net.prototxt", "-o", "missing/net.svg", status=1)
    assert ".html only" in draw("net.prototxt", "-o", "net.svg", "--weights", "solver.prototxt", status=2)
