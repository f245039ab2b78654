"""A small net on scikit-learn's digits, with weights that were made in a moment: random projections and centroids."""

from __future__ import annotations

from pathlib import Path

from netforge.net import Net

DATA = """
layer {{
  name: "digits" type: "Data" top: "data" top: "label" include {{ phase: {phase} }}
  transform_param {{ scale: 0.00390625 {transform} }}
  data_param {{ source: "digits.{source}" backend: IMAGEDB batch_size: 100 }}
}}
"""
TOWER = """
layer {
  name: "feat" type: "InnerProduct" bottom: "data" top: "feat"
  inner_product_param { num_output: 24 weight_filler { type: "xavier" } }
}
"""
DECODE = """
layer {
  name: "decode" type: "Decode" bottom: "feat" bottom: "label" top: "distances"
  decode_param { recent_items: 500 }
}
"""
SOFTMAX = """
layer {
  name: "score" type: "InnerProduct" bottom: "feat" top: "score"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } }
}
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""
MINING = """
layer {
  name: "loss" type: "TripletLoss" bottom: "feat" bottom: "label" top: "loss"
  triplet_loss_param { mining: HARD }
}
"""


def net_text(*layers: str, transform: str = "") -> str:
    """A net of data layers, the tower and what follows."""
    phases = (("TRAIN", "training"), ("TEST", "testing"))
    data = [DATA.format(phase=phase, source=source, transform=transform) for phase, source in phases]
    return "\n".join(['name: "small"', *data, TOWER, *layers])


def make_net(folder: Path, *layers: str, transform: str = "", name: str = "small") -> tuple[Path, Path]:
    """A file of the net and one of its weights; a Decode has seen a few hundred images."""
    model, weights = folder / f"{name}.prototxt", folder / f"{name}.caffemodel"
    model.write_text(net_text(*layers, transform=transform))
    with Net(model, "TRAIN", seed=1) as net:
        for _ in range(6):
            net.forward_pass()
        net.save(weights)
    return model, weights
