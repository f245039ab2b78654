"""Names to classes: layers, fillers, solvers, learning-rate policies and data sources are found through a `Registry`.

A thing is registered where it is defined. A second thing with the same name is refused, an unknown name is answered
with the closest known ones, and each entry remembers the module it came from, so that `netforge layers` can say so.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from netforge.errors import NetforgeError, PluginError, UnknownNameError, did_you_mean

T = TypeVar("T")


def fold(name: str) -> str:
    """The form in which names are compared: lower case, without underscores (MyCaffe writes both)."""
    return name.replace("_", "").lower()


class Registry(Generic[T]):
    """A table of named things of one kind.

    kind: the word for one entry in messages, e.g. "layer type".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._names: dict[str, str] = {}

    def add(self, name: str, thing: T, *, aliases: tuple[str, ...] = ()) -> T:
        """Register `thing` under `name` and `aliases`; raises PluginError where a name is taken."""
        for key in (name, *aliases):
            taken = self._names.get(fold(key))
            if taken is not None:
                first, second = origin(self._entries[taken]), origin(thing)
                raise PluginError(
                    f'{self.kind} "{key}" is registered twice: by {first} and by {second}',
                    mend="give one of them another name",
                )
        self._entries[name] = thing
        for key in (name, *aliases):
            self._names[fold(key)] = name
        return thing

    def register(self, name: str, *, aliases: tuple[str, ...] = ()) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda thing: self.add(name, thing, aliases=aliases)

    def remove(self, name: str) -> None:
        """Forget an entry and its aliases (for tests of plugins)."""
        del self._entries[name]
        self._names = {k: v for k, v in self._names.items() if v != name}

    def __contains__(self, name: str) -> bool:
        return fold(name) in self._names

    def __getitem__(self, name: str) -> T:
        return self._entries[self.canonical(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries, key=str.lower))

    def canonical(self, name: str) -> str:
        """The registered spelling of `name`; raises UnknownNameError with the closest known names."""
        try:
            return self._names[fold(name)]
        except KeyError:
            raise UnknownNameError(f'unknown {self.kind} "{name}"', mend=did_you_mean(name, self._entries)) from None


def origin(thing: object) -> str:
    """The module that defines a registered thing."""
    return getattr(thing, "__module__", None) or type(thing).__module__


ENTRY_POINT_GROUP = "netforge.layers"
_loaded_plugins: set[str] = set()


def load_plugin(module: str, *, beside: Path | None = None) -> None:
    """Import a module that registers layers; once per process.

    beside: a folder searched first, so that a module may lie next to the prototxt that names it.
    Raises PluginError with the reason where the import fails.
    """
    if module in _loaded_plugins:
        return
    folder = str(beside) if beside else None
    if folder:
        sys.path.insert(0, folder)
    try:
        importlib.import_module(module)
    except NetforgeError:
        raise
    except Exception as error:
        raise PluginError(
            f'plugin "{module}" cannot be imported: {type(error).__name__}: {error}',
            mend="install it in this environment, or correct its name",
        ) from error
    finally:
        if folder and folder in sys.path:
            sys.path.remove(folder)
    _loaded_plugins.add(module)


def load_entry_points() -> None:
    """Import every installed module of the entry-point group `netforge.layers`; once per process."""
    for point in entry_points(group=ENTRY_POINT_GROUP):
        load_plugin(point.value)
