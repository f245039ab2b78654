"""Small prototxt examples for `netforge layers TYPE`: a block that reads back, with the settings one usually gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netforge.layers.base import Layer

# Settings as they are usually given; types that do well with their defaults are not listed.
USUAL_SETTINGS = {
    "BatchNorm": ("scale_bias: true",),
    "Clip": ("min: 0", "max: 6"),
    "ContrastiveLoss": ("margin: 2", "output_matches: true"),
    "Convolution": ("num_output: 20", "kernel_size: 5", 'weight_filler { type: "xavier" }'),
    "Crop": ("axis: 2", "offset: 4"),
    "Data": (
        'source: "digits.training"',
        "backend: IMAGEDB",
        "batch_size: 64",
        "images_per_blob: 2",
        "output_all_labels: true",
    ),
    "DataSequence": ("k: 1", "cache_size: 64"),
    "Deconvolution": ("num_output: 20", "kernel_size: 4", "stride: 2", "pad: 1", 'weight_filler { type: "bilinear" }'),
    "Dropout": ("dropout_ratio: 0.3",),
    "DummyData": ("shape { dim: 64 dim: 1 dim: 28 dim: 28 }", 'data_filler { type: "gaussian" }'),
    "Eltwise": ("operation: SUM", "coeff: 1", "coeff: -1"),
    "Embed": ("num_output: 32", "input_dim: 1000", 'weight_filler { type: "uniform" }'),
    "Im2col": ("kernel_size: 3",),
    "InfogainLoss": ('source: "infogain.binaryproto"',),
    "InnerProduct": ("num_output: 500", 'weight_filler { type: "xavier" }'),
    "Input": ("shape { dim: 1 dim: 1 dim: 28 dim: 28 }",),
    "LRN": ("local_size: 5", "alpha: 0.0001", "beta: 0.75"),
    "LSTM": ("num_output: 64", 'weight_filler { type: "xavier" }'),
    "MemoryData": ("batch_size: 64", "channels: 1", "height: 28", "width: 28"),
    "Parameter": ("shape { dim: 10 dim: 2 }",),
    "Pooling": ("pool: MAX", "kernel_size: 2", "stride: 2"),
    "Power": ("power: 2", "scale: 0.5"),
    "Python": ('module: "my_layers"', 'layer: "MyLoss"', 'param_str: "margin=2"'),
    "Reduction": ("operation: MEAN", "axis: 1"),
    "Reshape": ("shape { dim: 0 dim: -1 }",),
    "RNN": ("num_output: 64", 'weight_filler { type: "xavier" }'),
    "Scale": ("bias_term: true",),
    "Slice": ("axis: 1", "slice_point: 1"),
    "SPP": ("pyramid_height: 3",),
    "Threshold": ("threshold: 0.5",),
    "Tile": ("axis: 1", "tiles: 4"),
    "TripletLoss": ("mining: HARD", "soft_margin: true"),
}
TOPS = {"Slice": ("y0", "y1"), "Data": ("data", "label"), "DataSequence": ("anchor", "positive", "negative", "labels")}


def example(cls: type[Layer]) -> str:
    """A block of this type: the first one in the docstring, which is how plugins show theirs, or one made up here."""
    written = example_in_docstring(cls.__doc__ or "")
    if written:
        return written
    lines = ["layer {", f'  name: "{cls.type.lower()}"', f'  type: "{cls.type}"']
    lines += [f'  bottom: "{blob_name(text)}"' for text in cls.bottoms.required]
    lines += [f'  top: "{name}"' for name in TOPS.get(cls.type) or [blob_name(text) for text in cls.tops.required]]
    if cls.type in USUAL_SETTINGS:
        lines += [f"  {cls.settings_field} {{", *(f"    {one}" for one in USUAL_SETTINGS[cls.type]), "  }"]
    return "\n".join([*lines, "}"])


def blob_name(slot: str) -> str:
    """The first word of a slot's description, which names the blob."""
    return slot.split()[0].strip(",:;.")


def example_in_docstring(text: str) -> str | None:
    """The first block "layer { ... }" in a text, without its indentation; None where there is none."""
    start = text.find("layer {")
    if start < 0:
        return None
    depth = 0
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0 and text[end] == "}":
            first_line = text.rfind("\n", 0, start) + 1
            indent = text[first_line:start]
            return text[start : end + 1].replace("\n" + indent, "\n") if not indent.strip() else text[start : end + 1]
    return None
