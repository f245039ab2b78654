"""Kills whatever changes an image database, at random moments, and looks at what is left.

    python -m tests.data.killing FOLDER IMAGES MOMENTS [OPERATION ...]

prints a line of JSON for each operation: how often it was killed, how often it was done before, in how many cases the
state was that before and that after it, and what was wrong. A process of its own, because it forks.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from netforge.data import (
    ImageDatabase,
    Labels,
    NpzKeys,
    PictureForm,
    clean_database,
    copy_images,
    import_images,
    import_mnist,
    import_npz,
    remove_sources,
    verify_images,
)
from tests.data.helpers import write_mnist

SIDE = 28
FILES = Path("files")
COUNTED = ("images", "pixels", "means", "classes", "edits", "image_edits", "queries", "boxes")

OPERATIONS: dict[str, Callable[[ImageDatabase], object]] = {
    "npz": lambda db: import_npz(db, FILES / "a.npz", NpzKeys("x", "y"), name="old", replace=True),
    "images": lambda db: import_images(db, FILES / "pictures", name="new", form=PictureForm(1)),
    "mnist": lambda db: import_mnist(db, FILES / "mnist", name="MNIST"),
    "copy": lambda db: copy_images(db, ["old", "other"], "few", most_per_label=30, rest="rest"),
    "relabel": lambda db: Labels(db, "old").relabel("label in 2-6", 8),
    "remove": lambda db: remove_sources(db, ["old"]),
    "clean": lambda db: list(clean_database(db)),
}


def prepare(home: Path, count: int) -> None:
    """Two sources, what is left of a third, and files to import, in the current folder."""
    rng = np.random.default_rng(1)
    labels = np.arange(count) % 10
    with ImageDatabase(home / "images.db") as database:
        with database.write() as writer:
            for name in ("old", "other", "gone"):
                mean = writer.add(
                    name, [rng.integers(0, 256, (count, 1, SIDE, SIDE), np.uint8)], labels, class_names={1: "one"}
                )
                writer.set_mean(name, mean)
        for name in ("old", "gone"):
            database.open(name)
    with closing(sqlite3.connect(home / "images.db", isolation_level=None)) as raw:
        raw.execute("DELETE FROM sources WHERE name = 'gone'")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    FILES.mkdir()
    np.savez(FILES / "a.npz", x=rng.integers(0, 256, (count, SIDE, SIDE), np.uint8), y=labels)
    write_mnist(FILES / "mnist", count, count // 4)
    for label in range(4):
        (FILES / "pictures" / f"class{label}").mkdir(parents=True)
        for number in range(60):
            picture = rng.integers(0, 256, (SIDE, SIDE), np.uint8)
            Image.fromarray(picture).save(FILES / "pictures" / f"class{label}" / f"{number}.png")


def look(home: Path) -> tuple[str, list[str]]:
    """What a database holds, and what a check finds wrong with it."""
    with ImageDatabase(home / "images.db") as database:
        wrong = [f"{finding.found}" for finding in verify_images(database) if not finding.harmless]
        sources = [(i.name, i.shape, i.count, i.stamp, i.label_stamp) for i in database.sources()]
        with database.snapshot() as connection:
            counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in COUNTED]
    return json.dumps([sources, counts]), wrong


def run(operation: str, home: Path, delay: float | None) -> bool:
    """Do it in a process of its own, which is killed after a while; whether it had ended before."""
    child = os.fork()
    if not child:
        code = 1
        try:
            with ImageDatabase(home / "images.db") as database:
                OPERATIONS[operation](database)
            code = 0
        finally:
            os._exit(code)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"{operation} failed")
    return os.WIFEXITED(status)


def kill_often(operation: str, sound: Path, moments: int, seed: int = 0) -> dict[str, object]:
    """Kill it at so many moments, evenly spread at random over its duration, and do it again each time."""
    chosen = random.Random(f"{operation} {seed}")
    home = Path("home")
    before = look(sound)
    seconds = []
    for _ in range(2):  # the first time is slower
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(sound, home)
        start = time.monotonic()
        run(operation, home, None)
        seconds.append(time.monotonic() - start)
    after = look(home)
    seen: Counter[str] = Counter()
    wrong = []
    for moment in range(moments):
        shutil.rmtree(home)
        shutil.copytree(sound, home)
        delay = (moment + chosen.random()) / moments * seconds[-1] * 1.05
        seen["ended"] += run(operation, home, delay)
        found = look(home)
        state = "before" if found == before else "after" if found == after else "neither"
        seen[state] += 1
        if state == "neither":
            wrong.append([delay, *found])
        elif state == "before":
            run(operation, home, None)
            if look(home) != after:
                wrong.append([delay, "cannot be done again", *look(home)])
    return {"operation": operation, "seconds": round(seconds[-1], 3), "moments": moments, **seen, "wrong": wrong}


def main() -> None:
    """Prepare the folder, and kill each operation."""
    folder, images, moments, *operations = sys.argv[1:]
    os.chdir(folder)
    prepare(Path("sound"), int(images))
    for operation in operations or OPERATIONS:
        print(json.dumps(kill_often(operation, Path("sound"), int(moments))), flush=True)


if __name__ == "__main__":
    main()
