"""The net and the solver of those who name none: built from the shape of the data and the sizes of the classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from netforge.data.source import Source

SOURCE = "training"
BATCH = 96  # items, as near as whole classes allow: more pairs of a batch than items of it teach
FEWEST = 8  # images of a class in a batch, where it has so many and the batch does not hold all classes
HIDDEN = 64
CHANNELS = (16, 32, 64, 64)
SMALLEST = 4  # side of a plane that is still pooled

SOLVER = """
type: "Adam"
base_lr: 0.002
momentum: 0.9
lr_policy: "poly"  # in a straight line down to zero
power: 1
max_iter: 1000
weight_decay: 0.05  # small data are soon known by heart
"""

_DATA = """
layer {{
  name: "data" type: "Data" top: "data" top: "label"
  transform_param {{ {transform} }}
  data_param {{ source: "{source}" backend: IMAGEDB {batch} }}
}}
"""
_LINEAR = """
layer {{
  name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}"
  inner_product_param {{ num_output: {size} weight_filler {{ type: "msra" }} }}
}}
"""
_CONVOLUTION = """
layer {{
  name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"
  convolution_param {{ num_output: {size} kernel_size: 3 pad: 1 weight_filler {{ type: "msra" }} }}
}}
"""
_RELU = """
layer {{ name: "relu_{name}" type: "ReLU" bottom: "{name}" top: "{name}" }}
"""
_POOLING = """
layer {{
  name: "pool_{name}" type: "Pooling" bottom: "{name}" top: "pool_{name}"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }}
}}
"""
_LOSS = """
layer {
  name: "loss" type: "SupConLoss" bottom: "embedding" bottom: "label" top: "loss"
  sup_con_loss_param { distance: SQUARED against: NEGATIVES temperature: 1 }
}
"""


def default_net(source: Source, pixels: npt.NDArray[np.generic], components: int) -> str:
    """Prototxt of a net for images, or for features (C, 1, 1), under the N-pair loss over all pairs of a batch.

    source: what it trains on; pixels: its images (n, C, H, W). Features pass two hidden layers of 64; images
    convolutions of 3 x 3 with pooling, down to planes of less than 4 x 4, and a hidden layer. Pixels are brought to
    mean 0 and deviation 1, over all of them.
    """
    _, height, width = source.shape
    is_image = height * width > 1
    transform = _transform(pixels) if is_image else ""
    parts = ['name: "MetricLearner"']
    parts.append(_DATA.format(transform=transform, source=SOURCE, batch=_batch(source.labels)))
    bottom = "data"
    for number, channels in enumerate(CHANNELS if is_image else (), start=1):
        if min(height, width) < SMALLEST:
            break
        name = f"conv{number}"
        parts += [_CONVOLUTION.format(name=name, bottom=bottom, size=channels), _RELU.format(name=name)]
        parts.append(_POOLING.format(name=name))
        bottom, height, width = f"pool_{name}", -(-height // 2), -(-width // 2)
    for name in ("ip1",) if is_image else ("ip1", "ip2"):
        parts += [_LINEAR.format(name=name, bottom=bottom, size=HIDDEN), _RELU.format(name=name)]
        bottom = name
    parts += [_LINEAR.format(name="embedding", bottom=bottom, size=components), _LOSS]
    return "".join(parts)


def _transform(pixels: npt.NDArray[np.generic]) -> str:
    mean, deviation = float(pixels.mean(dtype=np.float64)), float(pixels.std(dtype=np.float64))
    return f"mean_value: {mean!r} scale: {1 / deviation if deviation else 1.0!r}"


def _batch(labels: npt.NDArray[np.int64]) -> str:
    """What data_param says of batches: so many images of each of so many classes; any, where a class has but one."""
    _, sizes = np.unique(labels, return_counts=True)
    images = min(int(sizes.min()), max(FEWEST, BATCH // len(sizes)))
    if images < 2:
        return f"batch_size: {min(BATCH, len(labels))}"
    return f"batch_classes: {min(len(sizes), max(2, BATCH // images))} batch_images: {images}"
