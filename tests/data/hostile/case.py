"""Inputs that no importer may trust: what lies in a folder, and what is typed."""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.data.helpers import write_lmdb


@dataclass(frozen=True)
class Link:
    """A symbolic link; without a target, to itself."""

    target: str = ""


PIPE, FOLDER = "a pipe", "an empty folder"
Content = bytes | Link | str | dict[bytes, bytes]  # the last: records of an LMDB
Laid = Mapping[str, Content]


@dataclass(frozen=True)
class Case:
    """What lies in a folder, and what is typed."""

    arguments: tuple[str, ...]
    content: Laid

    def lay(self, folder: Path) -> list[str]:
        """Make the files; the arguments, the folder filled in."""
        for name, content in self.content.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif isinstance(content, Link):
                path.symlink_to(content.target or path.name)
            elif isinstance(content, dict):
                write_lmdb(path, content)
            elif content == PIPE:
                os.mkfifo(path)
            else:
                path.mkdir()
        return ["data", "import", *(argument.format(folder) for argument in self.arguments)]


def damages(good: bytes) -> dict[str, Content]:
    """What can happen to any file."""
    return {
        "empty": b"",
        "cut to 1 byte": good[:1],
        "cut to 10 bytes": good[:10],
        "cut in the middle": good[: len(good) // 2],
        "cut by a byte": good[:-1],
        "text": b"this is a text\n" * 20,
        "zeros": bytes(999),
        "noise": np.random.default_rng(1).bytes(999),
        "a pipe": PIPE,
        "a folder": FOLDER,
        "a link to itself": Link(),
        "a link to nothing": Link("nothing"),
    }


def zipped_damages(good: bytes) -> dict[str, Content]:
    """What can happen to a gzipped file."""
    packed = gzip.compress(good, mtime=0)
    return {
        "gz cut by a byte": packed[:-1],
        "gz cut in the middle": packed[: len(packed) // 2],
        "gz with a wrong checksum": packed[:-8] + b"\0\0\0\0" + packed[-4:],
        "gz of noise": b"\x1f\x8b\x08" + np.random.default_rng(1).bytes(99),
        "gz with noise behind": packed + b"noise",
    }
