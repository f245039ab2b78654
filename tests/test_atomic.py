"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from netforge.atomic import write_whole
from netforge.errors import DataError, SnapshotError


def test_two_processes_that_write_one_file_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"

    def write_late(partial: Path) -> None:
        partial.write_text("late")
        monkeypatch.setattr(os, "getpid", lambda: 2)
        write_whole(path, write_early)
        assert path.read_text() == "early"

    def write_early(partial: Path) -> None:
        partial.write_text("early")

    assert write_whole(path, write_late) == path
    assert path.read_text() == "late"
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]


def test_a_broken_off_write_leaves_nothing(tmp_path: Path) -> None:
    def stop(partial: Path) -> None:
        partial.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "weights", stop)
    assert not list(tmp_path.iterdir())


def test_a_refusal_says_what_and_where_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def full(partial: Path) -> None:
        partial.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SnapshotError, match="the page cannot be written: No space left on device") as caught:
        write_whole(path, full, what="the page", error=SnapshotError, mend="make room")
    assert (caught.value.where, caught.value.mend) == (str(path), "make room")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(DataError, match="cannot be written"):
        write_whole(path / "below", lambda partial: partial.write_text("x"))


def test_folders_are_made_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "deep" / "er" / "file", tmp_path / "link"
    link.symlink_to(path)
    write_whole(link, lambda partial: partial.write_text("text"))
    assert link.is_symlink() and path.read_text() == "text" and list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write_whole(pipe, lambda target: target.write_text("text"))
    reader.join(10)
    assert read == ["text"] and pipe.is_fifo()
