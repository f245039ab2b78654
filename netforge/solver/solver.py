"""The training loop."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netforge import snapshot
from netforge.data.labels.label_queries import LabelQueryCounts
from netforge.data.sources.in_memory import InMemory, sources_in_memory
from netforge.device import get_device
from netforge.device.base import Device
from netforge.schema import SolverDefinition, read_solver, resolve_path
from netforge.snapshot import TrainingState
from netforge.solver import checkpoint, debug, guard, settings
from netforge.solver.evaluation import kept_positions, run_tests
from netforge.solver.events import Listener, SnapshotPaths, StopReason, outputs_of
from netforge.solver.iteration import Iteration
from netforge.solver.label_queries import label_queries_of
from netforge.solver.nets import build_nets
from netforge.solver.norms import NormMeter
from netforge.solver.notices import Notices
from netforge.solver.policies import make_policy
from netforge.solver.progress import Meter
from netforge.solver.rules import Buffers, make_rule


class Solver:
    """Trains a net as a solver file says.

    source: a solver prototxt's path, a SolverParameter message, or a SolverDefinition. device: "cpu", "cuda:N", "auto"
    or a Device; None takes the file's solver_mode. weights: files to start from, in place of those the file names.
    restore: a .solverstate to go on from. listeners: hear of everything that happens (`Listener`). plugins: modules
    that register layers. sources: what Data layers read in place of the sources of these names, each a Source or
    (images, labels). overrides: fields of SolverParameter to replace, e.g. max_iter=100.

    net, test_nets: the nets; the test nets use the train net's weights. iteration: finished updates. seed: of
    everything random. settings: the SolverParameter in force. load_reports: what files of weights brought. sources,
    plugins: as they were given.

    Raises a NetforgeError that names file, line and mend where anything does not fit.
    """

    def __init__(
        self,
        source: str | Path | SolverDefinition | Any,
        *,
        device: str | Device | None = None,
        weights: str | Path | Sequence[str | Path] = (),
        restore: str | Path | None = None,
        listeners: Iterable[Listener] = (),
        plugins: Sequence[str] = (),
        sources: Mapping[str, InMemory] | None = None,
        **overrides: Any,
    ) -> None:
        self.plugins = tuple(plugins)
        self.sources = dict(sources or {})
        self.definition = settings.override(read_solver(source), overrides)
        self.settings = self.definition.message
        self.listeners = list(listeners)
        device = settings.device_name(self.settings) if device is None else device
        self.device: Device = get_device(device) if isinstance(device, str) else device
        self._policy = make_policy(self.definition)
        self._rule = make_rule(self.definition)
        self.iteration = 0
        self.losses: deque[float] = deque(maxlen=self.settings.average_loss)
        self.load_reports: list[snapshot.LoadReport] = []
        self.restored_from: Path | None = None
        self._started = self._writable = False
        self._saved_at = -1
        self._stop_requests = 0
        self._stop_saves = True
        self._snapshot_requested = False
        self._meter = Meter()
        self._notices = Notices()
        state = snapshot.load_state(restore) if restore is not None else None
        self._build_nets(settings.choose_seed(self.settings) if state is None or state.seed is None else state.seed)
        try:
            if state is not None and restore is not None:
                self._restore(state, Path(restore))
            else:
                self._load_weights([weights] if isinstance(weights, str | Path) else list(weights))
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"Solver({self.definition.source!r}, {self.settings.type}, iteration={self.iteration})"

    def _repr_html_(self) -> str:
        """What a notebook shows: progress, newest losses, settings, the net."""
        from netforge.inspect import notebook

        return notebook.solver_html(self)

    # --- building --------------------------------------------------------------------------------------------------

    def _build_nets(self, seed: int) -> None:
        self.seed = seed
        with sources_in_memory(self.sources):
            self.net, self.test_nets = build_nets(self.definition, self.device, seed, self.plugins)
        self._work = Iteration(self.net, self._rule, self.settings)
        self._norms = NormMeter(self._work)

    @property
    def buffers(self) -> Buffers:
        """The flat arrays that an update works on."""
        return self._work.buffers

    @property
    def execution(self) -> str:
        """How iterations run: "one CUDA graph", or "eager: ..." with the reason and the layer at fault."""
        return self._work.execution

    def _load_weights(self, given: list[str | Path]) -> None:
        for name in given or settings.weight_files(self.definition):
            self.load_reports.append(self.net.copy_from(resolve_path(name, self.definition.folder)))

    # --- training --------------------------------------------------------------------------------------------------

    @property
    def rate(self) -> float:
        """The learning rate of the next update."""
        return self._policy(self.iteration)

    def solve(self) -> StopReason:
        """Train up to max_iter, then snapshot, display and test; returns why it ended.

        Raises NonFiniteError where NaN or infinity appears, SnapshotError where a snapshot cannot be written.
        """
        self.definition.need_max_iter()
        self._start(saves=self.settings.snapshot > 0 or self.settings.snapshot_after_train)
        try:
            reason = self.step(max(0, self.settings.max_iter - self.iteration))
            if reason is StopReason.FINISHED:
                self._finish()
        except BaseException:
            self.tell("on_end", StopReason.FAILED)
            raise
        self.tell("on_end", reason)
        return reason

    def step(self, count: int = 1) -> StopReason:
        """Do `count` iterations; `step(a)` then `step(b)` is the same as `step(a + b)`.

        Tests, displays and snapshots that fall due on the way are made. Returns FINISHED, or why it ended sooner.
        """
        self._start(saves=self.settings.snapshot > 0)
        end = self.iteration + count
        # what overflows is found by the check of the loss, with its layer
        with np.errstate(all="ignore"), self.device.running():
            while self.iteration < end:
                reason = self._iterate()
                if reason is not None:
                    self._stop_requests = 0
                    return reason
            self.net.settle()
        return StopReason.FINISHED

    def request_stop(self, *, save: bool = True) -> None:
        """Ask to stop; may be called from a signal handler or a listener.

        The first time, the iteration is finished, a snapshot is written (unless `save` is False) and training returns
        STOPPED; a test in progress is given up. The second time, training returns ABORTED as soon as the net is between
        two passes, without a snapshot.
        """
        self._stop_requests += 1
        self._stop_saves = save

    def request_snapshot(self) -> None:
        """Ask for a snapshot after the iteration in progress; may be called from a signal handler or a listener."""
        self._snapshot_requested = True

    def _start(self, *, saves: bool) -> None:
        if saves and not self._writable:
            snapshot.check_writable(settings.snapshot_prefix(self.definition).parent)
            self._writable = True
        if not self._started:
            self._started = True
            self.tell("on_start")

    def _iterate(self) -> StopReason | None:
        if self._is_due(self.settings.test_interval) and (self.iteration or self.settings.test_initialization):
            self.test()
        if self._stop_requests:
            return self._stop()
        if not self._compute_gradients():
            return StopReason.ABORTED
        self._update()
        self.iteration += 1
        self.tell("on_iteration")
        if self._is_due(self.settings.snapshot) or self._snapshot_requested:
            self.snapshot()
        return self._stop() if self._stop_requests else None

    def _is_due(self, interval: int) -> bool:
        return interval > 0 and self.iteration % interval == 0

    def _compute_gradients(self) -> bool:
        """Sum the gradients of iter_size passes, and show the loss if due; False where asked to stop at once."""
        start = time.perf_counter()
        showing, reads = self._is_due(self.settings.display), self._reads_loss
        lines: list[str] | None = [] if showing and self._work.debugs else None
        self._work.start(self.rate, self.iteration)
        loss = 0.0
        for number in range(self.settings.iter_size):
            if self._stop_requests > 1:
                return False
            loss += self._work.run_pass(number, self._read_loss if reads else None, lines)
        if reads:
            # float32, as a state keeps them, so that a resumed run shows the same mean
            self.losses.append(float(np.float32(loss / self.settings.iter_size)))
        self._meter.add(self.net, self.settings.iter_size, time.perf_counter() - start)
        if showing:
            if self._norms.is_due(self.iteration):
                self._norms.take_gradients()
            self._display()
        if lines:
            self.tell("on_debug", [*lines, debug.describe_totals(self.net)])
        return True

    def _read_loss(self) -> float:
        loss = self.net.loss()
        if not math.isfinite(loss):
            raise guard.nonfinite_loss(self, loss)
        return loss

    @property
    def _reads_loss(self) -> bool:
        """Whether this iteration's loss is read: always on the host, else where it is shown or in a shown mean.

        Reading it makes the host wait for a device. The display at the end shows the mean of the iterations before it,
        as no pass belongs to it.
        """
        display, last = self.settings.display, self.settings.max_iter
        if self.device.name == "cpu" or display < 1:
            return self.device.name == "cpu"
        left = last - self.iteration if last % display == 0 else 0
        return bool(-self.iteration % display < self.settings.average_loss or 0 < left <= self.settings.average_loss)

    def _update(self) -> None:
        start = time.perf_counter()
        if self._reads_loss:
            self._work.update()
        self._meter.seconds += time.perf_counter() - start
        if self._work.debugs and self._is_due(self.settings.display):
            self.tell("on_debug", debug.describe_update(self.net))
        norms = self._norms.take_updates(self.iteration)
        if norms is not None:
            self.tell("on_norms", norms)

    def _display(self) -> None:
        loss = sum(self.losses) / len(self.losses) if self.losses else math.nan
        self.tell("on_display", self._meter.take(self.iteration, loss, self.rate, outputs_of(self.net)))
        self._notices.ask(self)

    def _stop(self) -> StopReason:
        if self._stop_requests > 1:
            return StopReason.ABORTED
        if self._stop_saves and self._saved_at != self.iteration:
            self.snapshot()
        return StopReason.STOPPED

    def _finish(self) -> None:
        """Snapshot, display and test, and leave everything as it was for whoever trains on.

        Caffe runs one more training pass here, which would move layer states on, and tests only if test_interval
        divides max_iter.
        """
        if self.settings.snapshot_after_train and self._saved_at != self.iteration:
            self.snapshot()
        if self._is_due(self.settings.display) and self.losses:
            self._display()
        with kept_positions(self.test_nets):
            self.test()
        self._stop_requests = 0

    # --- testing ---------------------------------------------------------------------------------------------------

    def test(self) -> list[dict[str, Any]]:
        """Run every test net over its test_iter batches; returns the mean of each output by name, one dict a net.

        Single values are floats, others arrays. Empty where a stop was requested meanwhile: then every test net's data
        position is as it was.
        """
        results = run_tests(self, interrupted=lambda: self._stop_requests > 0)
        queries = self.label_queries
        if len(results) == len(self.test_nets) and any(entry.counts.any() for entry in queries):
            self.tell("on_label_queries", queries)
        return [result.as_dict() for result in results]

    @property
    def label_queries(self) -> list[LabelQueryCounts]:
        """How often training drew each label, since its first iteration, resumed runs included: one entry a source."""
        return label_queries_of(self.net)

    # --- snapshots -------------------------------------------------------------------------------------------------

    def snapshot(self) -> SnapshotPaths:
        """Write weights and state as PREFIX_iter_N.caffemodel and PREFIX_iter_N.solverstate; returns their paths.

        Raises NonFiniteError where a weight is NaN or infinite, so that what is on the disk stays good; SnapshotError
        where the disk refuses.
        """
        self._snapshot_requested = False
        guard.refuse_bad_weights(self)
        paths = checkpoint.write(self)
        self._saved_at = self.iteration
        self.tell("on_snapshot", paths)
        return paths

    def restore(self, path: str | Path) -> None:
        """Go on from a .solverstate: weights, histories, iteration, and what the layers remember.

        Where the state was written with another seed the nets are built anew with it: take `net` and `test_nets` again.
        Raises SnapshotError where the file is damaged or belongs to another net or rule.
        """
        state = snapshot.load_state(path)
        if state.seed not in (None, self.seed):
            self.close()
            self._build_nets(int(state.seed or 0))
        self._restore(state, Path(path))

    def _restore(self, state: TrainingState, path: Path) -> None:
        self.load_reports.append(checkpoint.restore(self, state, path))
        self.iteration = self._saved_at = state.iteration
        self.losses = deque(state.losses, maxlen=self.settings.average_loss)
        self.restored_from = path

    # --- the rest --------------------------------------------------------------------------------------------------

    def tell(self, event: str, *what: Any) -> None:
        """Call the method `event` of every listener."""
        for listener in self.listeners:
            getattr(listener, event)(self, *what)

    def close(self) -> None:
        """Let go of threads and files of all nets."""
        for net in (self.net, *self.test_nets):
            net.close()
