"""Many picture files decoded by worker threads: in order, and never more of them in memory than a few MiB need."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from netforge.data.formats.archive import Files
from netforge.data.formats.picture import UNREADABLE, Picture, PictureForm, decode_picture
from netforge.errors import DataError, counted

THREADS = min(8, os.cpu_count() or 1)
AHEAD = 2 * THREADS  # tasks that are under way or wait to be taken
AHEAD_OF_SMALL = 2  # small pictures take more of Python's time than of the decoder's: more threads would stand in line
SMALL_PIXELS = 1 << 14
TASK_BYTES = 1 << 20  # of pixels that one task makes; many small pictures a task, as handing over a task costs time
MOST_IN_TASK = 256
LARGEST_PICTURE_FILE = 1 << 28
BLOCK_BYTES = 1 << 22
MOST_NAMED = 5  # pictures that cannot be read, in one error
MEND = "replace it, or leave it out with --skip-unreadable"

Decoded = Picture | DataError
Taken = Callable[[int, Picture], None]


def picture_blocks(
    files: Files,
    names: Sequence[str],
    form: PictureForm,
    taken: Taken,
    unreadable: list[DataError],
    *,
    skip_unreadable: bool,
) -> Iterator[npt.NDArray[np.uint8]]:
    """The pictures in files of these names in blocks (n, C, H, W) of some MiB, all of one size.

    taken: called with the number of each picture, in order, before its block is given; where it raises DataError, the
    picture counts as one that cannot be read. unreadable: takes the errors of those. skip_unreadable: leave them out,
    where others remain; else one error names the first of them after all were tried.
    """
    block: list[npt.NDArray[np.uint8]] = []
    shape: tuple[int, ...] = ()
    for number, picture in enumerate(decoded_pictures(files, names, form)):
        if isinstance(picture, Picture):
            try:
                taken(number, picture)
            except DataError as error:
                picture = _without_frames(error)
        if isinstance(picture, DataError):
            unreadable.append(picture)
            continue
        shape = shape or picture.pixels.shape
        _check_shape(files.where(names[number]), picture.pixels.shape, shape)
        block.append(picture.pixels)
        if len(block) * picture.pixels.nbytes >= BLOCK_BYTES:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)
    if unreadable and not (skip_unreadable and shape):
        raise _summed_up(unreadable)


def decoded_pictures(files: Files, names: Sequence[str], form: PictureForm) -> Iterator[Decoded]:
    """The pictures in files of these names, in order; for one that cannot be read, the DataError that says why."""

    def work(part: Sequence[str]) -> list[Decoded]:
        return [_decoded(files, name, form) for name in part]

    waiting: deque[Future[list[Decoded]]] = deque()
    start, length, ahead = 0, 1, 1
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            while start < len(names) or waiting:
                while start < len(names) and len(waiting) < ahead:
                    waiting.append(pool.submit(work, names[start : start + length]))
                    start += length
                for picture in waiting.popleft().result():
                    if isinstance(picture, Picture):
                        ahead = AHEAD if math.prod(picture.size) > SMALL_PIXELS else AHEAD_OF_SMALL
                        length = max(1, min(TASK_BYTES // picture.pixels.nbytes, MOST_IN_TASK))
                    yield picture
        finally:
            for task in waiting:
                task.cancel()


def _decoded(files: Files, name: str, form: PictureForm) -> Decoded:
    try:
        return decode_picture(files.read(name, LARGEST_PICTURE_FILE), files.where(name), form, mend=MEND)
    except DataError as error:
        return _without_frames(error)


def _without_frames(error: DataError) -> DataError:
    """An error to be kept: its traceback, and those of its causes, would keep the bytes of the file in memory."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _check_shape(where: str, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    if shape != first:
        raise DataError(
            f"the picture has {shape[1]} x {shape[2]} pixels, those before it {first[1]} x {first[2]}",
            where=where,
            mend="bring all to one size: --size HEIGHTxWIDTH",
        )


def _summed_up(unreadable: Sequence[DataError]) -> DataError:
    """One error for all pictures that cannot be read."""
    if len(unreadable) == 1:
        return unreadable[0]
    named = "; ".join(f"{error.where}: {error.found.removeprefix(UNREADABLE)}" for error in unreadable[:MOST_NAMED])
    more = f"; and {len(unreadable) - MOST_NAMED:,} more" if len(unreadable) > MOST_NAMED else ""
    return DataError(
        f"{counted(len(unreadable), 'picture')} cannot be read: {named}{more}",
        mend="replace them, or leave them out with --skip-unreadable",
    )
