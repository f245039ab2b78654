"""Short prototxt for tests of nets."""

from __future__ import annotations

import numpy as np

from netforge.net import Net
from netforge.schema import parse_net


def net(text: str, phase: str = "TEST", **options) -> Net:
    """A net from text, with a fixed seed, in float64 unless asked otherwise."""
    options.setdefault("seed", 1)
    options.setdefault("dtype", np.float64)
    return Net(parse_net(text), phase, **options)


def input_layer(name: str, *dims: int) -> str:
    shape = " ".join(f"dim: {d}" for d in dims)
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {shape} }} }} }}\n'


def layer(type_: str, bottoms: str, tops: str, rest: str = "", name: str = "") -> str:
    """One layer; bottoms and tops are names separated by blanks."""
    lines = "".join(f' bottom: "{b}"' for b in bottoms.split()) + "".join(f' top: "{t}"' for t in tops.split())
    name = name or (tops.split() or bottoms.split())[0]
    return f'layer {{ name: "{name}" type: "{type_}"{lines} {rest} }}\n'


def dense(bottom: str, top: str, outputs: int, rest: str = "", name: str = "") -> str:
    filler = 'weight_filler { type: "xavier" } bias_filler { type: "uniform" min: -1 max: 1 }'
    return layer(
        "InnerProduct", bottom, top, f"inner_product_param {{ num_output: {outputs} {filler} }} {rest}", name or top
    )
