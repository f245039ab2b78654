"""The part of a run's report that looks into its net, its weights and its sources, as far as they can be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from netforge.data.sheets.sheet import tile, tile_size
from netforge.data.source import Source
from netforge.data.sources.image_set import ImageSet
from netforge.data.sources.opening import open_source
from netforge.device import get_device
from netforge.device.base import Device
from netforge.errors import DataError, NetError, NetforgeError, SnapshotError, counted
from netforge.inspect import embedding_page
from netforge.inspect.blob_pictures import weight_picture
from netforge.inspect.canvas_svg import to_svg
from netforge.inspect.confusion import confusion_chart
from netforge.inspect.diagram import diagram
from netforge.inspect.embedding_map import make_map
from netforge.inspect.embeddings import Embeddings, computed_embeddings, stored_embeddings
from netforge.inspect.page import Html, card, code, element, facts, join, picture, table
from netforge.inspect.pictures import png_bytes
from netforge.inspect.run import Run
from netforge.inspect.run_plugins import import_plugins
from netforge.inspect.sample import MOST_IMAGES, sample_images
from netforge.inspect.weights import image_order
from netforge.inspect.wording import shape_text
from netforge.net import Net
from netforge.net.timing import measure
from netforge.recognition import Outcome, Recognizer, recognize_labelled
from netforge.recognition.loading import load
from netforge.schema import NetDefinition, SolverDefinition, parse_net, parse_solver
from netforge.snapshot import TRAIN_NET
from netforge.snapshot.weights import stored_layers

MOST_MISTAKES = 24
MOST_CLASSES = 150  # of a confusion matrix
TSNE_FROM = 40  # fewer items than this are shown by their principal components
LEAST_SCALE = 0.75  # of a diagram in a narrow card; beyond it scrolls
QUICK_TIMING_S = 0.5  # an iteration that takes less is measured several times


class Model:
    """What a run has left besides its log: its net, weights, stored embeddings and sources, each opened when asked for.

    Properties raise a NetforgeError that says what is missing. Close it, or use it in `with`.
    """

    def __init__(self, run: Run, device: str | Device = "cpu") -> None:
        self.run = run
        self._device = device
        self._open = ExitStack()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def device(self) -> Device:
        """Where nets run."""
        return get_device(self._device) if isinstance(self._device, str) else self._device

    @cached_property
    def definition(self) -> NetDefinition:
        """The training net as the log has it, unfiltered; raises DataError where an old log has none."""
        if not self.run.nets:
            raise DataError(
                "the log does not hold the net: an earlier version has written it", where=str(self.run.path)
            )
        import_plugins(self.run)
        name, text = next(iter(self.run.nets.items()))
        return parse_net(text, name, (Path(self.run.folder) / name).parent)

    @cached_property
    def plan(self) -> Net:
        """The training net without memory: shapes only."""
        net = Net(self.definition, "TRAIN", *self._train_state, plan_only=True)
        self._open.callback(net.close)
        return net

    def class_names(self, source: str) -> dict[int, str]:
        """Label to name, of the classes of a source; none where it is gone, for a page says labels then."""
        try:
            return open_source(None, source, folder=Path(self.run.folder), header_only=True).class_names
        except NetforgeError:
            return {}

    def training_net(self) -> Net:
        """The training net with memory and with its weights, where those are still there; the caller closes it."""
        found = self.run.newest("weights")
        return Net(self.definition, "TRAIN", *self._train_state, self.device, weights=[str(found)] if found else [])

    def net_of(self, which: int, seed: int | None) -> Net:
        """The training net (TRAIN_NET) or a test net (its number), without weights; the caller closes it.

        It lies on the CPU, and takes no memory before it runs. Raises a NetforgeError where it cannot be built, or the
        solver has no such test net.
        """
        if which == TRAIN_NET:
            return Net(self.definition, "TRAIN", *self._train_state, seed=seed)
        tests = self._solver.test_nets()
        if which >= len(tests):
            raise NetError(f"the solver has {counted(len(tests), 'test net')}, and no #{which}", where=self.run.source)
        definition, state = tests[which]
        return Net(definition, state.phase, state.level, state.stages, seed=seed)

    @cached_property
    def _solver(self) -> SolverDefinition:
        return parse_solver(self.run.solver, self.run.source, (Path(self.run.folder) / self.run.source).parent)

    @property
    def _train_state(self) -> tuple[int | None, tuple[str, ...]]:
        """Level (None: the file's) and stages that the solver trains with."""
        state = self._solver.message.train_state
        return state.level if state.HasField("level") else None, tuple(state.stage)

    @property
    def weights(self) -> Path:
        """The newest snapshot of weights that is still there."""
        return self._newest("weights", "weights")

    @property
    def state(self) -> Path:
        """The newest solver state that is still there."""
        return self._newest("state", "solver state")

    def _newest(self, kind: Literal["weights", "state"], word: str) -> Path:
        found = self.run.newest(kind)
        if found is None:
            written = [name for entry in self.run.snapshots if (name := getattr(entry, kind))]
            reason = f"{written[-1]} is gone" if written else f"the run has stored no {word}"
            raise SnapshotError(reason, where=str(self.run.path))
        return found

    @cached_property
    def recognizer(self) -> Recognizer:
        """The net with its weights, for single images."""
        return self._open.enter_context(load(self.definition, self.weights, device=self.device))

    @cached_property
    def images(self) -> ImageSet:
        """At most MOST_IMAGES labelled images of what the run was tested with, drawn at random but always the same."""
        return sample_images(self.definition)

    @cached_property
    def outcome(self) -> Outcome:
        """What the net makes of `images`."""
        return recognize_labelled(self.recognizer, self.images)


def cards_of_model(model: Model, *, full: bool) -> Iterator[Html]:
    """Embeddings, filters, diagram, layers; where `full`, also what takes forward passes."""
    yield shown("Embedding map", lambda: embedding_card(model, full=full))
    if full:
        yield shown("Confusion matrix", lambda: confusion_card(model))
        yield shown("Worst mistakes", lambda: mistakes_card(model))
    if not full:
        command = code(f"netforge report {model.run.path}")
        words = join(
            [command, " adds what takes forward passes: confusions, worst mistakes and the time that each layer takes."]
        )
        yield card("More", element("p", words))
    yield shown("First convolution", lambda: filters_card(model))
    yield shown("Diagram", lambda: diagram_card(model))
    yield shown("Layers", lambda: layers_card(model, full=full))


def shown(title: str, make: Callable[[], Html]) -> Html:
    """The card that `make` makes, or one that says why there is none."""
    try:
        return make()
    except NetforgeError as error:
        return card(title, element("p", f"Not shown: {error}", class_="note"))


def embedding_card(model: Model, *, full: bool) -> Html:
    """The map of what a Debug layer stored, else (where `full`) of test images, and how classes stand apart."""
    found = _embeddings(model, full=full)
    wide = found.vectors.shape[1] != 2
    method = "none" if not wide else "tsne" if full and len(found.vectors) >= TSNE_FROM else "pca"
    made = make_map(found, method)
    return card(
        "Embedding map",
        embedding_page.map_view(made),
        facts([*made.rows(), ("map", made.method), *found.rows()]),
        note=f"{counted(len(found.vectors), 'item')} of {found.name}. Wheel and drag zoom and move.",
    )


def _embeddings(model: Model, *, full: bool) -> Embeddings:
    try:
        return stored_embeddings(model.state, most=MOST_IMAGES, net_of=model.net_of)
    except SnapshotError:
        if not full:
            raise
    return computed_embeddings(model.recognizer.embedder, model.images)


def confusion_card(model: Model) -> Html:
    """Which classes of the test images were taken for which; raises DataError where they are too many to show."""
    outcome = model.outcome
    found = outcome.confusion
    if max(found.counts.shape) > MOST_CLASSES:
        raise DataError(
            f"{counted(len(found.labels), 'class', 'classes')} are too many for a page",
            mend="netforge test-many --png draws them",
        )
    right, total = int(outcome.right.sum()), len(outcome.right)
    note = f"{right:,} of {counted(total, 'image')} of {outcome.images.name} right ({right / total:.2%}), by "
    return card("Confusion matrix", confusion_chart(outcome), note=note + model.recognizer.rule)


def mistakes_card(model: Model) -> Html:
    """The images that were furthest from being right."""
    outcome = model.outcome
    wrong = np.flatnonzero(~outcome.right)
    if not len(wrong):
        return card("Worst mistakes", element("p", f"All of {counted(len(outcome.right), 'image')} are right."))
    offence = np.nan_to_num(outcome.own_distances - outcome.answers.distance, nan=0.0)
    worst = wrong[np.argsort(-offence[wrong], kind="stable")][:MOST_MISTAKES]
    tiles = [_mistake(model, number) for number in worst.tolist()]
    note = f"{counted(len(wrong), 'image')} wrong; those come first that are furthest from their own class"
    return card("Worst mistakes", element("div", *tiles, class_="tiles"), note=note)


def _mistake(model: Model, number: int) -> Html:
    outcome, names = model.outcome, [known.name for known in model.recognizer.classes]
    pixels = _pixels(outcome.images, number)
    own, answer = outcome.class_name(int(outcome.labels[number])), names[int(outcome.answers.first[number])]
    source, at = outcome.images.origin(number)
    tip = (
        f"image {at} of {source}\n{own}: {outcome.own_distances[number]:.4g}\n"
        f"{answer}: {outcome.answers.distance[number]:.4g}"
    )
    return picture(pixels, f"{own}, taken for {answer}", caption=f"{own} → {answer}", tip=tip)


def _pixels(source: Source, number: int) -> bytes:
    images, _ = source.read(np.array([number]))
    return png_bytes(tile(images[0], source, tile_size(source.shape, 64, 96)))


def filters_card(model: Model) -> Html:
    """The filters of the first convolution as pictures, in colours where it has three planes.

    Raises NetError where the net has no convolution, SnapshotError where the weights have none of its filters.
    """
    first = next((layer for layer in model.plan.layers if layer.type == "Convolution"), None)
    if first is None:
        raise NetError("the net has no convolution")
    stored = {layer.name: layer for layer in stored_layers(model.weights)}
    kept = stored.get(first.name)
    if kept is None or 0 not in kept.blobs or len(kept.blobs[0].shape) != 4:
        raise SnapshotError(f'no filters of "{first.name}" are stored', where=str(model.weights))
    sheet, what = weight_picture(kept.blobs[0].read(), image_order(model.definition) or "RGB")
    note = f"{first.name}: {what}, from {model.weights.name}"
    return card("First convolution", picture(png_bytes(sheet), note), note=note)


def layers_card(model: Model, *, full: bool) -> Html:
    """The layers of the training net, with shapes and weights, and where `full` with the time that each takes."""
    headings, rows, note = ["layer", "type", "outputs", "weights", "multiply-adds"], [], ""
    for row in model.plan.describe():
        tops = ", ".join(f"{name} {shape_text(shape)}" for name, shape in row.tops)
        shared = next((f"of {one.shared_with}" for one in row.weights if one.shared_with), "")
        count = f"{row.weight_count:,}" if row.weight_count else shared
        rows.append([row.name, row.type, tops, count, f"{row.multiply_adds:,}" if row.multiply_adds else ""])
    if full:
        try:
            times, note = _times(model)
        except NetforgeError as error:
            note = f"Times are not shown: {error}"
        else:
            headings += ["forward ms", "backward ms", "share"]
            rows = [row + cells for row, cells in zip(rows, times, strict=True)]
    return card("Layers", table(headings, rows, right=(3, 4, 5, 6, 7)), note=note, wide="double")


def _times(model: Model) -> tuple[list[list[str]], str]:
    """The cells of forward, backward and share for each layer of the training net, and how they were measured."""
    with model.training_net() as net:
        timing = measure(net, 1)
        quick = timing.forward_pass + timing.backward_pass < QUICK_TIMING_S
        timing = measure(net, 5 if quick else 1)
    total = sum(timing.forward) + sum(timing.backward)
    cells = [
        [
            f"{timing.milliseconds(forward):.3f}",
            f"{timing.milliseconds(backward):.3f}" if backward else "",
            f"{(forward + backward) / total:.1%}",
        ]
        for forward, backward in zip(timing.forward, timing.backward, strict=True)
    ]
    both = timing.milliseconds(timing.forward_pass + timing.backward_pass)
    return (
        cells,
        f"forward and backward take {both:.4g} ms an iteration on {model.device.name}, measured for this report",
    )


def diagram_card(model: Model) -> Html:
    """The training net as a diagram, which shrinks to narrow cards as far as it can still be read."""
    drawing = diagram(model.plan)
    style = f"--least:{LEAST_SCALE * drawing.width:.0f}px"
    return card("Diagram", element("div", Html(to_svg(drawing, embedded=True)), class_="scroll diagram", style=style))
