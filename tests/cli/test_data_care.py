"""`netforge data verify`, `clean`, `remove` and `export`, as people type them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from netforge.cli import cli
from netforge.data import open_source
from netforge.data.store.home import database_path
from tests.data.helpers import array_source, damage, datum, fill_database, write_lmdb


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["data", *map(str, arguments)])


def test_verify_says_that_all_is_well_or_what_is_not(tmp_path: Path) -> None:
    done = run("verify")
    assert done.exit_code == 0 and "there is no image database yet" in done.output
    fill_database("a")
    fill_database("b", array_source(20))
    done = run("verify")
    assert done.exit_code == 0
    assert done.output == f"{database_path()}: 60 images checked, all is well\n"
    damage(
        "UPDATE images SET label = 7 WHERE source = 1 AND position = 3",
        "INSERT INTO classes VALUES (2, 77, 'two' || char(10) || 'lines')",
    )
    done = run("verify")
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        f'{database_path()}, source "a": the labels are damaged: their digest is not the one noted when they were last '
        "changed. Import the source again with --replace.",
        f'note: {database_path()}, source "b": classes without images: 77 (two\\nlines). This does no harm.',
        f"{database_path()}: 60 images checked, 1 thing is wrong",
    ]
    done = run("verify", "b")
    assert done.exit_code == 0 and done.output.endswith("b: 20 images checked, all is well\n")
    missing = run("verify", "c")
    assert missing.exit_code == 1 and 'has no source "c"' in missing.output
    folder = write_lmdb(tmp_path / "db", {b"a": datum(np.zeros((1, 2, 2), np.uint8)), b"b": b"\xff"})
    done = run("verify", folder, "b")
    assert done.exit_code == 1
    assert done.output.splitlines()[::2] == [
        f"{folder}, record 'b': the record is no Datum. Make the database again.",
        f"{folder}, b: 22 images checked, 1 thing is wrong",
    ]


def test_clean_shows_first_and_removes_with_apply(netforge_home: Path) -> None:
    assert run("clean").output == f"{database_path()}: there is nothing to remove\n"
    for name in ("a", "b"):
        fill_database(name, array_source(5000 if name == "b" else 40))
        open_source("IMAGEDB", name)
    damage("DELETE FROM sources WHERE name = 'b'")
    shown = run("clean")
    assert shown.exit_code == 0
    assert "5,000 rows of images without their row of sources\n" in shown.output
    assert "1 row of pixels without their row of sources, 146.5 KiB\n" in shown.output
    assert shown.output.splitlines()[-1].startswith("Nothing was removed. To remove this, ")
    assert run("clean").output == shown.output
    removed = run("clean", "--apply")
    assert removed.exit_code == 0 and "free pages of the file, " in removed.output
    assert run("verify").output == f"{database_path()}: 40 images checked, all is well\n"
    assert "there is nothing to remove" in run("clean").output


def test_sources_are_removed() -> None:
    fill_database("a")
    fill_database("b")
    shown = run("remove", "a", "--dry-run")
    assert shown.output == "a: 40 images, 1.2 KiB\nDry run: nothing was changed.\n"
    assert run("remove", "a", "c").exit_code == 1
    assert run("remove", "a").output == "a: 40 images, 1.2 KiB\n"
    assert run("remove", "a").exit_code == 1
    assert run("verify").output.endswith("40 images checked, all is well\n")


def test_export_writes_each_form(tmp_path: Path) -> None:
    fill_database("a")
    for form, count in (("lmdb", 1), ("images", 41), ("idx", 2)):
        done = run("export", "a", tmp_path / form, "--format", form)
        assert done.exit_code == 0
        assert done.output == f"a: 40 images written to {tmp_path / form}\n"
        assert len([path for path in (tmp_path / form).rglob("*") if path.is_file()]) == count
    done = run("export", "a", tmp_path / "idx", "--format", "idx", "--gzip", "--replace", "--where", "label = 3")
    assert done.output == f"a: 10 images written to {tmp_path / 'idx'}\n"
    assert sorted(path.suffix for path in (tmp_path / "idx").iterdir()) == [".gz", ".gz"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("export", "a", "{}"), 2, "--format"),
        (("export", "a", "{}/new", "--format", "lmdb", "--gzip"), 2, "--gzip goes with --format idx"),
        (("export", "b", "{}/new", "--format", "lmdb"), 1, 'has no source "b"'),
        (("export", "a", "{}", "--format", "lmdb"), 1, "this exists already"),
        (("export", "a", "{}", "--format", "lmdb", "--replace"), 1, "file is not of an export"),
        (("export", "a", "{}/file/new", "--format", "lmdb"), 1, "the export cannot be written"),
        (("export", "a", "{}/new", "--format", "lmdb", "--where", "label ="), 1, "label ="),
        (("remove",), 2, "Missing argument"),
        (("clean", "--database", "{}/file"), 1, "file is not a database"),
        (("verify", "--database", "{}/file"), 1, "file is not a database"),
    ],
)
def test_errors_are_one_message(tmp_path: Path, arguments: tuple[str, ...], status: int, message: str) -> None:
    fill_database("a")
    (tmp_path / "file").write_text("this is no database at all, and long enough to have a header" * 9)
    done = run(*(argument.format(tmp_path) for argument in arguments))
    assert done.exit_code == status
    assert message in done.output and "Traceback" not in done.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["verify", "clean", "remove", "export"])
def test_help(name: str) -> None:
    done = run(name, "--help")
    assert done.exit_code == 0 and "--database FILE" in done.output
