"""A database that an import made and that then failed: it goes, unless another process has come to use it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from netforge.data import ImageDatabase, import_arrays
from netforge.data.store.drafts import Draft, store
from netforge.errors import DataError

IMAGES = np.zeros((2, 3, 3), np.uint8)


def fail(database: ImageDatabase) -> None:
    """An import that fails after its first images were stored."""

    def blocks() -> Iterator[np.ndarray]:
        yield IMAGES[:, None]
        time.sleep(0.002)
        raise DataError("nothing more is there")

    with pytest.raises(DataError, match="nothing more is there"):
        store(database, [Draft("bad", blocks(), [0, 0], {})])


def test_an_import_that_fails_leaves_no_database(netforge_home: Path) -> None:
    with ImageDatabase() as database:
        for _ in range(2):
            fail(database)
            assert database.sources() == [] and list(netforge_home.iterdir()) == []
        import_arrays(database, "good", IMAGES, [0, 1])
        fail(database)
        assert [info.name for info in database.sources()] == ["good"]


def test_a_database_that_was_there_stays(netforge_home: Path) -> None:
    with ImageDatabase() as database, database.write():
        pass
    with ImageDatabase() as database:
        fail(database)
    assert (netforge_home / "images.db").exists()


def test_a_database_that_another_one_has_open_stays(netforge_home: Path) -> None:
    with ImageDatabase() as first, ImageDatabase() as second:
        with pytest.raises(DataError, match="enough"), first.write():
            assert second.sources() == []
            raise DataError("enough")
        import_arrays(second, "good", IMAGES, [0, 1])
        assert [info.name for info in first.sources()] == ["good"]


def test_nothing_is_lost_where_others_import_meanwhile(tmp_path: Path) -> None:
    def work(path: Path, number: int) -> None:
        time.sleep(0.004 * number)
        with ImageDatabase(path) as database:
            if number % 2:
                import_arrays(database, f"good.{number}", IMAGES, [0, 1])
            else:
                fail(database)

    for turn in range(4):
        path = tmp_path / str(turn) / "images.db"
        with ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(work, path, number) for number in range(6)]:
                done.result()
        with ImageDatabase(path) as database:
            assert [info.name for info in database.sources()] == ["good.1", "good.3", "good.5"]
