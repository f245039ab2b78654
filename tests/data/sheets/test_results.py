"""Answers that test-many wrote: read again, and shown from the worst on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netforge.data import ArraySource
from netforge.data.sheets.mistakes import confused_sheet, tiles_of, worst_sheet, wrong_sheet
from netforge.data.sheets.results import COLUMNS, Answer, confused, read_results, worst
from netforge.errors import DataError

LINES = [
    "a,0,7,seven,seven,1,0.25,0.25",
    "a,1,7,seven,one,0,0.5,3.5",
    "a,2,1,one,seven,0,0.125,",
    "b,9,1,one,seven,0,0.25,9",
    "a,4,7,seven,one,0,0.5,4.5",
]


def write(folder: Path, *lines: str, head: str = ",".join(COLUMNS)) -> Path:
    path = folder / "r.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def answers(folder: Path) -> list[Answer]:
    return read_results(write(folder, *LINES), "a", 5)


def source_of() -> ArraySource:
    pixels = (np.arange(6, dtype=np.uint8) * 40)[:, None, None, None] * np.ones((1, 1, 4, 4), np.uint8)
    return ArraySource("a", pixels, [7, 7, 1, 1, 7], rows=np.array([0, 1, 2, 3, 5]))


def test_the_answers_of_one_source(tmp_path: Path) -> None:
    found = answers(tmp_path)
    assert found[0] == Answer(0, 7, "seven", "seven", True, 0.25, 0.25)
    assert found[2].own_distance is None and [answer.image for answer in found] == [0, 1, 2, 4]
    assert [answer.image for answer in worst(found)] == [4, 1, 0]
    assert [answer.image for answer in worst(found, 1)] == [4]
    assert [(pair, [one.image for one in group]) for pair, group in confused(found, 5)] == [
        (("seven", "one"), [4, 1]),
        (("one", "seven"), [2]),
    ]
    assert len(confused(found, 1)) == 1


def test_captions_say_what_was_taken_for_what(tmp_path: Path) -> None:
    tiles = tiles_of(source_of(), answers(tmp_path))
    assert [tile.caption for tile in tiles] == [
        ("seven", "0.25", "#0"),
        ("seven -> one", "0.5, own 3.5", "#1"),
        ("one -> seven", "0.125", "#2"),
        ("seven -> one", "0.5, own 4.5", "#5"),  # number 4 of those in use is at position 5
    ]
    assert [tile.alarm for tile in tiles] == [False, True, True, True]


def test_sheets_show_the_right_pixels(tmp_path: Path) -> None:
    found = answers(tmp_path)

    def levels(sheet: object, line: int) -> list[int]:
        row = np.asarray(sheet)[64 + 147 * line + 40, :, 0]
        return [value for value in row[::1].tolist() if value in (40, 80, 200)][::84]

    assert levels(wrong_sheet(source_of(), found, per_class=9), 0) == [80]
    assert levels(wrong_sheet(source_of(), found, per_class=9), 1) == [200, 40]
    assert levels(confused_sheet(source_of(), found, 1, per_class=1), 0) == [200]
    assert levels(worst_sheet(source_of(), found, 2, columns=1), 1) == [40]


def test_nothing_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all answers are right"):
        wrong_sheet(source_of(), read_results(write(tmp_path, LINES[0]), "a", 5), per_class=3)


@pytest.mark.parametrize(
    ("lines", "head", "found"),
    [
        (LINES, "source,image", r'r\.csv:1: there is no column "label"'),
        (["a,9,7,x,x,1,0.1,0.1"], None, r"r\.csv:2: image 9 is not there, the source has 5 images"),
        (["a,-1,7,x,x,1,0.1,0.1"], None, "image -1 is not there"),
        ([LINES[0], "a,x,7,x,x,1,0.1,0.1"], None, r"r\.csv:3: a number in this line cannot be read"),
        (["a,1"], None, r"r\.csv:2: a number in this line cannot be read"),
        (["b,1,7,x,x,1,0.1,0.1"], None, 'it has no image of "a", but of "b"'),
        ([], None, 'it has no image of "a", but of none'),
    ],
)
def test_files_that_do_not_fit(lines: list[str], head: str | None, found: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=found):
        read_results(write(tmp_path, *lines, head=head or ",".join(COLUMNS)), "a", 5)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "none.csv", tmp_path / "r.csv"):
        with pytest.raises(DataError):
            read_results(path, "a", 5)
