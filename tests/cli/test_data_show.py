"""`netforge data show`, as people type it: queries, answers of a net, duplicates."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from netforge.cli import cli
from netforge.cli.test_many import CSV_COLUMNS
from netforge.data import ArraySource, ImageDatabase
from netforge.data.sheets.results import COLUMNS
from netforge.data.sheets.sheet import BOX_COLOURS
from tests.data.helpers import array_source, datum, fill_database, write_lmdb

HEAD = ",".join(COLUMNS)


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill_database(source=array_source(12, (3, 6, 5), classes=3))


def show(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["data", "show", *arguments, "--out", "sheet.png"])
    assert result.exit_code == code, result.output
    return result.output


def size() -> tuple[int, int]:
    with Image.open("sheet.png") as picture:
        return picture.size


def test_a_query_chooses_the_images() -> None:
    assert show("tiny.training").startswith("sheet.png: ")
    _, height = size()
    show("tiny.training", "--where", "class = one", "--ids", "--tile", "30")
    assert size()[1] < height
    assert "no image in use meets the query" in show("tiny.training", "--where", "label = 9", code=1)
    assert 'no class is named "on"' in show("tiny.training", "--where", "class = on", code=1)


def test_boxes_go_with_the_images_that_a_query_means() -> None:
    with sqlite3.connect(ImageDatabase().path) as connection:
        connection.execute("INSERT INTO boxes VALUES (1, 7, 0, 1, 0, 0, 1, 1, 0)")
    connection.close()
    shown = []
    for query in ("id = 7", "id in 4,7", "id = 4"):
        show("tiny.training", "--where", query)
        with Image.open("sheet.png") as picture:
            columns = np.nonzero((np.asarray(picture) == BOX_COLOURS[1]).all(2))[1]
        shown.append((int(columns.min()), int(columns.max())) if len(columns) else None)
    assert shown[0] is not None and shown[1] is not None and shown[2] is None
    assert shown[1][0] > shown[0][1]  # on the second tile of its row


def test_answers_of_a_net() -> None:
    assert set(COLUMNS) <= set(CSV_COLUMNS)
    lines = [f"tiny.training,{k},{k % 3},{k % 3},{k // 2 % 3},{int(k % 3 == k // 2 % 3)},0.5,{k}" for k in range(12)]
    Path("r.csv").write_text("\n".join([HEAD, *lines]))
    heights = []
    for options in ([], ["--confused", "2"], ["--worst", "5"], ["--worst", "5", "--where", "label = 1"]):
        assert show("tiny.training", "--results", "r.csv", *options) == f"sheet.png: {size()[0]} x {size()[1]} pixels\n"
        heights.append(size()[1])
    assert heights[0] > heights[1] > heights[2] == heights[3]
    query = ("--results", "r.csv", "--where", "label = 9")
    assert "no image in use meets the query 'label = 9'" in show("tiny.training", *query, code=1)
    Path("r.csv").write_text("\n".join([HEAD, "tiny.training,0,2,2,1,0,0.5,1"]))
    assert "note: 1 image had another label when r.csv was written" in show("tiny.training", "--results", "r.csv")
    assert 'it has no image of "digits.testing"' in show("digits.testing", "--results", "r.csv", code=1)


def test_answers_of_a_net_to_an_lmdb_cannot_be_asked() -> None:
    folder = str(write_lmdb(Path("lmdb"), {b"0": datum(array_source(1).images[0], 1)}))
    Path("r.csv").write_text(f"{HEAD}\n{folder},0,1,1,2,0,0.5,1")
    show(folder, "--results", "r.csv")
    found = show(folder, "--results", "r.csv", "--where", "label = 1", code=1)
    assert "only sources of the image database can be asked by a query" in found


def test_duplicates_within_a_source_and_across_two() -> None:
    pixels = array_source(12, (3, 6, 5)).images[:].copy()
    pixels[7] = pixels[2]
    fill_database("other", ArraySource("other", pixels, [0] * 7 + [1] * 5, mean=pixels.mean(0).astype(np.float32)))
    assert show("tiny.training", "--duplicates").splitlines() == [
        "the same pixels: 0 groups of 0 images, 0 with different labels",
        "nearly the same pixels: 0 groups of 0 images, 0 with different labels",
        "there is nothing to draw: sheet.png was not written",
    ]
    assert not Path("sheet.png").exists()
    lines = show("other", "--duplicates", "--near", "0").splitlines()
    assert lines[0] == "the same pixels: 1 group of 2 images, 1 with different labels"
    assert lines[2] == "different labels: other #2 zero, other #7 one"
    lines = show("other", "--duplicates", "--against", "tiny.training", "--limit", "4").splitlines()
    assert lines[0].startswith("the same pixels: 11 groups of 23 images, ")
    assert lines[-2] == "the first 4 groups are drawn; --limit draws more"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--worst", "3"], "need --results"),
        (["--results", "r.csv", "--worst", "3", "--confused", "2"], "two sheets"),
        (["--results", "r.csv", "--duplicates"], "two sheets"),
        (["--against", "other"], "--against needs --duplicates"),
        (["--near", "3"], "--near needs --duplicates"),
        (["--limit", "3"], "--limit needs --duplicates"),
        (["--duplicates", "--against", "tiny.training"], "takes another source"),
    ],
)
def test_options_without_effect_are_refused(options: list[str], found: str) -> None:
    Path("r.csv").write_text(HEAD)
    assert found in show("tiny.training", *options, code=2)
