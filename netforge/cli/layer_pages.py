"""The reference of layers as Markdown: of one type, or of all of them by family."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from netforge.cli.examples import example
from netforge.cli.markdown import code, fence, link, quoted, table
from netforge.schema import SettingHelp, describe_message, describe_settings

if TYPE_CHECKING:
    from netforge.layers.base import Layer, Slots

FAMILIES = {
    "Data and inputs": "Data ImageData DataSequence HDF5Data HDF5Output MemoryData Input DummyData Parameter Silence",
    "Convolution and pooling": "Convolution Deconvolution Im2col Pooling SPP",
    "Products and recurrence": "InnerProduct Embed Scale Bias LSTM RNN",
    "Activations": "ReLU PReLU ELU Swish Sigmoid TanH Clip AbsVal BNLL Exp Log Power Threshold Dropout",
    "Normalisation": "BatchNorm LRN MVN Normalization1",
    "Shapes and arithmetic": (
        "Concat Slice Split Flatten Reshape Tile Crop BatchReindex Filter Eltwise Reduction ArgMax"
    ),
    "Losses on embeddings": "ContrastiveLoss TripletLoss SupConLoss PrototypicalLoss",
    "Losses on scores": (
        "Softmax SoftmaxWithLoss InfogainLoss MultinomialLogisticLoss SigmoidCrossEntropyLoss HingeLoss EuclideanLoss"
    ),
    "Classes and accuracy": "Decode AccuracyDecode AccuracyEncoding Knn Accuracy",
    "Looking inside, and Python": "Debug Python",
}
"""The types of each family, in the order in which the page explains them."""

FOREIGN = "Layers of plugins"
NESTED = "Blocks within settings"
EVERY_LAYER = "What every layer takes"
SETTING_COLUMNS = ("setting", "type", "default", "range", "meaning")
BLOCKS = {"FillerParameter": "filler", "BlobShape": "shape"}
"""Words for blocks that stand in fields of many names."""

TITLES = {**BLOCKS, "NetStateRule": "include, exclude"}
"""Headings of blocks that stand in several fields; the others are called like their field."""

LEFT_OUT = {"phase", "blobs"}
"""Fields of a layer that files of weights have, and that nobody writes."""

INTRODUCTION = f"""\
Every layer type by family: what it does, its bottoms and tops, its settings, an example. The same is on the screen with
`netforge layers TYPE`, for layers of installed plugins too.

N is the number of items of a batch, C the channels, H and W the rows and columns of an image, D the size of an
embedding. Where the default is empty, the setting is unset, and the meaning says what follows. A range such as
`[0, inf)` includes the end at a square bracket; a value outside is an error with its line and column.

{link(EVERY_LAYER)} and the {link(NESTED, "blocks within settings")} stand at the end.
"""


def layers_page(types: Sequence[type[Layer]]) -> str:
    """The reference of all `types`, by family, with contents."""
    families = by_family(types)
    parts = ["# Layers", "", INTRODUCTION]
    for title, members in families.items():
        parts += [f"**{link(title)}**", ""]
        parts += table(("layer", "what it does"), [(link(cls.type), prose(first_line(cls), cls)) for cls in members])
    shown: dict[str, str] = {}
    for title, members in families.items():
        parts += [f"## {title}", ""]
        for cls in members:
            parts += layer_lines(cls, "###", shown)
    return "\n".join([*parts, *closing_lines(shown)])


def layer_page(cls: type[Layer]) -> str:
    """The reference of one type."""
    return "\n".join(layer_lines(cls, "##", None))


def layer_lines(cls: type[Layer], mark: str, shown: dict[str, str] | None) -> list[str]:
    """The lines about one type, below a heading that begins with `mark`.

    shown: the type under which each block of settings stands on this page; such a block is linked to, another one is
    added. None where the lines stand alone.
    """
    parts = [f"{mark} {cls.type}", "", prose(whole_docstring(cls), cls), ""]
    for heading, blobs in (("Bottoms", cls.bottoms), ("Tops", cls.tops)):
        parts += [f"{heading}, {blobs}:", "", *(f"- {line}" for line in slot_lines(blobs)), ""]
    if traits(cls):
        parts += [traits(cls), ""]
    for block in setting_blocks(cls):
        if shown is not None and block in shown:
            parts += [f"`{block} {{ ... }}`: as for {link(shown[block])}.", ""]
            continue
        parts += [f"`{block} {{ ... }}`", "", *settings_table(describe_settings(block), linked=shown is not None)]
        if shown is not None:
            shown[block] = cls.type
    return [*parts, *fence(example(cls), "protobuf")]


def closing_lines(blocks: Iterable[str]) -> list[str]:
    """What every layer takes, and the messages that stand in settings of `blocks`, one table each."""
    own = [one for one in describe_message("LayerParameter") if one.name not in {*LEFT_OUT, *_layer_blocks()}]
    parts = [f"## {EVERY_LAYER}", "", *settings_table(own, linked=True)]
    parts += fence(SHARING, "protobuf")
    parts += [f"## {NESTED}", ""]
    for message, title in nested_titles([own, *map(describe_settings, blocks)]).items():
        parts += [f"### {title}", ""]
        parts += settings_table(describe_message(message), linked=True)
        if message == "FillerParameter":
            parts += filler_lines()
    return parts


SHARING = """\
layer {
  name: "ip1_p"
  type: "InnerProduct"
  bottom: "pair_b"
  top: "ip1_p"
  param { name: "ip1_w" lr_mult: 1 }             # the weights that another layer calls "ip1_w" too
  param { name: "ip1_b" lr_mult: 2 decay_mult: 0 }
  inner_product_param { num_output: 32 }
  include { phase: TRAIN }
}"""


def filler_lines() -> list[str]:
    """The fillers by `type`."""
    from netforge.filler import FILLERS

    return table(("type", "values"), [(code(name), inspect.cleandoc(FILLERS[name].__doc__ or "")) for name in FILLERS])


def nested_titles(tables: Iterable[Iterable[SettingHelp]]) -> dict[str, str]:
    """Messages that settings hold, messages within them included, with the headings they go by."""
    titles: dict[str, str] = {}
    waiting = [one for settings in tables for one in settings]
    for one in waiting:
        if one.is_block and one.type not in titles:
            titles[one.type] = block_title(one)
            waiting += describe_message(one.type)
    return titles


def block_title(setting: SettingHelp) -> str:
    """The heading of the block that a setting holds."""
    return TITLES.get(setting.type, setting.name)


def settings_table(settings: Iterable[SettingHelp], *, linked: bool) -> list[str]:
    """A table of settings; `linked`: blocks within them are linked to their headings."""
    rows = []
    for one in settings:
        name, _, default, allowed, meaning = setting_row(one)
        allowed = ", ".join(map(code, one.choices)) if one.choices else code(allowed)
        rows.append((code(name), kind_of(one, linked=linked), code(default), allowed, quoted(meaning, one.choices)))
    return table(SETTING_COLUMNS, rows)


def setting_row(one: SettingHelp) -> tuple[str, str, str, str, str]:
    """Name, type, default, range and meaning of a setting as text."""
    allowed = " ".join(one.choices) if one.choices else one.range or ""
    return one.name, kind_of(one, linked=False), one.default or "", allowed, one.help


def kind_of(one: SettingHelp, *, linked: bool) -> str:
    """The type of a setting in words; that of a block with a link to its table, where that stands on the page."""
    word = BLOCKS.get(one.type, "block") if one.is_block else one.type
    shown = link(block_title(one), word) if one.is_block and linked else word
    return f"{shown}, repeated" if one.repeated else shown


def by_family(types: Iterable[type[Layer]]) -> dict[str, list[type[Layer]]]:
    """Headings and the types below them; types of no family are those of plugins."""
    left = {cls.type: cls for cls in types}
    families = {title: [left.pop(name) for name in names.split() if name in left] for title, names in FAMILIES.items()}
    families[FOREIGN] = list(left.values())
    return {title: members for title, members in families.items() if members}


def setting_blocks(cls: type[Layer]) -> list[str]:
    """The fields of LayerParameter that the type reads."""
    return [name for name in (cls.settings_field, *cls.also_reads) if name]


def slot_lines(blobs: Slots) -> list[str]:
    """One line per blob, optional ones marked."""
    lines = [*blobs.required, *(f"{text} (optional)" for text in blobs.optional)]
    return [*lines, f"{blobs.more} (any number)"] if blobs.more else lines or ["none"]


def traits(cls: type[Layer]) -> str:
    """What else one wants to know of a type, in one sentence; "" where it is like most."""
    facts = [
        "is a loss (weight 1 unless loss_weight says otherwise)" if cls.is_loss else "",
        "may work in place" if cls.in_place else "",
        "" if cls.differentiable else "has no gradient",
        "treats each item of a batch on its own" if cls.per_item else "",
        f"is also written {', '.join(cls.aliases)}" if cls.aliases else "",
        f"comes from {foreign_origin(cls)}" if foreign_origin(cls) else "",
    ]
    stated = [fact for fact in facts if fact]
    return f"{cls.type} {'; '.join(stated)}." if stated else ""


def whole_docstring(cls: type[Layer]) -> str:
    """The docstring without its indentation."""
    return inspect.cleandoc(cls.__doc__ or "(no description)")


def first_line(cls: type[Layer]) -> str:
    """The first line of the docstring."""
    return whole_docstring(cls).splitlines()[0]


def prose(text: str, cls: type[Layer]) -> str:
    """Text about a type, with its settings and their values as code where they cannot be mistaken for words."""
    settings = [one for block in setting_blocks(cls) for one in describe_settings(block)]
    names = {one.name for one in settings if "_" in one.name} | {word for one in settings for word in one.choices}
    return quoted(text, names | set(setting_blocks(cls)))


def foreign_origin(cls: type[Layer]) -> str:
    """The module of a type that netforge does not bring; "" for built-in types."""
    return "" if cls.__module__.split(".")[0] == "netforge" else cls.__module__


def _layer_blocks() -> set[str]:
    return {one.name for one in describe_message("LayerParameter") if one.name.endswith("_param")}
