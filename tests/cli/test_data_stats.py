"""`netforge data stats`, as people type it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from netforge.cli import cli
from netforge.data import ArraySource, ImageDatabase
from netforge.data.formats.mean import read_mean
from netforge.data.labels.label_queries import LabelQueryCounts
from netforge.data.labels.label_query_store import store_label_queries
from tests.data.helpers import array_source, fill_database


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill_database(source=array_source(10, (3, 6, 5), classes=4))


def stats(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["data", "stats", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_facts_and_classes() -> None:
    lines = stats("tiny.training").splitlines()
    facts = dict(line.split(": ") for line in lines if ": " in line)
    assert facts["images"] == "10 in use, 3x6x5 uint8 RGB"
    assert facts["classes"] == "4, from 2 in 2 (20.0%) to 3 in zero (30.0%)"
    assert facts["pixels"].split(" to ")[1] and len(facts["mean"].split()) == 3
    assert [line.split() for line in lines[-5:]] == [
        ["class", "label", "images", "share"],
        ["zero", "0", "3", "30.00%"],
        ["one", "1", "3", "30.00%"],
        ["2", "2", "2", "20.00%"],
        ["3", "3", "2", "20.00%"],
    ]


def test_what_was_changed_has_a_column() -> None:
    with sqlite3.connect(ImageDatabase().path) as connection:
        connection.execute("UPDATE images SET label = 1, auto = 1 WHERE position = 0")
        connection.execute("UPDATE images SET active = 0 WHERE position = 3")
    connection.close()
    text = stats("tiny.training", "--labels-only")
    assert "labels: 1 auto, 1 changed\n" in text and "disabled: 1\n" in text and "pixels" not in text
    assert text.splitlines()[-5].split()[-3:] == ["auto", "changed", "disabled"]
    assert text.splitlines()[-3].split() == ["one", "1", "4", "44.44%", "1", "1", "0"]
    assert stats("tiny.training", "--where", "changed").count("one") == 1


def test_a_run() -> None:
    counts = LabelQueryCounts("tiny.training", np.array([0, 1]), np.array([6, 2]), None, ImageDatabase().path)
    store_label_queries(counts, "lenet.1")
    text = stats("tiny.training", "--run", "lenet.1", "--labels-only")
    assert "runs: lenet.1\n" in text
    assert [line.split()[4:] for line in text.splitlines()[-5:]] == [
        ["drawn", "hit", "epochs"],
        ["6", "75.00", "%", "2.00"],
        ["2", "25.00", "%", "0.67"],
        ["0", "0.00", "%", "0.00"],
        ["0", "0.00", "%", "0.00"],
    ]
    assert 'Did you mean "lenet.1"?' in stats("tiny.training", "--run", "lenet.2", code=1)


def test_files(tmp_path: Path) -> None:
    png, proto, numbers = tmp_path / "m.png", tmp_path / "m.binaryproto", tmp_path / "n.json"
    stats("tiny.training", "--png", png, "--binaryproto", proto, "--json", numbers)
    pixels = array_source(10, (3, 6, 5)).images[:]
    np.testing.assert_allclose(read_mean(proto), pixels.mean(0), rtol=1e-6)
    with Image.open(png) as picture:
        shown = np.asarray(picture)[5::10, 5::10]
    np.testing.assert_array_equal(shown.transpose(2, 0, 1), np.rint(pixels.mean(0)).astype(np.uint8))
    found = json.loads(numbers.read_text())["tiny.training"]
    assert found["images"] == 10 and found["shape"] == [3, 6, 5] and len(found["pixels"]["mean"]) == 3
    assert "one SOURCE" in stats("tiny.training", "tiny.training", "--png", png, code=2)
    assert "its folder does not exist" in stats("tiny.training", "--json", tmp_path / "no" / "x.json", code=1)


def test_duplicates_are_counted() -> None:
    pixels = array_source(6).images[:].copy()
    pixels[4] = pixels[3] = pixels[0]
    fill_database("twice", ArraySource("twice", pixels, [0, 0, 0, 0, 1, 1], mean=pixels.mean(0).astype(np.float32)))
    text = stats("twice", "tiny.training", "--duplicates", "--json", "n.json")
    assert "duplicates: 3 images in 1 group, 1 with different labels\n" in text and "duplicates: none\n" in text
    assert json.loads(Path("n.json").read_text())["twice"]["duplicates"] == [[0, 3, 4]]
    assert "leave out --labels-only" in stats("twice", "--duplicates", "--labels-only", code=2)


def test_of_very_many_classes_the_ends_are_shown() -> None:
    sizes = np.arange(1, 51)
    labels = np.repeat(np.arange(50), sizes)
    fill_database("many", source=array_source(len(labels), (1, 2, 2)))
    with sqlite3.connect(ImageDatabase().path) as connection:
        connection.executemany(
            "UPDATE images SET label = ? WHERE position = ? AND source = (SELECT id FROM sources WHERE name = 'many')",
            [(int(label), k) for k, label in enumerate(labels)],
        )
    connection.close()
    lines = stats("many", "--labels-only").splitlines()
    assert lines[-1].startswith("10 classes of sizes between these are left out")
    shown = [line.split()[0] for line in lines[lines.index(next(x for x in lines if x.startswith("class "))) + 1 : -1]]
    assert shown == ["zero", "one", *map(str, range(2, 20)), *map(str, range(30, 50))]
    assert len(stats("many", "--labels-only", "--all").splitlines()) == len(lines) + 9
