"""The errors that netforge raises on purpose.

    NetforgeError
    ├── SchemaError          a prototxt or protobuf file cannot be read
    ├── UnknownNameError     a name that no registry knows (layer type, filler, policy, source ...)
    ├── SettingsError        a value in a prototxt is out of its range, missing, or contradicts another
    ├── NetError             layers that do not fit together
    │   └── ShapeError       blobs whose shapes do not fit
    ├── DataError            a data source, a record or a label is not usable
    ├── SnapshotError        a file of weights or solver state is damaged or does not fit
    ├── SolverError          a solver cannot be built or cannot go on
    │   └── NonFiniteError   NaN or infinity appeared during training
    ├── DeviceError          a device, a driver or a vendor library is missing or failed
    └── PluginError          a module named by `plugin:` or an entry point could not be loaded

Every message says where, what was found, and how to mend it. Bad input ends in one of these, never in a bare
ValueError or KeyError.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A position in a text file; `line` and `column` count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


class NetforgeError(Exception):
    """Root of all errors of netforge.

    found: what is wrong, in one sentence without a full stop at its end.
    where: a `Place`, or text such as a file name or 'record 00012'.
    layer: name and type of the layer at fault, e.g. 'conv1 (Convolution)'.
    mend: what the user can do, one sentence without a full stop at its end.
    """

    def __init__(
        self,
        found: str,
        *,
        where: Place | str | None = None,
        layer: str | None = None,
        mend: str | None = None,
    ) -> None:
        self.found = found
        self.where = where
        self.layer = layer
        self.mend = mend
        super().__init__(found)

    def __str__(self) -> str:
        head = f"{self.where}: " if self.where else ""
        subject = f"layer {self.layer}: " if self.layer else ""
        tail = f". {as_sentence(self.mend)}" if self.mend else ""
        stop = "" if tail.endswith("?") else "."
        return f"{head}{subject}{self.found}{tail}{stop}"

    def at(self, where: Place | str | None, layer: str | None = None) -> NetforgeError:
        """Fill in the place and the layer where they are still unknown, and return self."""
        self.where = self.where or where
        self.layer = self.layer or layer
        return self


class SchemaError(NetforgeError):
    """A prototxt or protobuf file cannot be read."""


class UnknownNameError(NetforgeError):
    """A name that the registry asked does not know."""


class SettingsError(NetforgeError):
    """A setting is out of its range, missing, or contradicts another."""


class NetError(NetforgeError):
    """Layers that do not fit together."""


class ShapeError(NetError):
    """Blobs whose shapes do not fit."""


class DataError(NetforgeError):
    """A data source, a record or a label is not usable."""


class SnapshotError(NetforgeError):
    """A file of weights or solver state is damaged or does not fit."""


class SolverError(NetforgeError):
    """A solver cannot be built or cannot go on."""


class NonFiniteError(SolverError):
    """NaN or infinity appeared during training."""


class DeviceError(NetforgeError):
    """A device, a driver or a vendor library is missing or failed."""


class PluginError(NetforgeError):
    """A plugin module could not be loaded."""


def as_sentence(mend: str) -> str:
    """A mend with a capital letter, unless it begins with a command: those are typed as they are written."""
    return mend if mend.startswith("netforge ") else mend[:1].upper() + mend[1:]


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number with its noun, for messages: "1 test net", "1,200 batches"; `many` is `one` with an s unless given."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def did_you_mean(name: str, known: Iterable[str], *, limit: int = 3) -> str | None:
    """A mend that names the known names closest to `name`, case-insensitively; None where none is close.

    Those that begin with `name`, an abbreviation of three letters or more, come first. Where there are at most eight
    known names and none is close, all are listed.
    """
    names = list(dict.fromkeys(known))
    by_lower = {n.lower(): n for n in names}
    word = name.lower()
    longer = [n for n in by_lower if len(word) > 2 and n.startswith(word)]
    alike = difflib.get_close_matches(word, by_lower, n=limit, cutoff=0.6)
    close = list(dict.fromkeys(longer + alike))[:limit]
    if close:
        quoted = " or ".join(f'"{by_lower[c]}"' for c in close)
        return f"did you mean {quoted}?"
    if 0 < len(names) <= 8:
        return "known are " + ", ".join(f'"{n}"' for n in sorted(names))
    return None
