"""The database shared by many, and on disks that refuse: whole states only, and errors that say why."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import pytest

from netforge.data import ArraySource, ImageDatabase, Labels, open_source, verify_images
from netforge.data.store.drafts import Draft, store
from netforge.errors import DataError
from tests.data.helpers import fill_database

ROOT = Path(__file__).resolve().parents[2]


def flat(value: int, count: int = 500) -> Draft:
    """A draft of images that all have one value, as their labels have."""
    return Draft("shared", [np.full((count, 1, 8, 8), value, np.uint8)], np.full(count, value), {value: str(value)})


@pytest.mark.parametrize("replace", [True, False])
def test_two_importers_of_one_name_both_succeed_or_one_says_why(replace: bool) -> None:
    barrier = Barrier(2, timeout=60)

    def import_one(value: int) -> str:
        with ImageDatabase() as database:
            barrier.wait()
            try:
                store(database, [flat(value)], replace=replace)
            except DataError as error:
                return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(import_one, (1, 2)))
    assert said[0] == "" and (replace or 'there is a source "shared" already. Write --replace' in said[1])
    assert not replace or said[1] == ""
    with ImageDatabase() as database:
        assert list(verify_images(database)) == [] and len(database.sources()) == 1


def test_a_writer_that_waits_too_long_says_who_is_in_the_way() -> None:
    fill_database("a")
    with ImageDatabase() as first, ImageDatabase(timeout_s=0.1) as second, first.write():
        with pytest.raises(DataError, match="Another process is writing to it"), second.write():
            raise AssertionError("both were writing")
        assert second.open("a").count == 40


def test_many_readers_see_whole_states_while_one_writes() -> None:
    with ImageDatabase() as database:
        store(database, [flat(0)])
    ended = Event()

    def read() -> set[int]:
        seen = set()
        while not ended.is_set():
            source = open_source("IMAGEDB", "shared")
            pixels, labels = source.read(np.arange(source.count))
            assert source.class_names == {int(labels[0]) % 100: str(int(labels[0]) % 100)}
            assert (pixels == labels[0] % 100).all() and len(set(labels.tolist())) == 1
            seen.add(int(labels[0]))
        return seen

    def write() -> None:
        try:
            for value in range(1, 5):
                with ImageDatabase() as database:
                    store(database, [flat(value)], replace=True)
                    Labels(database, "shared").relabel(f"label = {value}", value + 100)
                    Labels(database, "shared").relabel(f"label = {value + 100}", value)
        finally:
            ended.set()

    with ThreadPoolExecutor(5) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        pool.submit(write).result()
        assert all(reader.result() for reader in readers)
    with ImageDatabase() as database:
        assert [finding for finding in verify_images(database) if not finding.harmless] == []


LIMITED = """
import resource, signal, sys
from netforge.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for command in sys.argv[1:]:
    limit, *sys.argv[1:] = command.split()
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        main()
    except SystemExit as end:
        assert end.code == 1
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limits on the size of files")
def test_a_full_disk_is_an_error_that_leaves_the_state_before(tmp_path: Path, netforge_home: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 1, 60, 60), np.uint8)
    fill_database("a", ArraySource("a", noise[:40], np.arange(40), mean=noise[0].astype(np.float32)))
    path, out = tmp_path / "large.npz", tmp_path / "exports" / "out"
    np.savez(path, x=noise[:, 0], y=np.arange(300))
    arguments = f"data import npz {path} --name b --image-array x --label-array y"
    commands = [
        *(f"{limit} {arguments}" for limit in (40_000, 300_000)),
        *(f"3000 data export a {out} --format {form}" for form in ("lmdb", "images", "idx")),
    ]
    with ImageDatabase() as database:  # open, so that the files of its log are there already
        database.open("a")
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, *commands], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        lines = done.stderr.splitlines()
        assert len(lines) == len(commands) and all(line.startswith("error: ") for line in lines), lines
        assert all(f"{netforge_home / 'images.db'}: the image database cannot be used: " in line for line in lines[:2])
        assert all("cannot be written" in line for line in lines[2:]), lines
        assert [info.name for info in database.sources()] == ["a"]
        assert list(verify_images(database)) == []
    assert list(out.parent.iterdir()) == []
