"""What reading a solver gives: its settings, and the nets and states that it trains and tests with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netforge.errors import NetforgeError, Place, SchemaError, SettingsError, counted
from netforge.schema import netforge_pb2 as messages
from netforge.schema.blocks import Block
from netforge.schema.definition import NetDefinition
from netforge.schema.files import read_text, resolve_path
from netforge.schema.reader import parse_message
from netforge.schema.reading import define_net, load_plugins, read_net, scan_plugins
from netforge.schema.state import NetState
from netforge.schema.tokens import SourceText
from netforge.schema.upgrade import upgrade_solver

_TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


@dataclass(frozen=True, eq=False)
class SolverDefinition:
    """A solver as a file or message defines it.

    message: the SolverParameter, solver_type turned into `type`. source: the file. folder: where paths in it start
    from, after the current folder. notes: what was passed over.
    """

    message: Any
    source: str = "<message>"
    folder: Path | None = None
    notes: tuple[str, ...] = ()
    block: Block | None = field(default=None, repr=False)

    @property
    def place(self) -> Place:
        """The place of the solver."""
        return self.block.place if self.block else Place(self.source)

    def locate(self, path: str) -> Place:
        """The place of a field such as "base_lr" or "test_iter[1]"; the file's where it is not written."""
        return (self.block.locate(path) if self.block else None) or Place(self.source)

    def need_max_iter(self) -> None:
        """Raise SettingsError where max_iter is not set: training to the end needs it, single steps do not."""
        if not self.message.HasField("max_iter"):
            raise SettingsError("max_iter is not set", where=self.place, mend="add a line such as max_iter: 1000")

    def train_net(self) -> tuple[NetDefinition, NetState]:
        """The training net, unfiltered, and its state: TRAIN, overridden by the net's own state, then by train_state.

        Raises SettingsError where not exactly one of net, net_param, train_net, train_net_param is given.
        """
        given = [name for name in _TRAIN_FIELDS if self.message.HasField(name)]
        if len(given) != 1:
            found = f"names {len(given)} training nets ({', '.join(given)})" if given else "names no net"
            raise SettingsError(
                f"the solver {found}",
                where=self.locate(given[1] if given else ""),
                mend='write one: net: "FILE.prototxt"',
            )
        definition = self._net(given[0])
        return definition, _state("TRAIN", definition, self.message.train_state)

    def test_nets(self) -> list[tuple[NetDefinition, NetState]]:
        """The test nets, unfiltered, each with its state: test_net_param, then test_net, then the shared net.

        The shared net fills the places that test_iter has left. Raises SettingsError where test_iter, test_state and
        test_interval do not fit the number of test nets.
        """
        message = self.message
        names = [f"test_net_param[{i}]" for i in range(len(message.test_net_param))]
        names += [f"test_net[{i}]" for i in range(len(message.test_net))]
        shared = next((name for name in ("net_param", "net") if message.HasField(name)), None)
        if shared is not None and not (message.HasField("train_net") or message.HasField("train_net_param")):
            names += [shared] * (len(message.test_iter) - len(names))
        self._check_tests(len(names))
        nets = [self._net(name) for name in names]
        states = list(message.test_state) or [messages.NetState()] * len(nets)
        return [(net, _state("TEST", net, state)) for net, state in zip(nets, states, strict=True)]

    def _check_tests(self, count: int) -> None:
        message = self.message
        if len(message.test_iter) != count:
            raise SettingsError(
                f"test_iter is given {counted(len(message.test_iter), 'time')} for {counted(count, 'test net')}",
                where=self.locate("test_iter"),
                mend="give test_iter once per test net",
            )
        if len(message.test_state) not in (0, count):
            raise SettingsError(
                f"test_state is given {counted(len(message.test_state), 'time')} for {counted(count, 'test net')}",
                where=self.locate("test_state"),
                mend="give test_state once per test net, or not at all",
            )
        if count and not message.HasField("test_interval"):
            raise SettingsError(
                "there are test nets, but test_interval is not set",
                where=self.locate("test_iter"),
                mend="write test_interval: the iterations between tests; 0 tests once, after training",
            )

    def _net(self, field_name: str) -> NetDefinition:
        name, _, index = field_name.rstrip("]").partition("[")
        value = getattr(self.message, name)
        if index:
            value = value[int(index)]
        where = self.locate(field_name)
        if isinstance(value, str):
            try:
                path = resolve_path(value, self.folder)
            except NetforgeError as error:
                raise error.at(where) from None
            return read_net(path, plugins=self.message.plugin)
        block = self._block(name, int(index or 0))
        return define_net(value, block, source=self.source, folder=self.folder)

    def _block(self, name: str, index: int) -> Block | None:
        positions = self.block.fields.get(name, []) if self.block else []
        position = positions[index] if index < len(positions) else None
        return position if isinstance(position, Block) else None


def _state(phase: str, definition: NetDefinition, override: Any) -> NetState:
    return NetState(phase).merged(definition.message.state).merged(override)


def read_solver(source: str | Path | Any) -> SolverDefinition:
    """The definition of a solver: from the path of a prototxt, or from a SolverParameter; a definition passes as is.

    Raises SchemaError or SettingsError with file, line and column.
    """
    if isinstance(source, SolverDefinition):
        return source
    if isinstance(source, messages.SolverParameter):
        load_plugins(source.plugin, None)
        return SolverDefinition(upgrade_solver(source, lambda _: Place("<message>")))
    path = resolve_path(source, None)
    text = read_text(path, "a solver")
    definition = _parse_solver(text, path.parent)
    if not definition.message.ListFields():
        raise SchemaError("the file is empty", where=str(path), mend='a solver begins with net: "FILE.prototxt"')
    return definition


def parse_solver(text: str, name: str = "<text>", folder: str | Path | None = None) -> SolverDefinition:
    """The definition of a solver given as prototxt; `name` stands for the file, `folder` for where it lies."""
    return _parse_solver(SourceText(text, name), Path(folder) if folder is not None else None)


def _parse_solver(source: SourceText, folder: Path | None) -> SolverDefinition:
    scan_plugins(source, folder)
    parsed = parse_message(messages.SolverParameter, source)
    block = parsed.block
    message = upgrade_solver(parsed.message, lambda name: block.locate(name) or block.place)
    return SolverDefinition(message, source.file, folder, tuple(parsed.notes), block)
