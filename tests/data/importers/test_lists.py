"""Lists and tables of pictures: what they may say, which line is at fault, and what must not get in."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netforge.data import Columns, ImageDatabase, PictureForm, import_images, open_source
from netforge.data.importers.lists import LARGEST_LABEL
from netforge.errors import DataError

GREY = PictureForm(channels=1)


def write_pictures(folder: Path, *names: str) -> None:
    """Grey pictures of the values 1, 2, ..."""
    for value, name in enumerate(names, 1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 4), value).save(folder / name)


def write_list(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def imported(source: Path, **options: object):
    """The source "a" made of a list: its values, labels, origins and the rest."""
    with ImageDatabase() as database:
        import_images(database, source, **({"name": "a", "form": GREY, "replace": True} | options))
    return open_source("IMAGEDB", "a")


def values(source) -> list[int]:
    return source.images[:][:, 0, 0, 0].tolist()


def origins() -> list[str | None]:
    with ImageDatabase() as database:
        return database.origins("a")


def test_a_list_is_read_line_by_line(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a/1.png", "a b/2 x.png", "3.png")
    text = "\ufeffa b/2 x.png 7\r\n\n  3.png\t-2 \n./a/1.png   +0\n3.png 7\n\n"
    source = imported(write_list(tmp_path / "list.txt", text))
    assert values(source) == [2, 3, 1, 3]
    assert source.labels.tolist() == [7, -2, 0, 7] and source.class_names == {7: "7", -2: "-2", 0: "0"}
    assert origins() == ["a b/2 x.png", "3.png", "a/1.png", "3.png"]


def test_paths_start_in_the_root(tmp_path: Path) -> None:
    write_pictures(tmp_path / "root", "a/1.png", "a/2.png", "3.png")
    listed = write_list(
        tmp_path / "lists" / "list", f"a\\2.png 1\na/../3.png 1\n{tmp_path / 'root' / 'a' / '1.png'} 0\n"
    )
    assert values(imported(listed, root=tmp_path / "root")) == [2, 3, 1]
    assert origins() == ["a/2.png", "3.png", "a/1.png"]
    archive = tmp_path / "root.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.write(tmp_path / "root" / "a" / "2.png", "a/2.png")
    assert values(imported(write_list(tmp_path / "list", "a/2.png 4"), root=archive)) == [2]


def test_a_share_of_a_list_is_for_testing(tmp_path: Path) -> None:
    write_pictures(tmp_path, *(f"{i}.png" for i in range(10)))
    listed = write_list(tmp_path / "list", "".join(f"{i}.png {i % 2}\n" for i in range(10)))
    with ImageDatabase() as database:
        done = import_images(database, listed, name="a", form=GREY, testing=0.4, seed=1).sources
    assert [np.bincount(part.labels).tolist() for part in done] == [[3, 3], [2, 2]]
    both = values(open_source("IMAGEDB", "a.training")) + values(open_source("IMAGEDB", "a.testing"))
    assert sorted(both) == list(range(1, 11))


@pytest.mark.parametrize(
    ("text", "labels", "names", "groups"),
    [
        ("file,label\n1.png,5\n2.png,3\n", [5, 3], {5: "5", 3: "3"}, None),
        ("\ufeffLabel;Path\r\n\r\nzebra;1.png\r\nant;2.png\r\n", [1, 0], {0: "ant", 1: "zebra"}, None),
        ("image\tclass\tgroup\n1.png\tb c\tx\n2.png\ta\tx\n", [1, 0], {0: "a", 1: "b c"}, [0, 0]),
        ('class,label,file,other\n"a, b",4,1.png,\nc,2,"2.png",9\n', [4, 2], {4: "a, b", 2: "c"}, None),
        ("file,label,group\n1.png,1,12\n2.png,1,10\n,,\n", [1, 1], {1: "1"}, [12, 10]),
        ("file,label\n1.png,7\n2.png,x\n", [0, 1], {0: "7", 1: "x"}, None),
    ],
)
def test_tables(tmp_path: Path, text: str, labels: list, names: dict, groups: list | None) -> None:
    write_pictures(tmp_path, "1.png", "2.png")
    source = imported(write_list(tmp_path / "table.csv", text))
    assert (values(source), source.labels.tolist(), source.class_names) == ([1, 2], labels, names)
    assert (None if source.groups is None else source.groups.tolist()) == groups


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    write_pictures(tmp_path, "1.png", "2.png")
    table = write_list(tmp_path / "t.csv", "file,what,label,who\n9.png,1.png,3,b\n9.png,2.png,4,a\n")
    source = imported(table, columns=Columns(file="what", label="who", group="label"))
    assert values(source) == [1, 2] and source.labels.tolist() == [1, 0] and source.groups.tolist() == [3, 4]
    with pytest.raises(DataError, match=r't\.csv:1: there is no column \'lable\'.*"label"'):
        imported(table, columns=Columns(label="lable"))


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("list", "1.png 0\n\n1.png\n", 3, "'1.png' is no path with a label behind it"),
        ("list", "1.png 0\n1.png 1.5\n", 2, "the label '1.5' is no whole number"),
        ("list", "1.png cat\n", 1, "the label 'cat' is no whole number"),
        ("list", "1.png ٣\n", 1, "is no whole number"),
        ("list", f"1.png 0\n1.png {LARGEST_LABEL + 1}\n", 2, f"label {LARGEST_LABEL + 1} is out of range"),
        ("list", "1.png -2147483648\n", 1, "is out of range"),
        ("list", "1.png " + "9" * 5000, 1, "is no whole number"),
        ("list", b"1.png 0\n\n1\0.png 0\n", 3, "the byte 0x00 is no part of UTF-8 text"),
        ("list", b"1.png 0\n\xff\xfe.png 0\n", 2, "the byte 0xff is no part"),
        ("list", "../1.png 0\n", 1, "the path '../1.png' leads out of the folder"),
        ("list", "1.png 0\na/../../1.png 0\n", 2, "leads out of the folder"),
        ("list", "/etc/1.png 0\n", 1, "--root"),
        ("list", "C:\\1.png 0\n", 1, "leads out of the folder"),
        ("list", ". 0\n", 1, "leads out of the folder"),
        ("list", "a\x07.png 0\n", 1, "is no path"),
        ("list", "a" * 2000 + " 0\n", 1, "is no path"),
        ("list", "\n \n", 0, "no picture is named in here"),
        ("t.csv", "file,label\n", 0, "no picture is named in here"),
        ("t.csv", "", 1, "no column of paths is known"),
        ("t.csv", "name,label\n1.png,0\n", 1, "no column of paths is known among 'name', 'label'. Name it with --file"),
        ("t.csv", "file,what\n1.png,0\n", 1, "no column of labels is known"),
        ("t.csv", "file,label\n1.png,0\n\n1.png,0,1\n", 4, "the line has 3 fields, the header 2"),
        ("t.csv", "file,label\n1.png,\n", 2, 'the field of column "label" is empty'),
        ("t.csv", 'file,label\n1.png,0\n"1.png,0\n', 3, "the table is damaged"),
        ("t.csv", "file,label\n" + "x" * 200_000 + ",1\n", 2, "the table is damaged: field larger than"),
        (
            "t.csv",
            "file,label,class\n1.png,0,a\n1.png,0,b\n",
            3,
            "label 0 is of class 'b', and in a line before of 'a'",
        ),
        ("t.csv", "file,label,class\n1.png,0,a\n1.png,x,b\n", 3, "the label 'x' is no whole number"),
        ("t.csv", "file,label\n1.png,99999999\n", 2, "the label 99999999 is out of range"),
        ("t.csv", "file,label\n1.png,a\x07\n", 0, "cannot name a class"),
        ("t.csv", "file,label\n../1.png,a\n", 2, "leads out of the folder"),
    ],
)
def test_the_line_at_fault_is_named(tmp_path: Path, name: str, text: str | bytes, line: int, message: str) -> None:
    write_pictures(tmp_path, "1.png")
    path = write_list(tmp_path / name, text)
    with pytest.raises(DataError) as caught:
        imported(path)
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ") and message in str(caught.value)
    with ImageDatabase() as database:
        assert database.sources() == []


def test_files_that_are_missing_or_elsewhere_are_named_and_left_out_on_request(tmp_path: Path) -> None:
    write_pictures(tmp_path, "in/1.png", "out.png")
    (tmp_path / "in" / "sub").mkdir()
    (tmp_path / "in" / "cut.png").write_bytes((tmp_path / "out.png").read_bytes()[:50])
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "in" / "near.png").symlink_to("1.png")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    bad = ["none.png", "cut.png", "link.png", "sub", "pipe.png"]
    listed = write_list(tmp_path / "in" / "list", "".join(f"{name} 3\n" for name in [*bad, "near.png", "1.png"]))
    with pytest.raises(DataError) as caught:
        imported(listed)
    text = str(caught.value)
    assert "5 pictures cannot be read" in text and all(str(tmp_path / "in" / name) in text for name in bad)
    assert "there is no such file" in text and "a link that leads out" in text and "truncated" in text
    with ImageDatabase() as database:
        assert database.sources() == []
        done = import_images(database, listed, name="a", form=GREY, skip_unreadable=True)
    assert [Path(str(error.where)).name for error in done.unreadable] == bad
    assert done.sources[0].labels.tolist() == [3, 3] and origins() == ["near.png", "1.png"]


def test_what_is_no_list(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a/1.png")
    (tmp_path / "x.zip").write_bytes(b"no archive")
    for source, options, message in (
        (tmp_path / "a" / "1.png", {}, r"1\.png:\d: the byte 0x.. is no part of UTF-8 text"),
        (tmp_path / "x.zip", {}, "this is no folder and no archive"),
        (tmp_path / "none", {}, "there is no such file"),
        (tmp_path, {"root": tmp_path}, "a root and columns go with a list"),
        (write_list(tmp_path / "l", "1.png 1"), {"root": tmp_path / "none"}, "none: there is no such file"),
    ):
        with pytest.raises(DataError, match=message):
            imported(source, **options)
