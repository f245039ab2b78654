"""Small nets and a solver to train on a device, over the images of the fixture `shapes`."""

from __future__ import annotations

from typing import Any

DATA = """
layer { name: "data" type: "Data" top: "data" top: "label"
  transform_param { scale: 0.00390625 mirror: true crop_size: 10 }
  data_param { source: "shapes" backend: IMAGEDB batch_size: 8 } }
"""
LENET = f"""
name: "lenet" {DATA}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  param {{ lr_mult: 1 }} param {{ lr_mult: 2 decay_mult: 0 }}
  convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param {{ kernel_size: 2 stride: 2 }} }}
layer {{ name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param {{ num_output: 6 kernel_size: 3 group: 2 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }}
layer {{ name: "ip1" type: "InnerProduct" bottom: "conv2" top: "ip1"
  inner_product_param {{ num_output: 16 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }}
layer {{ name: "drop1" type: "Dropout" bottom: "ip1" top: "ip1" dropout_param {{ dropout_ratio: 0.4 }} }}
layer {{ name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy" }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }}
"""


def tower(end: str) -> str:
    """One of the towers of the Siamese and the triplet net; `end` tells their layers apart."""
    return f"""
layer {{ name: "conv{end}" type: "Convolution" bottom: "x{end}" top: "conv{end}"
  param {{ name: "conv_w" }} param {{ name: "conv_b" }}
  convolution_param {{ num_output: 4 kernel_size: 3 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "relu{end}" type: "ReLU" bottom: "conv{end}" top: "conv{end}" }}
layer {{ name: "feat{end}" type: "InnerProduct" bottom: "conv{end}" top: "feat{end}"
  param {{ name: "feat_w" }} param {{ name: "feat_b" }}
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
"""


SIAMESE = f"""
name: "siamese"
layer {{ name: "pairs" type: "Data" top: "pairs" top: "labels" transform_param {{ scale: 0.00390625 }}
  data_param {{ source: "shapes" backend: IMAGEDB batch_size: 16
    images_per_blob: 2 output_all_labels: true balance_matches: true }} }}
layer {{ name: "slice" type: "Slice" bottom: "pairs" top: "x" top: "x_p" slice_param {{ axis: 1 slice_point: 1 }} }}
{tower("")} {tower("_p")}
layer {{ name: "decode" type: "Decode" bottom: "feat" bottom: "labels" top: "decode"
  decode_param {{ recent_items: 3 }} }}
layer {{ name: "accuracy" type: "AccuracyDecode" bottom: "decode" bottom: "labels" top: "accuracy" }}
layer {{ name: "loss" type: "ContrastiveLoss" bottom: "feat" bottom: "feat_p" bottom: "labels" top: "loss"
  contrastive_loss_param {{ margin: 1 }} }}
"""
TRIPLET = f"""
name: "triplet"
layer {{ name: "single" type: "Data" top: "single" top: "label" transform_param {{ scale: 0.00390625 }}
  data_param {{ source: "shapes" backend: IMAGEDB batch_classes: 10 batch_images: 2 }} }}
layer {{ name: "sequence" type: "DataSequence" bottom: "single" bottom: "label"
  top: "x" top: "x_p" top: "x_n" top: "labels" data_sequence_param {{ k: 1 cache_size: 5 }} }}
{tower("")} {tower("_p")} {tower("_n")}
layer {{ name: "decode" type: "Decode" bottom: "feat" bottom: "labels" top: "decode"
  decode_param {{ recent_items: 3 }} }}
layer {{ name: "accuracy" type: "AccuracyDecode" bottom: "decode" bottom: "labels" top: "accuracy" }}
layer {{ name: "unit" type: "Normalization1" bottom: "feat" top: "unit" }}
layer {{ name: "hard" type: "TripletLoss" bottom: "unit" bottom: "labels" top: "hard" top: "active"
  loss_weight: 0.1 loss_weight: 0
  triplet_loss_param {{ mining: HARD soft_margin: true distance: EUCLIDEAN }} }}
layer {{ name: "loss" type: "TripletLoss" bottom: "feat" bottom: "feat_p" bottom: "feat_n" bottom: "labels" top: "loss"
  triplet_loss_param {{ alpha: 1 }} }}
"""
NETS = {"lenet": LENET, "siamese": SIAMESE, "triplet": TRIPLET}
SOLVER = """
net: "net.prototxt" base_lr: 0.05 lr_policy: "inv" gamma: 0.01 power: 0.75 momentum: 0.9 weight_decay: 0.001
max_iter: 6 display: 1 test_iter: 2 test_interval: 3 random_seed: 7
snapshot_prefix: "out/run" snapshot_after_train: true
"""
RULES: dict[str, dict[str, Any]] = {
    "SGD": {"clip_gradients": 1.0, "iter_size": 2},
    "Nesterov": {},
    "AdaGrad": {"momentum": 0.0},
    "RMSProp": {"momentum": 0.0, "regularization_type": "L1"},
    "AdaDelta": {"delta": 1e-4, "base_lr": 1.0},
    "Adam": {"momentum2": 0.99, "base_lr": 0.002, "delta": 1e-3},  # a tiny gradient must not make a step of full length
    "AdamW": {"momentum2": 0.99, "base_lr": 0.002, "adamw_decay": 0.01},
}
