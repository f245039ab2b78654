"""Event files as TensorBoard reads them: records that each hold an Event, framed with lengths and checksums.

A record is the length of its payload (64 bits, little endian), the checksum of those 8 bytes, the payload, and its
checksum; a checksum is CRC-32C (Castagnoli), rotated and offset so that checksums of checksums stay safe.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from netforge.inspect.values import counts_in_bins, finite_values
from netforge.schema import tensorboard_pb2 as messages

VERSION = "brain.Event:2"
PATTERN = "*tfevents*"
"""What TensorBoard takes for event files, as a glob."""
POLYNOMIAL, MASK_DELTA = 0x82F63B78, 0xA282EAD8  # of CRC-32C with its bits reversed; of the mask
BUCKETS = 64


class EventFile:
    """A new event file in a folder; files of one folder are one run to TensorBoard, in the order of their names.

    folder: is made where it is missing. step: where the run begins; of what older files of the folder hold, this step
    and later ones no longer count. Every method hands its records to the system before it returns, and all may raise
    OSError.
    """

    def __init__(self, folder: str | Path, step: int) -> None:
        self._file, self.path = _create(Path(folder))
        try:
            self._write(messages.Event(file_version=VERSION))
            self._write(messages.Event(step=step, session_log={"status": messages.SessionLog.START}))
            self._file.flush()
        except BaseException:
            self.close()
            raise

    def add_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write numbers by tag, as the values of one step."""
        self._add(step, [messages.SummaryValue(tag=tag, simple_value=value) for tag, value in scalars.items()])

    def add_histograms(self, step: int, arrays: Iterable[tuple[str, Any]]) -> None:
        """Write how the values of arrays are distributed, by tag; those without a finite value are left out.

        The arrays are taken one after the other, so they need not be in memory together.
        """
        found = ((tag, histogram_of(array)) for tag, array in arrays)
        self._add(step, [messages.SummaryValue(tag=tag, histo=histo) for tag, histo in found if histo])

    def close(self) -> None:
        """Close the file; what it could not take is lost."""
        with suppress(OSError):
            self._file.close()

    def _add(self, step: int, values: list[messages.SummaryValue]) -> None:
        if values:
            self._write(messages.Event(step=step, summary=messages.Summary(value=values)))
            self._file.flush()

    def _write(self, event: messages.Event) -> None:
        event.wall_time = time.time()
        self._file.write(framed(event.SerializeToString()))


def _create(folder: Path) -> tuple[IO[bytes], Path]:
    """A file that sorts behind those of earlier runs, also of one that began in the same second."""
    folder.mkdir(parents=True, exist_ok=True)
    second = int(time.time())
    number = 0
    while True:
        path = folder / f"events.out.tfevents.{second:010}.{number:04}"
        try:
            return path.open("xb"), path
        except FileExistsError:
            number += 1


def framed(payload: bytes) -> bytes:
    """A payload as a record."""
    length = struct.pack("<Q", len(payload))
    return b"".join((length, _checksum(length), payload, _checksum(payload)))


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + MASK_DELTA) & 0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """The CRC-32C of bytes (RFC 3720, appendix B.4)."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    """What each byte does to a CRC-32C."""
    table = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (POLYNOMIAL if entry & 1 else 0)
        table.append(entry)
    return tuple(table)


def histogram_of(array: Any) -> messages.HistogramProto | None:
    """The finite values of an array in BUCKETS buckets of one width; None where there is none.

    Values that are too close to be told apart in so many buckets make one.
    """
    values = finite_values(np.asarray(array))
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    told_apart = high - low > 2 * BUCKETS * np.spacing(max(abs(low), abs(high)))
    buckets = BUCKETS if told_apart else 1
    counts = counts_in_bins(values, buckets, low, high) if told_apart else np.array([values.size])
    return messages.HistogramProto(
        min=low,
        max=high,
        num=values.size,
        sum=float(values.sum(dtype=np.float64)),
        sum_squares=float(np.einsum("i,i", values, values, dtype=np.float64)),
        bucket_limit=np.linspace(low, high, buckets + 1)[1:].tolist(),
        bucket=counts.tolist(),
    )
