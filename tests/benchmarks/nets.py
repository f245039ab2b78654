"""The nets that benchmarks train, on images held in memory, so that reading data is no part of what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import netforge
from netforge.device.base import Device
from netforge.schema import NetDefinition, merge_state, messages, parse_net, read_net

MODELS = Path(__file__).resolve().parents[2] / "models"
RATE, MOMENTUM, DECAY = 0.01, 0.9, 0.0005  # of SGD, in every net and on every side

TOWER = """
layer {{ name: "conv1{s}" type: "Convolution" bottom: "data{s}" top: "conv1{s}"
  param {{ name: "c1w" }} param {{ name: "c1b" }}
  convolution_param {{ num_output: 20 kernel_size: 5 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "pool1{s}" type: "Pooling" bottom: "conv1{s}" top: "pool1{s}"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "conv2{s}" type: "Convolution" bottom: "pool1{s}" top: "conv2{s}"
  param {{ name: "c2w" }} param {{ name: "c2b" }}
  convolution_param {{ num_output: 50 kernel_size: 5 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "pool2{s}" type: "Pooling" bottom: "conv2{s}" top: "pool2{s}"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "ip1{s}" type: "InnerProduct" bottom: "pool2{s}" top: "ip1{s}"
  param {{ name: "i1w" }} param {{ name: "i1b" }}
  inner_product_param {{ num_output: 500 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu1{s}" type: "ReLU" bottom: "ip1{s}" top: "ip1{s}" }}
layer {{ name: "ip2{s}" type: "InnerProduct" bottom: "ip1{s}" top: "ip2{s}"
  param {{ name: "i2w" }} param {{ name: "i2b" }}
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "feat{s}" type: "InnerProduct" bottom: "ip2{s}" top: "feat{s}"
  param {{ name: "fw" }} param {{ name: "fb" }}
  inner_product_param {{ num_output: {feat} weight_filler {{ type: "xavier" }} }} }}
"""

SIAMESE = (
    """
name: "siamese_in_memory"
layer { name: "pairs" type: "Input" top: "pair_data" top: "sim"
  input_param { shape { dim: PAIRS dim: 2 dim: 28 dim: 28 } shape { dim: PAIRS } } }
layer { name: "slice" type: "Slice" bottom: "pair_data" top: "data" top: "data_p" slice_param { axis: 1 } }
"""
    + TOWER.format(s="", feat=2)
    + TOWER.format(s="_p", feat=2)
    + """
layer { name: "loss" type: "ContrastiveLoss" bottom: "feat" bottom: "feat_p" bottom: "sim" top: "loss"
  contrastive_loss_param { margin: 1 } }
"""
)


TRIPLET = (
    """
name: "triplet_in_memory"
layer { name: "images" type: "Input" top: "images" top: "label"
  input_param { shape { dim: ITEMS dim: 1 dim: 28 dim: 28 } shape { dim: ITEMS } } }
layer { name: "sequence" type: "DataSequence" bottom: "images" bottom: "label"
  top: "data" top: "data_p" top: "data_n" top: "labels"
  data_sequence_param { k: 1 cache_size: 64 label_count: 10 } }
"""
    + "".join(TOWER.format(s=end, feat=4) for end in ("", "_p", "_n"))
    + """
layer { name: "loss" type: "TripletLoss" bottom: "feat" bottom: "feat_p" bottom: "feat_n" bottom: "labels" top: "loss"
  triplet_loss_param { alpha: 5 } }
"""
)


@dataclass(frozen=True)
class BenchmarkNet:
    """A net for training whose data layer is an Input. inputs: an array (float32) for each of its tops."""

    name: str
    batch: int
    definition: NetDefinition
    inputs: dict[str, np.ndarray]


def siamese(pairs: int = 64) -> BenchmarkNet:
    """Siamese LeNet: two towers with shared weights, contrastive loss; pairs of 28 x 28 images in [0, 1)."""
    rng = np.random.default_rng(1)
    inputs = {
        "pair_data": rng.random((pairs, 2, 28, 28), np.float32),
        "sim": (rng.random(pairs) > 0.5).astype(np.float32),
    }
    return BenchmarkNet("siamese", pairs, parse_net(SIAMESE.replace("PAIRS", str(pairs))), inputs)


def triplet(items: int = 128) -> BenchmarkNet:
    """Triplet LeNet: DataSequence, three towers with shared weights, triplet loss; 28 x 28 images of ten classes."""
    rng = np.random.default_rng(1)
    inputs = {
        "images": rng.random((items, 1, 28, 28), np.float32),
        "label": (np.arange(items) % 10).astype(np.float32),
    }
    return BenchmarkNet("triplet", items, parse_net(TRIPLET.replace("ITEMS", str(items))), inputs)


def alexnet(batch: int = 128, size: int = 227) -> BenchmarkNet:
    """AlexNet on images of noise."""
    return _classifier("alexnet", batch, size)


def resnet50(batch: int = 32, size: int = 224) -> BenchmarkNet:
    """ResNet-50 on images of noise; smaller ones fit too."""
    return _classifier("resnet50", batch, size)


def _classifier(name: str, batch: int, size: int) -> BenchmarkNet:
    """The training net of models/NAME with its Data layer replaced."""
    rng = np.random.default_rng(1)
    inputs = {
        "data": rng.standard_normal((batch, 3, size, size), np.float32),
        "label": rng.integers(0, 1000, batch).astype(np.float32),
    }
    definition = read_net(MODELS / name / "train_val.prototxt")
    selected = definition.select(merge_state(definition, "TRAIN")).to_message()
    entry = messages.LayerParameter(name="data", type="Input", top=list(inputs))
    for array in inputs.values():
        entry.input_param.shape.add(dim=array.shape)
    net = messages.NetParameter(name=selected.name)
    net.layer.extend([entry, *(layer for layer in selected.layer if layer.type != "Data")])
    return BenchmarkNet(name, batch, read_net(net), inputs)


def make_solver(net: BenchmarkNet, device: str | Device = "cpu") -> netforge.Solver:
    """A solver that trains the net with SGD and shows, tests and saves nothing; the inputs lie on the device."""
    settings = messages.SolverParameter(
        base_lr=RATE, lr_policy="fixed", momentum=MOMENTUM, weight_decay=DECAY, random_seed=1
    )
    settings.net_param.CopyFrom(net.definition.to_message())
    solver = netforge.Solver(settings, device=device)
    solver.net.forward(**net.inputs)
    return solver
