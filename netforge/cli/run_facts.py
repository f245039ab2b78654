"""What is known of a training run before it starts, and what remains of it when it ends."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netforge.cli.outputs import single_values
from netforge.errors import counted
from netforge.net import Net
from netforge.schema import NetDefinition
from netforge.schema.fields import is_repeated
from netforge.solver import Listener, SnapshotPaths, Solver, StopReason, TestResult
from netforge.solver.settings import snapshot_prefix

Fact = tuple[str, str]


def opening_facts(solver: Solver) -> list[Fact]:
    """Net, data and where a GPU finds it, update rule, device, how a GPU iterates, seed, and how names of files begin.

    Pairs of a word and a text.
    """
    net, settings = solver.net, solver.settings
    weights = sum(row.weight_count for row in net.describe())
    rate = f"base_lr {settings.base_lr:g} {settings.lr_policy}"
    facts = [
        ("net", f"{net.name or 'without a name'}, {len(net.layers)} layers, {weights:,} weights"),
        ("data", data_text(net)),
        ("test data", "; ".join(dict.fromkeys(filter(None, map(data_text, solver.test_nets))))),
        ("images", images_text([net, *solver.test_nets])),
        ("solver", f"{settings.type}, {rate}, {settings.max_iter:,} iterations"),
        ("device", " ".join(solver.device.describe()[:1])),
        ("iterations", solver.execution if solver.device.can_capture else ""),
        ("seed", str(solver.seed)),
        ("files", f"{snapshot_prefix(solver.definition)}*"),
    ]
    if solver.restored_from is not None:
        facts.append(("goes on", f"at iteration {solver.iteration:,} of {solver.restored_from}"))
    return [fact for fact in facts if fact[1]]


def data_text(net: Net) -> str:
    """The data sources of a net: "digits.training, 64 pairs a batch"."""
    sources = [text for layer in net.layers for text in sources_of(layer.definition.message)]
    return "; ".join(dict.fromkeys(sources))


def images_text(nets: Sequence[Net]) -> str:
    """Where the images of data layers lie, where layers have something to say about it."""
    places = (getattr(layer, "residence", "") for net in nets for layer in net.layers)
    return "; ".join(dict.fromkeys(filter(None, places)))


def sources_of(message: Any) -> list[str]:
    """The `source` of every block of a layer that has one, with its batch size."""
    found = []
    for field, block in message.ListFields():
        source = "" if field.message_type is None or is_repeated(field) else getattr(block, "source", "")
        if source:
            made = getattr(block, "batch_classes", 0) * getattr(block, "batch_images", 0)
            size = getattr(block, "batch_size", 0) or made
            items = " pairs" if images_in_row(block) == 2 else ""
            found.append(f"{source}, {size}{items} a batch" if size else source)
    return found


def images_per_iteration(solver: Solver) -> int:
    """Images that the data layers of the train net hand out in one iteration; rows where no layer reads images."""
    net, folder = solver.net, solver.net.definition.folder
    starts = [layer for layer in net.layers if not layer.definition.message.bottom and layer.definition.message.top]
    images = [layer for layer in starts if type(layer).image_shape(layer.definition, folder) is not None]
    counts = [rows(net, layer.definition.message.top[0]) * images_in_row(layer.settings) for layer in images]
    passes: int = solver.settings.iter_size
    return passes * (
        sum(counts) or max((rows(net, top) for one in starts for top in one.definition.message.top), default=1)
    )


def rows(net: Net, blob: str) -> int:
    """Size of the first axis of a blob."""
    return (*net.blobs[blob].shape, 1)[0]


def images_in_row(settings: Any) -> int:
    """2 for pairs, else 1."""
    return max(1, int(getattr(settings, "images_per_blob", 1)))


class Outcome(Listener):
    """Remembers what a run leaves behind: the newest tests, the newest snapshot, why it ended.

    options: words of the command line that going on needs again.
    """

    def __init__(self, options: tuple[str, ...] = ()) -> None:
        self.options = options
        self.tests: dict[int, TestResult] = {}
        self.paths: SnapshotPaths | None = None
        self.reason = StopReason.FAILED

    def on_test(self, solver: Solver, result: TestResult) -> None:
        """Keep the newest of each test net."""
        self.tests[result.net] = result

    def on_snapshot(self, solver: Solver, paths: SnapshotPaths) -> None:
        """Keep the newest."""
        self.paths = paths

    def on_end(self, solver: Solver, reason: StopReason) -> None:
        """Keep the reason."""
        self.reason = reason

    @property
    def outputs(self) -> set[str]:
        """Names of test outputs."""
        return {output.name for result in self.tests.values() for output in result.outputs}

    @property
    def scores(self) -> set[str]:
        """Names of test outputs that are no losses: accuracies."""
        outputs = (output for result in self.tests.values() for output in result.outputs)
        return {output.name for output in outputs if not output.loss_weight}

    def facts(self, solver: Solver, log: Path | None, report: Path | None = None) -> list[Fact]:
        """Scores, files and the command to go on, as pairs of a word and a text."""
        facts = [
            (name, f"{value:.6g} ({batches_text(result)})")
            for result in self.tests.values()
            for name, value in single_values(result.outputs).items()
        ]
        files = [*(self.paths or (None, None)), log, report]
        words = ("weights", "state", "log", "report")
        facts += [(word, str(path)) for word, path in zip(words, files, strict=True) if path]
        if self.paths and self.paths.state:
            facts.append(("go on" if self.reason is not StopReason.FINISHED else "train on", self.command(solver)))
        return facts

    def command(self, solver: Solver) -> str:
        """The line that goes on with this run; a finished one is given as many iterations again."""
        assert self.paths
        words = ["netforge", "train", "--solver", solver.definition.source, "--snapshot", str(self.paths.state)]
        options = self.options
        if self.reason is StopReason.FINISHED:
            options = tuple(word for word in options if not word.startswith("--set=max_iter="))
            options += (f"--set=max_iter={2 * solver.settings.max_iter}",)
        return shlex.join([*words, *options])


def query_facts(sources: Sequence[str], run: str) -> list[Fact]:
    """The command that shows how often a run drew each label, for each source that keeps it."""
    return [("drawn", shlex.join(["netforge", "data", "stats", source, "--run", run])) for source in sources]


def batches_text(result: TestResult) -> str:
    """Where a score comes from."""
    batches = counted(result.batches, "test batch", "test batches")
    which = f"test net #{result.net}, " if result.net else ""
    return f"{which}{batches} at iteration {result.iteration:,}"


def notes_of(solver: Solver) -> list[str]:
    """What the reader of the files wants to be known, each once, and whether anything is learned."""
    nets: list[NetDefinition] = [solver.net.definition, *(net.definition for net in solver.test_nets)]
    read = [*solver.definition.notes, *(note for net in nets for note in net.notes)]
    return list(dict.fromkeys([*read, *loss_notes(solver.net)]))


def loss_notes(net: Net) -> list[str]:
    """A note on a training net that no loss tells what to learn."""
    return [] if net.loss_weights else ["no layer of the training net is a loss, so nothing is learned"]
