"""Phase RUN: the net that recognises one image, derived from the file that trained it.

Data layers give way to an Input layer, losses and what hangs only on labels are dropped, and SoftmaxWithLoss becomes
Softmax. Of a file that has an Input layer in phase RUN already, only Debug layers are dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from netforge.errors import NetError, NetforgeError
from netforge.net.wiring import describe, find_class
from netforge.schema import LayerDefinition, NetDefinition, merge_state, messages


def running_definition(
    definition: NetDefinition, level: int | None = None, stages: Sequence[str] = ()
) -> NetDefinition:
    """The layers that run on one image; the file's own include and exclude rules for phase RUN apply first.

    Raises NetError where there is no data layer to take the input's name and shape from, or where nothing is left.
    """
    selected = definition.select(merge_state(definition, "RUN", level, tuple(stages)))
    selected = replace(selected, layers=tuple(_without_debug(selected.layers)))
    classes = [find_class(layer) for layer in selected.layers]
    if any(cls.type == "Input" for cls in classes):
        return selected
    entry = _input_layer(definition)
    kept = [layer for layer, cls in zip(selected.layers, classes, strict=True) if cls.bottoms.most]
    labels = {top for layer in definition.layers if not layer.message.bottom for top in layer.message.top[1:]}
    layers = _connect(entry, _without_losses(kept), labels)
    if len(layers) == 1:
        raise NetError("no layer is left in phase RUN", where=definition.place, mend="look at its exclude rules")
    return replace(selected, layers=tuple(layers))


@contextmanager
def for_one_image() -> Iterator[None]:
    """Of a layer that does not fit into the net for one image, errors say that it is this net, and the way out."""
    try:
        yield
    except NetError as error:
        if error.layer is not None:
            error.found += " in phase RUN, the net for one image"
            way = "keep what only training needs out of it: exclude { phase: RUN }"
            error.mend = f"{error.mend.rstrip('.')}, or {way}" if error.mend else way
        raise


def _without_debug(layers: Sequence[LayerDefinition]) -> list[LayerDefinition]:
    """Drop Debug layers, whose readers then read what they hand on.

    Raises NetError where that was rewritten in place meanwhile: only the copy that the Debug layer made still holds it.
    """
    stands_for: dict[str, str] = {}
    rewritten: dict[str, str] = {}
    kept = []
    for layer in layers:
        names = [stands_for.get(name, name) for name in layer.message.bottom]
        for name in rewritten.keys() & set(layer.message.bottom):
            raise NetError(
                f'"{name}", a copy that a Debug layer made, is read after "{rewritten[name]}" was rewritten in place',
                where=layer.place,
                layer=describe(layer),
                mend=f'phase RUN has no Debug layers: give the layer that rewrites "{rewritten[name]}" another top',
            )
        if find_class(layer).type == "Debug" and names and layer.message.top:
            stands_for[layer.message.top[0]] = names[0]
            continue
        for top in layer.message.top:
            stands_for.pop(top, None)
            rewritten.update({name: top for name, source in stands_for.items() if source == top != name})
        if names != list(layer.message.bottom):
            layer = _with_bottoms(layer, names)
        kept.append(layer)
    return kept


def _with_bottoms(layer: LayerDefinition, names: Sequence[str]) -> LayerDefinition:
    """The layer, reading other blobs."""
    message: Any = messages.LayerParameter()
    message.CopyFrom(layer.message)
    message.bottom[:] = names
    return layer.copy_with(message)


def image_layer(definition: NetDefinition) -> tuple[LayerDefinition, tuple[int, ...]] | None:
    """The data layer of TEST, else of TRAIN, that brings images in, and the shape of one; None where there is none.

    Raises what opening its source raises, with the layer's place.
    """
    for phase in ("TEST", "TRAIN"):
        for layer in definition.select(merge_state(definition, phase)).layers:
            try:
                shape = find_class(layer).image_shape(layer, definition.folder)
            except NetforgeError as error:
                raise error.at(layer.place, describe(layer)) from error.__cause__
            if shape is not None and layer.message.top:
                return layer, shape
    return None


def _input_layer(definition: NetDefinition) -> LayerDefinition:
    """An Input layer in place of the data layer, for one image of its source, which has to be there."""
    try:
        found = image_layer(definition)
    except NetforgeError as error:
        raise _without_source(error, definition.folder) from error.__cause__
    if found is None:
        raise NetError(
            "phase RUN needs an Input layer, or a Data layer whose place it can take",
            where=definition.place,
            mend='add a layer of type "Input" with include { phase: RUN }',
        )
    layer, shape = found
    name = layer.message.top[0]
    message = messages.LayerParameter(name=name, type="Input", top=[name])
    message.input_param.shape.add(dim=[1, *shape])
    return layer.copy_with(message)


def _without_source(error: NetforgeError, folder: Path | None) -> NetforgeError:
    """The error of a data layer whose source cannot be asked for the shape of an image, with the way around it."""
    error.found = f"phase RUN takes the shape of its input from the data layer's source, but {error.found}"
    deploy = folder / "deploy.prototxt" if folder is not None else None
    if deploy is not None and deploy.is_file():
        other = f"use {deploy}, which has an Input layer and needs no data"
    else:
        other = "add a layer of type Input with include { phase: RUN }, which needs no data"
    error.mend = f"{error.mend.rstrip('.')}, or {other}" if error.mend else other
    return error


def _without_losses(layers: Sequence[LayerDefinition]) -> list[LayerDefinition]:
    """Drop losses; SoftmaxWithLoss turns into Softmax where the net has none."""
    has_softmax = any(find_class(layer).type == "Softmax" for layer in layers)
    kept = []
    for layer in layers:
        cls = find_class(layer)
        if cls.type == "SoftmaxWithLoss" and not has_softmax:
            message: Any = messages.LayerParameter(name=layer.name, type="Softmax", bottom=[layer.message.bottom[0]])
            message.top.append(layer.message.top[0] if layer.message.top else layer.name)
            message.softmax_param.CopyFrom(layer.message.softmax_param)
            kept.append(layer.copy_with(message))
        elif not cls.is_loss:
            kept.append(layer)
    return kept


def _connect(
    entry: LayerDefinition, layers: Sequence[LayerDefinition], labels: Collection[str]
) -> list[LayerDefinition]:
    """Join what is left to the input. labels: what data layers give besides images.

    The first layer may read a blob that a dropped layer made of the image (Slice, DataSequence): that name means the
    image from then on. Of the other bottoms, missing optional ones (labels) are cut off, and a layer that misses a
    required one is dropped.
    """
    image = entry.message.top[0]
    made = {top for layer in layers for top in layer.message.top}
    stands_for = {image: image}
    connected = [entry]
    for layer in layers:
        message: Any = messages.LayerParameter()
        message.CopyFrom(layer.message)
        del message.include[:], message.exclude[:], message.bottom[:]
        for name in layer.message.bottom[: _most_bottoms(layer)]:
            if len(connected) == 1 and not message.bottom and name not in made and name not in labels:
                stands_for.setdefault(name, image)
            if name not in stands_for:
                break
            message.bottom.append(stands_for[name])
        if len(message.bottom) < len(find_class(layer).bottoms.required):
            continue
        del message.propagate_down[:]
        stands_for.update({top: top for top in message.top})
        connected.append(layer.copy_with(message))
    return connected


def _most_bottoms(layer: LayerDefinition) -> int | None:
    """How many bottoms max_bottom_count leaves in phase RUN; None for all."""
    limit = layer.message.max_bottom_count
    return int(limit.count) if limit.HasField("count") and limit.phase == messages.RUN else None
