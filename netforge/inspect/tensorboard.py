"""A run as TensorBoard shows it: curves, histograms of weights and gradients, and embeddings for its Projector.

    solver = netforge.Solver("solvers/siamese_digits.prototxt", listeners=[TensorBoard("tb/first")])
    solver.solve()  # tensorboard --logdir tb

Curves: run/ has loss (the mean that displays show), learning_rate and iterations_per_second; train/ and test/ (test0/,
test1/ ... where there are several test nets) each output by its name; train_labels/SOURCE/ the hit percent and the
epochs of each label, or the lowest and the highest where there are many labels; weights_rms/ root mean squares of each
weight, its gradient and its update. Histograms, by layer and number: weights/ and weights_gradients/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from netforge.blob import Blob
from netforge.data.sources.in_memory import sources_in_memory
from netforge.errors import SnapshotError
from netforge.inspect.embeddings import computed_embeddings
from netforge.inspect.event_file import PATTERN, EventFile
from netforge.inspect.projector import write_projector
from netforge.inspect.sample import sample_images
from netforge.net.running import image_layer
from netforge.recognition.embedder import Embedder
from netforge.solver.events import Display, Listener, Norms, Output, SnapshotPaths, StopReason, TestResult

if TYPE_CHECKING:
    from netforge.data.labels.label_queries import LabelQueryCounts
    from netforge.solver.solver import Solver

MOST_CURVES = 32
"""An output of more values, or a source of more labels, gets no curve for each."""


class TensorBoard(Listener):
    """Writes event files for TensorBoard while a solver trains, and the Projector's files when it ends.

    folder: of one run; a run that goes on with another one writes to the same folder. projector: whether to embed at
    most 1,000 images of the test source at the end, where the net has an embedding.

    Weights are read, and their histograms written, at each test and each snapshot; gradients at the first display
    behind that: the mean over iter_size passes, before clipping, decay and rate. A device is not asked for anything at
    other times.

    Training raises SnapshotError at its start where the folder cannot be written to. Later on it goes on without event
    files, and that is said once, as a notice. A log or a screen that shall have that notice listens behind this one.
    """

    def __init__(self, folder: str | Path, *, projector: bool = True) -> None:
        self.folder = Path(folder)
        self._projector = projector
        self._events: EventFile | None = None
        self._weights_at: int | None = None
        self._wants_gradients = self._replaces = False
        self._stored: tuple[int, Path] | None = None

    def on_start(self, solver: Solver) -> None:
        """Begin an event file; steps that an earlier file of the folder has from here on no longer count.

        Raises SnapshotError where it cannot be written.
        """
        others = any(self.folder.glob(PATTERN))
        try:
            self._events = EventFile(self.folder, solver.iteration)
        except OSError as error:
            raise SnapshotError(
                f"event files cannot be written: {error.strerror}",
                where=str(self.folder),
                mend="give TensorBoard a folder that you may write to, on a disk with room",
            ) from error
        self._replaces = others and solver.restored_from is None

    def on_iteration(self, solver: Solver) -> None:
        """Say, once all who listen have begun, that an earlier run of the folder is shown no more."""
        if self._replaces:
            self._replaces = False
            text = f"{self.folder} has another run, which TensorBoard will show no more: give each run a folder"
            solver.tell("on_notice", text)

    def on_display(self, solver: Solver, display: Display) -> None:
        """Loss, learning rate, speed and outputs; gradients where they are wanted."""
        scalars = {"run/loss": display.loss, "run/learning_rate": display.rate}
        if display.seconds:
            scalars["run/iterations_per_second"] = display.iterations / display.seconds
        scalars |= _outputs("train", display.outputs)
        self._write(solver, lambda events: events.add_scalars(display.iteration, scalars))
        settings = solver.settings
        ended = settings.HasField("max_iter") and solver.iteration >= settings.max_iter
        if self._wants_gradients and not ended:
            self._wants_gradients = False  # a display behind the last update finds that update in place of gradients
            passes = settings.iter_size
            self._write_histograms(solver, "weights_gradients", lambda blob: blob.diff / passes)

    def on_norms(self, solver: Solver, norms: Norms) -> None:
        """Root mean squares of each weight, its gradient and its update."""
        parts = {"weight": norms.weights, "gradient": norms.gradients, "update": norms.updates}
        scalars = {
            f"weights_rms/{name}/{part}": size
            for part, sizes in parts.items()
            for name, size in zip(norms.names, sizes, strict=True)
        }
        self._write(solver, lambda events: events.add_scalars(norms.iteration, scalars))

    def on_test(self, solver: Solver, result: TestResult) -> None:
        """Outputs, and histograms of the weights."""
        group = "test" if len(solver.test_nets) == 1 else f"test{result.net}"
        scalars = _outputs(group, result.outputs)
        if result.loss is not None:
            scalars[f"{group}/mean_loss"] = result.loss
        self._write(solver, lambda events: events.add_scalars(result.iteration, scalars))
        self._write_weights(solver)

    def on_label_queries(self, solver: Solver, queries: Sequence[LabelQueryCounts]) -> None:
        """How often training drew each label."""
        scalars: dict[str, float] = {}
        for entry in queries:
            for name, values in (("hit_percent", entry.hit_percent), ("epochs", entry.epochs)):
                if values is not None:
                    curves = _curves(entry.labels.tolist(), values.tolist())
                    scalars |= {f"train_labels/{entry.source}/{name}/{key}": value for key, value in curves.items()}
        self._write(solver, lambda events: events.add_scalars(solver.iteration, scalars))

    def on_snapshot(self, solver: Solver, paths: SnapshotPaths) -> None:
        """Histograms of the weights."""
        self._stored = (solver.iteration, paths.weights) if paths.weights else None
        self._write_weights(solver)

    def on_end(self, solver: Solver, reason: StopReason) -> None:
        """The Projector's files, unless training failed or was broken off; close the event file."""
        if self._events is None:
            return
        if self._projector and reason in (StopReason.FINISHED, StopReason.STOPPED):
            try:
                self._project(solver)
            except Exception as error:  # whatever it is: the training was good
                solver.tell("on_notice", f"embeddings are not written for TensorBoard: {error}")
        self.close()

    def close(self) -> None:
        """Close the event file: for those who step a solver, which tells of no end."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def _project(self, solver: Solver) -> None:
        """Embed test images and write them; nothing where the net reads no images or has no embedding."""
        (definition, state), tests = solver.definition.train_net(), solver.definition.test_nets()
        tested = tests[0][0] if tests else definition
        with ExitStack() as stack:
            stack.enter_context(sources_in_memory(solver.sources))
            if image_layer(tested) is None:
                return
            weights = stack.enter_context(self._weights(solver))
            net = Embedder(definition, weights, level=state.level, stages=state.stages, device=solver.device)
            embedder = stack.enter_context(net)
            if embedder.has_embedding:
                write_projector(self.folder, computed_embeddings(embedder, sample_images(tested)))

    @contextmanager
    def _weights(self, solver: Solver) -> Iterator[Path]:
        """A file with the weights of now: the snapshot where there is one, else one that is removed again."""
        if self._stored is not None and self._stored[0] == solver.iteration and self._stored[1].is_file():
            yield self._stored[1]
            return
        with TemporaryDirectory() as folder:
            path = Path(folder) / "now.caffemodel"
            solver.net.save(path)
            yield path

    def _write_weights(self, solver: Solver) -> None:
        if self._weights_at != solver.iteration:
            self._weights_at, self._wants_gradients = solver.iteration, True
            self._write_histograms(solver, "weights", lambda blob: blob.data)

    def _write_histograms(self, solver: Solver, group: str, part: Callable[[Blob], Any]) -> None:
        """Write the histogram of one array of each weight that learns."""
        to_host = solver.net.device.to_host
        arrays = ((f"{group}/{entry.label}", to_host(part(entry.blob))) for entry in solver.net.learnable)
        self._write(solver, lambda events: events.add_histograms(solver.iteration, arrays))

    def _write(self, solver: Solver, write: Callable[[EventFile], None]) -> None:
        """Let `write` write, if nothing went wrong before."""
        if self._events is None:
            return
        try:
            write(self._events)
        except OSError as error:
            path = self._events.path
            self.close()
            text = f"{path}: {error.strerror}. TensorBoard hears no more of this run; training goes on"
            solver.tell("on_notice", text)


def _outputs(group: str, outputs: Sequence[Output]) -> dict[str, float]:
    """A curve for each output, or for each of its values where there are few; none for embeddings and the like."""
    scalars: dict[str, float] = {}
    for output in outputs:
        values = output.values.ravel().tolist()
        if len(values) == 1:
            scalars[f"{group}/{output.name}"] = values[0]
        elif len(values) <= MOST_CURVES:
            scalars |= {f"{group}/{output.name}/{number}": value for number, value in enumerate(values)}
    return scalars


def _curves(labels: Sequence[int], values: Sequence[float]) -> Mapping[str, float]:
    """The value of each label, or the lowest and the highest of many."""
    if len(values) > MOST_CURVES:
        return {"lowest": min(values), "highest": max(values)}
    return {str(label): value for label, value in zip(labels, values, strict=True)}
