"""Broken files, each with the error that it must give: a table, read by test_broken.py."""

from __future__ import annotations

from dataclasses import dataclass, field

NET = """\
name: "small"
layer {
  name: "data"
  type: "DummyData"
  top: "data"
  top: "label"
  dummy_data_param {
    shape { dim: 4 dim: 1 dim: 8 dim: 8 }
    shape { dim: 4 }
    data_filler { type: "uniform" }
    data_filler { type: "constant" value: 1 }
  }
}
layer {
  name: "conv"
  type: "Convolution"
  bottom: "data"
  top: "conv"
  convolution_param {
    num_output: 3
    kernel_size: 3
    weight_filler { type: "xavier" }
  }
}
layer {
  name: "score"
  type: "InnerProduct"
  bottom: "conv"
  top: "score"
  inner_product_param {
    num_output: 4
    weight_filler { type: "xavier" }
  }
}
layer {
  name: "loss"
  type: "SoftmaxWithLoss"
  bottom: "score"
  bottom: "label"
  top: "loss"
}
layer {
  name: "accuracy"
  type: "Accuracy"
  bottom: "score"
  bottom: "label"
  top: "accuracy"
  include { phase: TEST }
}
"""

SOLVER = """\
net: "net.prototxt"
test_iter: 1
test_interval: 2
base_lr: 0.01
lr_policy: "step"
stepsize: 2
gamma: 0.5
momentum: 0.9
max_iter: 4
display: 2
snapshot_prefix: "run"
random_seed: 1
"""

PAIR = """\
layer {
  name: "pair"
  type: "InnerProduct"
  bottom: "conv"
  top: "pair"
  param { name: "w" lr_mult: 1 }
  inner_product_param { num_output: 4 }
}
"""

DATA = 'layer { name: "db" type: "Data" top: "db"\n  '

CHECK = ("check", "net.prototxt")
TRAIN = ("train", "--solver", "solver.prototxt", "--device", "cpu")
TEST = ("test", "--model", "net.prototxt", "--weights", "good.caffemodel", "--iterations", "1", "--device", "cpu")


@dataclass(frozen=True)
class Broken:
    """One broken file.

    edit: text of `file` (NET or SOLVER) and what stands there instead. at: the text on whose line the error must lie;
    by default the first line of the new text; "" where no line can be named. blame: the file that must be named, where
    that is not `file`; "" where there is none. words: what the message must contain. files: further files: text,
    bytes, None for a folder, or "NAME[:SHARE]" for the first part of a good file.
    """

    id: str
    words: tuple[str, ...]
    command: tuple[str, ...] = CHECK
    file: str = "net.prototxt"
    edit: tuple[str, str] = ("", "")
    at: str | None = None
    blame: str | None = None
    files: dict[str, str | bytes | None] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The broken text."""
        text = SOLVER if self.file == "solver.prototxt" else NET
        old, new = self.edit
        assert not old or text.count(old) >= 1, f"{self.id}: {old!r} does not stand in {self.file}"
        return text.replace(old, new, 1) if old else text + new

    @property
    def place(self) -> str:
        """Where the error must lie: "file:line" where a line can be named, else the file."""
        anchor = self.edit[1].strip("\n").split("\n")[0] if self.at is None else self.at
        if self.blame is not None or not anchor:
            return self.file if self.blame is None else self.blame
        appended_at = 0 if self.edit[0] else len(self.text) - len(self.edit[1])
        return f"{self.file}:{self.text[: self.text.index(anchor, appended_at)].count(chr(10)) + 1}:"


BROKEN = [
    # text that cannot be read
    Broken("misspelled field", ("num_outputs", '"num_output"'), edit=("num_output: 3", "num_outputs: 3")),
    Broken(
        "misspelled block",
        ("convolution_parm", '"convolution_param"'),
        edit=("convolution_param {", "convolution_parm {"),
    ),
    Broken("unclosed brace", ("}",), edit=("  include { phase: TEST }\n}\n", "  include { phase: TEST }\n"), at=""),
    Broken("surplus brace", ("}",), edit=("", "}\n")),
    Broken("word for a number", ("three", "num_output"), edit=("num_output: 3", "num_output: three")),
    Broken("unclosed string", ("quote",), edit=('name: "conv"', 'name: "conv')),
    Broken("unknown phase", ("TRIAN", "TRAIN"), edit=("phase: TEST", "phase: TRIAN")),
    Broken("empty file", ("no layer", "layer { ... }"), edit=(NET, ""), at=""),
    Broken(
        "value given twice",
        ("num_output",),
        edit=("num_output: 3\n", "num_output: 3\n    num_output: 4\n"),
        at="num_output: 4",
    ),
    Broken(
        "both layer and layers",
        ("layers",),
        edit=("", 'layers { name: "old" type: RELU bottom: "score" top: "old" }\n'),
    ),
    Broken("binary garbage", ("text",), files={"net.prototxt": bytes(range(256)) * 4}, at=""),
    Broken("folder in place of a net", ("folder",), files={"net.prototxt": None}),
    Broken("missing net", ("missing.prototxt",), command=("check", "missing.prototxt"), blame=""),
    Broken("net in place of a solver", ("net",), command=("train", "--solver", "net.prototxt"), at=""),
    Broken(
        "solver in place of a net",
        ("belongs to a solver",),
        command=TRAIN,
        file="solver.prototxt",
        edit=('net: "net.prototxt"', 'net: "solver.prototxt"'),
    ),
    # layers that cannot be built
    Broken("unknown layer type", ("Convolutoin", '"Convolution"'), edit=('type: "Convolution"', 'type: "Convolutoin"')),
    Broken("missing type", ("type",), edit=('  type: "Convolution"\n', ""), at='layer {\n  name: "conv"'),
    Broken("unknown bottom", ("dat", '"data"', "conv"), edit=('bottom: "data"', 'bottom: "dat"')),
    Broken("bottom made later", ('"loss"',), edit=('bottom: "conv"', 'bottom: "loss"')),
    Broken(
        "duplicate top",
        ('"conv"', "again"),
        edit=("", 'layer { name: "again" type: "ReLU" bottom: "data" top: "conv" }\n'),
    ),
    Broken(
        "too few bottoms",
        ("exactly 2", "loss"),
        edit=('  bottom: "score"\n  bottom: "label"\n  top: "loss"', '  bottom: "score"\n  top: "loss"'),
        at='layer {\n  name: "loss"',
    ),
    Broken(
        "include and exclude",
        ("include", "exclude"),
        at="exclude",
        edit=("include { phase: TEST }", "include { phase: TEST }\n  exclude { phase: TRAIN }"),
    ),
    Broken("missing num_output", ("num_output",), edit=("    num_output: 3\n", "")),
    Broken("unknown filler", ("xaver", '"xavier"'), edit=('"xavier"', '"xaver"')),
    Broken(
        "kernel larger than the image",
        ("kernel", "9", "8"),
        at="convolution_param {",
        edit=("kernel_size: 3", "kernel_size: 9"),
    ),
    Broken(
        "kernel of zero",
        ("kernel_size",),
        edit=("kernel_size: 3", "kernel_size: 0"),
    ),
    Broken(
        "negative size",
        ("-4",),
        edit=("shape { dim: 4 dim: 1 dim: 8 dim: 8 }", "shape { dim: -4 dim: 1 dim: 8 dim: 8 }"),
    ),
    Broken("negative count", ("-3", "num_output"), edit=("num_output: 3", "num_output: -3")),
    Broken(
        "slice_point count",
        ("slice points", "3 tops"),
        edit=(
            "",
            'layer { name: "cut" type: "Slice" bottom: "score" top: "a" top: "b" top: "c"\n'
            "  slice_param { slice_point: 1 } }\n",
        ),
        at="slice_param {",
    ),
    Broken(
        "shapes of Concat",
        ("(4, 3, 6, 6)", "(4, 1, 8, 8)"),
        edit=("", 'layer { name: "join" type: "Concat" bottom: "data" bottom: "conv" top: "join" }\n'),
    ),
    Broken(
        "shapes of a loss",
        ("(4, 4)", "(4, 3, 6, 6)"),
        edit=("", 'layer { name: "apart" type: "EuclideanLoss" bottom: "score" bottom: "conv" top: "apart" }\n'),
    ),
    Broken(
        "loss_weight count",
        ("loss_weight",),
        edit=('top: "loss"', 'top: "loss"\n  loss_weight: 1\n  loss_weight: 2'),
        at="loss_weight: 1",
    ),
    Broken(
        "propagate_down count",
        ("propagate_down", "2"),
        edit=('top: "loss"', 'top: "loss"\n  propagate_down: true'),
        at="propagate_down",
    ),
    Broken(
        "too many params",
        ("param",),
        edit=(
            '  top: "conv"\n',
            '  top: "conv"\n  param { lr_mult: 1 }\n  param { lr_mult: 2 }\n  param { lr_mult: 3 }\n',
        ),
        at="param { lr_mult: 3",
    ),
    Broken(
        "shared weights of different shape",
        ('"w"', "(4, 108)", "(5, 108)"),
        edit=(
            "",
            PAIR
            + PAIR.replace("pair", "mate").replace("num_output: 4", "num_output: 5").replace("1 }\n", "1 }  # mate\n"),
        ),
        at='name: "w" lr_mult: 1 }  # mate',
    ),
    Broken(
        "lr_mult contradiction",
        ("lr_mult", '"w"'),
        edit=("", PAIR + PAIR.replace("pair", "mate").replace("lr_mult: 1", "lr_mult: 2")),
        at='param { name: "w" lr_mult: 2',
    ),
    Broken(
        "unknown plugin", ("no_such_module",), edit=('name: "small"', 'name: "small"\nplugin: "no_such_module"'), at=""
    ),
    # data
    Broken(
        "missing LMDB",
        ("nowhere",),
        edit=(
            "",
            DATA + 'data_param { source: "nowhere_lmdb" backend: LMDB batch_size: 4 } }\n',
        ),
        at="",
    ),
    Broken(
        "unknown data source",
        ("digits.trainnig", '"digits.training"'),
        edit=(
            "",
            DATA + 'data_param { source: "digits.trainnig" backend: IMAGEDB batch_size: 4 } }\n',
        ),
        at="",
    ),
    Broken(
        "missing source",
        ("source",),
        edit=("", DATA + "data_param { backend: IMAGEDB batch_size: 4 } }\n"),
        at="",
    ),
    Broken(
        "negative batch size",
        ("batch_size", "-4"),
        edit=(
            "",
            DATA + 'data_param { source: "digits.training" backend: IMAGEDB batch_size: -4 } }\n',
        ),
        at="batch_size: -4",
    ),
    Broken(
        "label out of range",
        ("label", "7", "4"),
        command=TRAIN,
        edit=('type: "constant" value: 1', 'type: "constant" value: 7'),
        at='layer {\n  name: "loss"',
    ),
    # solvers
    Broken("unknown lr_policy", ("stpe", '"step"'), command=TRAIN, file="solver.prototxt", edit=('"step"', '"stpe"')),
    Broken(
        "missing stepsize",
        ("stepsize",),
        command=TRAIN,
        file="solver.prototxt",
        edit=("stepsize: 2\n", ""),
        at="lr_policy",
    ),
    Broken("unknown solver type", ("SDG", '"SGD"'), command=TRAIN, file="solver.prototxt", edit=("", 'type: "SDG"\n')),
    Broken(
        "solver field misspelled",
        ("momentun", '"momentum"'),
        command=TRAIN,
        file="solver.prototxt",
        edit=("momentum: 0.9", "momentun: 0.9"),
    ),
    Broken(
        "net of the solver is missing",
        ("nett.prototxt",),
        command=TRAIN,
        file="solver.prototxt",
        edit=("net.prototxt", "nett.prototxt"),
        at="net:",
    ),
    Broken(
        "no net in the solver",
        ("net",),
        command=TRAIN,
        file="solver.prototxt",
        edit=('net: "net.prototxt"\n', ""),
        at="",
    ),
    Broken(
        "two nets in the solver",
        ("net", "train_net"),
        command=TRAIN,
        file="solver.prototxt",
        edit=("", 'train_net: "net.prototxt"\n'),
        at="",
    ),
    Broken(
        "test_iter count",
        ("test_iter",),
        command=TRAIN,
        file="solver.prototxt",
        edit=("", 'test_net: "net.prototxt"\ntest_net: "net.prototxt"\n'),
        at="",
    ),
    Broken(
        "missing test_interval",
        ("test_interval",),
        command=TRAIN,
        file="solver.prototxt",
        edit=("test_interval: 2\n", ""),
        at="",
    ),
    Broken("unknown override", ("max_itre", '"max_iter"'), command=(*TRAIN, "--set", "max_itre=3"), blame="--set"),
    Broken("GPU where there is none", ("cuda",), command=(*TRAIN[:-1], "cuda:7"), blame=""),
    # weights and states
    Broken("missing weights", ("none.caffemodel",), command=(*TEST[:4], "none.caffemodel"), blame="none.caffemodel"),
    Broken(
        "truncated weights",
        ("good.caffemodel",),
        command=TEST,
        files={"good.caffemodel": "good.caffemodel[:0.6]"},
        blame="good.caffemodel",
    ),
    Broken(
        "garbage for weights",
        ("good.caffemodel",),
        command=TEST,
        files={"good.caffemodel": b"\xff\xfe garbage"},
        blame="good.caffemodel",
    ),
    Broken("folder for weights", ("folder",), command=TEST, files={"good.caffemodel": None}, blame="good.caffemodel"),
    Broken(
        "weights of other shapes",
        ("conv", "(5, 1, 3, 3)", "(3, 1, 3, 3)"),
        command=TEST,
        edit=("num_output: 3", "num_output: 5"),
        blame="good.caffemodel",
    ),
    Broken(
        "state for weights",
        ("state",),
        command=TEST,
        files={"good.caffemodel": "good.solverstate[:1]"},
        blame="good.caffemodel",
    ),
    Broken(
        "weights for a state", ("weights",), command=(*TRAIN, "--snapshot", "good.caffemodel"), blame="good.caffemodel"
    ),
    Broken(
        "truncated state",
        ("good.solverstate",),
        command=(*TRAIN, "--snapshot", "good.solverstate"),
        files={"good.solverstate": "good.solverstate[:0.5]"},
        blame="good.solverstate",
    ),
    Broken(
        "state of another net",
        ("good.solverstate",),
        command=(*TRAIN, "--snapshot", "good.solverstate"),
        edit=("num_output: 3", "num_output: 5"),
        blame="good.solverstate",
    ),
    Broken("layer type asked for", ("Convolutoin", '"Convolution"'), command=("layers", "Convolutoin"), blame=""),
]
