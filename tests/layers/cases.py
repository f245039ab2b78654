"""At least one row for every built-in layer; each row runs through all of `netforge.testing.CHECKS`."""

from __future__ import annotations

import numpy as np

from netforge.testing import LayerCase, Values, distinct, exactly, labels, normal, positive

IP = 'weight_filler { type: "xavier" } bias_filler { type: "uniform" min: -1 max: 1 }'


def row(type_: str, bottoms: str, tops: str, settings: str = "") -> str:
    """Prototxt of a layer; bottoms and tops are names separated by blanks."""
    lines = [f'bottom: "{name}"' for name in bottoms.split()] + [f'top: "{name}"' for name in tops.split()]
    return f'name: "under_test" type: "{type_}" {" ".join(lines)} {settings}'


def neuron(type_: str, settings: str = "", values: Values = normal, **options) -> LayerCase:
    name = type_.lower() + ("_" + "_".join(w.strip(":") for w in settings.split()[2:-1]) if settings else "")
    shape = (3, 4, 2)
    return LayerCase(name, row(type_, "x", "y", settings), [shape], [shape], [values], **options)


def away_from(*points: float) -> Values:
    """Normal values, none nearer than 0.05 to any of the points."""

    def make(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        values = rng.standard_normal(shape)
        for point in points:
            near = np.abs(values - point) < 0.05
            values[near] = point + np.where(values[near] < point, -0.1, 0.1)
        return values

    return make


NEURONS = [
    neuron("ReLU"),
    neuron("ReLU", "relu_param { negative_slope: 0.1 }"),
    neuron("ReLU", "relu_param { negative_slope: -0.5 }"),
    neuron("PReLU"),
    neuron("PReLU", "prelu_param { channel_shared: true }"),
    neuron("Sigmoid"),
    neuron("TanH"),
    neuron("ELU"),
    neuron("ELU", "elu_param { alpha: 0.3 }"),
    neuron("Swish"),
    neuron("Swish", "swish_param { beta: 1.7 }"),
    neuron("Clip", "clip_param { min: -0.5 max: 0.7 }", away_from(-0.5, 0.7)),
    neuron("BNLL"),
    neuron("AbsVal"),
    neuron("Threshold", "threshold_param { threshold: 0.3 }"),
    neuron("Power", "power_param { power: 2.5 scale: 0.7 shift: 0.4 }", positive),
    neuron("Power", "power_param { scale: 3 shift: 1 }"),
    neuron("Power", "power_param { power: 0 shift: 2 }", zero_gradient=(0,)),
    neuron("Exp"),
    neuron("Exp", "exp_param { base: 2 scale: 0.5 shift: 0.25 }"),
    neuron("Log", values=positive),
    neuron("Log", "log_param { base: 10 scale: 2 shift: 0.5 }", positive),
    neuron("Dropout", "dropout_param { dropout_ratio: 0.4 }"),
    neuron("Dropout", "dropout_param { dropout_ratio: 0.3 } ", phase="TEST"),
]

VISION = [
    LayerCase(
        "conv_pad_stride",
        row("Convolution", "x", "y", f"convolution_param {{ num_output: 4 kernel_size: 3 stride: 2 pad: 1 {IP} }}"),
        [(3, 2, 6, 5)],
        [(3, 4, 3, 3)],
    ),
    LayerCase(
        "conv_groups_dilation",
        row(
            "Convolution",
            "x",
            "y",
            "convolution_param { num_output: 6 kernel_size: 2 group: 2 dilation: 2 bias_term: false }",
        ),
        [(2, 4, 5, 5)],
        [(2, 6, 3, 3)],
    ),
    LayerCase(
        "conv_rectangle",
        row(
            "Convolution", "x", "y", "convolution_param { num_output: 2 kernel_h: 3 kernel_w: 2 stride_h: 2 pad_w: 1 }"
        ),
        [(2, 3, 7, 4)],
        [(2, 2, 3, 5)],
    ),
    LayerCase(
        "conv_two_bottoms",
        row("Convolution", "x0 x1", "y0 y1", "convolution_param { num_output: 3 kernel_size: 2 }"),
        [(2, 2, 4, 3)] * 2,
        [(2, 3, 3, 2)] * 2,
    ),
    LayerCase(
        "conv_1d",
        row("Convolution", "x", "y", "convolution_param { num_output: 3 kernel_size: 3 pad: 1 }"),
        [(2, 2, 6)],
        [(2, 3, 6)],
    ),
    LayerCase(
        "conv_3d",
        row("Convolution", "x", "y", "convolution_param { num_output: 2 kernel_size: 2 }"),
        [(2, 2, 3, 3, 3)],
        [(2, 2, 2, 2, 2)],
    ),
    LayerCase(
        "conv_no_spatial_axes",
        row("Convolution", "x", "y", "convolution_param { num_output: 3 axis: 2 kernel_size: 1 }"),
        [(3, 2, 4)],
        [(3, 2, 3)],
    ),
    LayerCase(
        "deconv_stride",
        row("Deconvolution", "x", "y", "convolution_param { num_output: 3 kernel_size: 3 stride: 2 pad: 1 }"),
        [(2, 2, 3, 4)],
        [(2, 3, 5, 7)],
    ),
    LayerCase(
        "deconv_groups",
        row("Deconvolution", "x", "y", "convolution_param { num_output: 4 kernel_size: 2 group: 2 bias_term: false }"),
        [(2, 2, 3, 3)],
        [(2, 4, 4, 4)],
    ),
    LayerCase(
        "im2col",
        row("Im2col", "x", "y", "convolution_param { kernel_size: 2 stride: 2 pad: 1 }"),
        [(2, 2, 4, 4)],
        [(2, 8, 3, 3)],
    ),
    LayerCase(
        "pool_max",
        row("Pooling", "x", "y", "pooling_param { kernel_size: 3 stride: 2 }"),
        [(3, 2, 6, 5)],
        [(3, 2, 3, 2)],
        [distinct],
    ),
    LayerCase(
        "pool_max_mask",
        row("Pooling", "x", "y mask", "pooling_param { kernel_size: 3 stride: 2 pad: 1 }"),
        [(2, 2, 6, 5)],
        [(2, 2, 4, 3)] * 2,
        [distinct],
    ),
    LayerCase(
        "pool_average",
        row("Pooling", "x", "y", "pooling_param { pool: AVE kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 }"),
        [(2, 2, 6, 5)],
        [(2, 2, 4, 3)],
    ),
    LayerCase(
        "pool_floor",
        row("Pooling", "x", "y", "pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }"),
        [(2, 2, 6, 6)],
        [(2, 2, 2, 2)],
        [distinct],
    ),
    LayerCase(
        "pool_global",
        row("Pooling", "x", "y", "pooling_param { pool: AVE global_pooling: true }"),
        [(2, 3, 4, 5)],
        [(2, 3, 1, 1)],
    ),
    LayerCase(
        "spp_max", row("SPP", "x", "y", "spp_param { pyramid_height: 2 }"), [(2, 2, 4, 4)], [(2, 10)], [distinct]
    ),
    LayerCase(
        "spp_average", row("SPP", "x", "y", "spp_param { pyramid_height: 3 pool: AVE }"), [(2, 1, 8, 7)], [(2, 21)]
    ),
    LayerCase(
        "lrn_across", row("LRN", "x", "y", "lrn_param { local_size: 3 alpha: 0.5 }"), [(2, 5, 2, 3)], [(2, 5, 2, 3)]
    ),
    LayerCase(
        "lrn_within",
        row("LRN", "x", "y", "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }"),
        [(2, 2, 4, 3)],
        [(2, 2, 4, 3)],
    ),
]

LINEAR = [
    LayerCase(
        "inner_product",
        row("InnerProduct", "x", "y", f"inner_product_param {{ num_output: 3 {IP} }}"),
        [(4, 2, 3)],
        [(4, 3)],
    ),
    LayerCase(
        "inner_product_transposed",
        row("InnerProduct", "x", "y", "inner_product_param { num_output: 3 transpose: true bias_term: false axis: 2 }"),
        [(2, 3, 4)],
        [(2, 3, 3)],
    ),
    LayerCase(
        "embed",
        row("Embed", "x", "y", "embed_param { num_output: 3 input_dim: 5 }"),
        [(4, 2)],
        [(4, 2, 3)],
        [labels(5)],
    ),
    LayerCase("scale", row("Scale", "x", "y", "scale_param { bias_term: true }"), [(3, 4, 2)], [(3, 4, 2)]),
    LayerCase("scale_all", row("Scale", "x", "y", "scale_param { num_axes: -1 }"), [(3, 4, 2)], [(3, 4, 2)]),
    LayerCase("scale_by_one", row("Scale", "x", "y", "scale_param { num_axes: 0 }"), [(3, 4)], [(3, 4)]),
    LayerCase("scale_given", row("Scale", "x s", "y", "scale_param { axis: 0 }"), [(3, 4, 2), (3, 4)], [(3, 4, 2)]),
    LayerCase("bias", row("Bias", "x", "y", "bias_param { axis: -1 }"), [(3, 4, 2)], [(3, 4, 2)]),
    LayerCase("bias_given", row("Bias", "x b", "y"), [(3, 4, 2), (4, 2)], [(3, 4, 2)], batched=(0,)),
    LayerCase("parameter", row("Parameter", "", "w", "parameter_param { shape { dim: 3 dim: 2 } }"), [], [(3, 2)]),
]

SHAPES = [
    LayerCase("concat", row("Concat", "x0 x1", "y"), [(3, 2, 2), (3, 4, 2)], [(3, 6, 2)]),
    LayerCase(
        "concat_items",
        row("Concat", "x0 x1", "y", "concat_param { axis: 0 }"),
        [(3, 2), (1, 2)],
        [(4, 2)],
        batched=(0,),
    ),
    LayerCase("slice", row("Slice", "x", "y0 y1"), [(3, 6, 2)], [(3, 3, 2)] * 2),
    LayerCase(
        "slice_points",
        row("Slice", "x", "y0 y1 y2", "slice_param { axis: -1 slice_point: 1 slice_point: 4 }"),
        [(3, 2, 6)],
        [(3, 2, 1), (3, 2, 3), (3, 2, 2)],
    ),
    LayerCase(
        "slice_both_forms", row("Slice", "x", "y0 y1", "slice_param { axis: 1 slice_dim: 1 }"), [(3, 2)], [(3, 1)] * 2
    ),
    LayerCase("slice_whole", row("Slice", "x", "y"), [(3, 5)], [(3, 5)]),
    LayerCase("split", row("Split", "x", "y0 y1 y2"), [(3, 2)], [(3, 2)] * 3),
    LayerCase("flatten", row("Flatten", "x", "y"), [(3, 2, 2)], [(3, 4)]),
    LayerCase(
        "flatten_middle", row("Flatten", "x", "y", "flatten_param { axis: 1 end_axis: 2 }"), [(3, 2, 4, 2)], [(3, 8, 2)]
    ),
    LayerCase(
        "reshape",
        row("Reshape", "x", "y", "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }"),
        [(2, 6, 2)],
        [(2, 4, 3)],
    ),
    LayerCase(
        "reshape_inside",
        row("Reshape", "x", "y", "reshape_param { axis: 1 num_axes: 1 shape { dim: 2 dim: 3 } }"),
        [(2, 6, 2)],
        [(2, 2, 3, 2)],
    ),
    LayerCase("tile", row("Tile", "x", "y", "tile_param { tiles: 3 }"), [(3, 2, 2)], [(3, 6, 2)]),
    LayerCase(
        "crop",
        row("Crop", "x like", "y", "crop_param { axis: 1 offset: 1 offset: 0 }"),
        [(3, 4, 3), (3, 2, 2)],
        [(3, 2, 2)],
        zero_gradient=(1,),
    ),
    LayerCase(
        "batch_reindex",
        row("BatchReindex", "x i", "y"),
        [(4, 3), (5,)],
        [(5, 3)],
        [None, exactly([0, 2, 2, 0, 3])],
        batch_axis=None,
    ),
    LayerCase(
        "filter",
        row("Filter", "x z s", "y w"),
        [(4, 3), (4, 2), (4,)],
        [(2, 3), (2, 2)],
        [None, None, exactly([0, 1, 2, 0])],
    ),
    LayerCase("debug", row("Debug", "x label", "y"), [(4, 3, 2), (4, 2)], [(4, 3, 2)], [None, labels(3)]),
    LayerCase("silence", row("Silence", "x z", ""), [(3, 2), (3,)], [], zero_gradient=(0, 1)),
    LayerCase("input", row("Input", "", "x", "input_param { shape { dim: 2 dim: 3 } }"), [], [(2, 3)]),
    LayerCase(
        "dummy_data",
        row("DummyData", "", "x z", 'dummy_data_param { shape { dim: 2 } data_filler { type: "gaussian" } }'),
        [],
        [(2,)] * 2,
    ),
]

FOLDS = [
    LayerCase(
        "eltwise_sum",
        row("Eltwise", "a b c", "y", "eltwise_param { coeff: 1 coeff: -0.5 coeff: 2 }"),
        [(3, 4)] * 3,
        [(3, 4)],
    ),
    LayerCase(
        "eltwise_product", row("Eltwise", "a b c", "y", "eltwise_param { operation: PROD }"), [(3, 4)] * 3, [(3, 4)]
    ),
    LayerCase(
        "eltwise_product_by_division",
        row("Eltwise", "a b", "y", "eltwise_param { operation: PROD stable_prod_grad: false }"),
        [(3, 4)] * 2,
        [(3, 4)],
    ),
    LayerCase("eltwise_max", row("Eltwise", "a b c", "y", "eltwise_param { operation: MAX }"), [(3, 4)] * 3, [(3, 4)]),
    LayerCase("reduction_sum", row("Reduction", "x", "y", "reduction_param { coeff: 0.5 }"), [(3, 4)], [()]),
    LayerCase(
        "reduction_asum", row("Reduction", "x", "y", "reduction_param { operation: ASUM axis: 1 }"), [(3, 4, 2)], [(3,)]
    ),
    LayerCase(
        "reduction_sumsq", row("Reduction", "x", "y", "reduction_param { operation: SUMSQ axis: 1 }"), [(3, 4)], [(3,)]
    ),
    LayerCase(
        "reduction_mean",
        row("Reduction", "x", "y", "reduction_param { operation: MEAN axis: 2 }"),
        [(3, 4, 2)],
        [(3, 4)],
    ),
    LayerCase(
        "argmax",
        row("ArgMax", "x", "y", "argmax_param { top_k: 2 out_max_val: true }"),
        [(3, 5)],
        [(3, 2, 2)],
        [distinct],
    ),
    LayerCase(
        "argmax_axis",
        row("ArgMax", "x", "y", "argmax_param { top_k: 2 axis: 1 }"),
        [(3, 5, 2)],
        [(3, 2, 2)],
        [distinct],
    ),
    LayerCase("batch_norm", row("BatchNorm", "x", "y"), [(4, 3, 2)], [(4, 3, 2)], loose=20),
    LayerCase(
        "batch_norm_stored",
        row("BatchNorm", "x", "y", "batch_norm_param { eps: 0.5 }"),
        [(4, 3, 2)],
        [(4, 3, 2)],
        phase="TEST",
    ),
    LayerCase("mvn", row("MVN", "x", "y"), [(3, 2, 4)], [(3, 2, 4)], loose=5),
    LayerCase("mvn_items", row("MVN", "x", "y", "mvn_param { across_channels: true }"), [(3, 2, 4)], [(3, 2, 4)]),
    LayerCase("normalization", row("Normalization1", "x", "y"), [(3, 2, 4)], [(3, 2, 4)]),
    LayerCase(
        "normalization_magnitudes",
        row("Normalization1", "x", "y", "normalization_param { norm: L1 }"),
        [(3, 4)],
        [(3, 4)],
        [away_from(0)],
    ),
    LayerCase(
        "normalization_short",
        row("Normalization1", "x", "y", "normalization_param { eps: 50 }"),
        [(3, 4)],
        [(3, 4)],
    ),
    LayerCase("mvn_mean", row("MVN", "x", "y", "mvn_param { normalize_variance: false }"), [(3, 2, 4)], [(3, 2, 4)]),
]

LOSSES = [
    LayerCase("softmax", row("Softmax", "x", "y"), [(3, 4, 2)], [(3, 4, 2)]),
    LayerCase("softmax_last", row("Softmax", "x", "y", "softmax_param { axis: -1 }"), [(3, 4)], [(3, 4)]),
    LayerCase(
        "softmax_loss",
        row("SoftmaxWithLoss", "x label", "loss"),
        [(4, 3), (4,)],
        [()],
        [None, labels(3)],
    ),
    LayerCase(
        "softmax_loss_spatial",
        row("SoftmaxWithLoss", "x label", "loss", "loss_param { ignore_label: 1 normalization: VALID }"),
        [(3, 4, 2, 2), (3, 2, 2)],
        [()],
        [None, labels(4)],
    ),
    LayerCase(
        "softmax_loss_sum",
        row("SoftmaxWithLoss", "x label", "loss p", "loss_param { normalization: NONE }"),
        [(4, 3), (4, 1)],
        [(), (4, 3)],
        [None, labels(3)],
        tolerance=10,
    ),
    LayerCase(
        "infogain_loss",
        row("InfogainLoss", "x label H", "loss"),
        [(4, 3), (4,), (3, 3)],
        [()],
        [None, labels(3), positive],
        batched=(0, 1),
    ),
    LayerCase(
        "multinomial_loss",
        row("MultinomialLogisticLoss", "p label", "loss"),
        [(4, 3), (4,)],
        [()],
        [positive, labels(3)],
    ),
    LayerCase("hinge_loss", row("HingeLoss", "x label", "loss"), [(4, 3), (4,)], [()], [away_from(-1, 1), labels(3)]),
    LayerCase(
        "hinge_loss_squared",
        row("HingeLoss", "x label", "loss", "hinge_loss_param { norm: L2 }"),
        [(4, 3), (4,)],
        [()],
        [away_from(-1, 1), labels(3)],
    ),
    LayerCase("euclidean_loss", row("EuclideanLoss", "a b", "loss"), [(4, 3, 2)] * 2, [()]),
    LayerCase("sigmoid_loss", row("SigmoidCrossEntropyLoss", "x t", "loss"), [(4, 3)] * 2, [()], [None, labels(2)]),
    LayerCase(
        "sigmoid_loss_ignore",
        row("SigmoidCrossEntropyLoss", "x t", "loss", "loss_param { ignore_label: -1 normalization: VALID }"),
        [(4, 3)] * 2,
        [()],
        [None, exactly([0, 1, -1, 1, 0.5])],
    ),
]


def pairs(name: str, settings: str = "", label: tuple[int, ...] = (5,), values=None, more="", **options) -> LayerCase:
    """A contrastive loss on five pairs; distances lie around the margin, and not near it or 0."""
    similar = values or exactly([1, 0, 0, 1, 0])
    shapes, makers, bottoms = [(5, 3), (5, 3), label], [None, None, similar], "a b label"
    if more:
        shapes.append((4, 3))
        makers.append(normal)
        bottoms += " centroids"
        options["batched"] = (0, 1, 2)
    text = f"contrastive_loss_param {{ margin: 2.5 {settings} }}"
    options.setdefault("tolerance", 3e-4)
    return LayerCase(name, row("ContrastiveLoss", bottoms, "loss", text), shapes, [()], makers, **options)


def sequences(name: str, settings: str, images: int, label: str = " label") -> LayerCase:
    """Six images of three labels and what goes with them."""
    names = " ".join(f"image{i}" for i in range(images)) + label
    labels_top = [(6, images, 1, 1)] if label else []
    return LayerCase(
        name,
        row("DataSequence", "x label", names, f"data_sequence_param {{ cache_size: 4 {settings} }}"),
        [(6, 2, 3), (6, 1)],
        [(6, 2, 3)] * images + labels_top,
        [None, exactly([2, 3, 2, 4, 3, 4])],
        batch_axis=None,
    )


SEQUENCES = [
    sequences("data_sequence_balanced", "", 2),
    sequences("data_sequence_others", "balance_matches: false label_count: 3 label_start: 2", 2),
    sequences("data_sequence_triplets", "k: 1", 3),
    sequences("data_sequence_many", "k: 5 output_labels: false label_count: 5", 7, ""),
]

CONTRASTIVE = [
    pairs("contrastive"),
    pairs("contrastive_legacy", "legacy_version: true"),
    pairs("contrastive_column", label=(5, 1)),
    pairs("contrastive_classes", label=(5, 2), values=exactly([0, 0, 1, 2, 3, 3, 2, 1, 0, 3])),
    pairs("contrastive_triples", label=(5, 3), values=exactly([1, 1, 1, 2, 2, 0, 3, 3, 3, 2, 1, 0, 0, 0, 0])),
    pairs("contrastive_manhattan", "distance_calculation: MANHATTAN"),
    pairs("contrastive_scaled", "matching_distance_scale: 0.3"),
    pairs("contrastive_manhattan_scaled", "distance_calculation: MANHATTAN matching_distance_scale: 2"),
    *(
        pairs(
            f"contrastive_centroids_{which.lower()}",
            f"centroid_learning: {which} matching_distance_scale: 1.5",
            (5, 2),
            exactly([0, 0, 1, 2, 3, 3, 2, 1, 0, 3]),
            more="centroids",
            zero_gradient=(0,) if which == "ALL" else (),
        )
        for which in ("MATCHING", "NONMATCHING", "ALL")
    ),
]


def triplets(name: str, settings: str, bottoms: str = "x label", tops: str = "loss active", **options) -> LayerCase:
    """A triplet loss on given triplets (x p n), or on those of a batch of nine items of three labels."""
    mined = bottoms == "x label"
    shapes = [(9, 4), (9, 2)] if mined else [(5, 3)] * 3 + [(5, 2)] * (len(bottoms.split()) - 3)
    makers = [None, exactly([i % 3 for i in range(9) for _ in range(2)])] if mined else [None] * 3
    text = f"triplet_loss_param {{ {settings} }}"
    return LayerCase(name, row("TripletLoss", bottoms, tops, text), shapes, [()] * len(tops.split()), makers, **options)


TRIPLETS = [
    triplets("triplet", "alpha: 3", "x p n label"),
    triplets("triplet_euclidean", "alpha: 0.5 distance: EUCLIDEAN", "x p n"),
    triplets("triplet_cosine_soft", "soft_margin: true distance: COSINE", "x p n", "loss"),
    *(
        triplets(f"triplet_{mining.lower()}_{distance.lower()}", f"mining: {mining} distance: {distance} {margin}")
        for mining in ("ALL", "HARD", "SEMIHARD")
        for distance, margin in (("SQUARED", "alpha: 2"), ("EUCLIDEAN", "soft_margin: true"), ("COSINE", "alpha: 0.4"))
    ),
]

EPISODES = [
    *(
        LayerCase(
            name,
            row("PrototypicalLoss", "x label", "loss", f"prototypical_loss_param {{ {settings} }}"),
            [(10, 3), label],
            [()],
            [None, exactly(values)],
            batch_axis=None,
        )
        for name, settings, label, values in (
            ("prototypical", "", (10,), [7, -2, 7, 7, -2, 0.5, 0.5, -2, -2, 0.5]),
            ("prototypical_shots", "shots: 2 temperature: 0.5", (10, 1), [3, 3, 3, 3, 1, 1, 1, 1, 1, 1]),
            ("prototypical_cosine", "distance: COSINE temperature: 0.3", (10,), [0, 1, 2, 0, 1, 2, 0, 1, 2, 2]),
        )
    ),
    LayerCase("sup_con", row("SupConLoss", "x label", "loss"), [(6, 3), (6,)], [()], [None, labels(3)], loose=5),
    LayerCase(
        "sup_con_alone",
        row("SupConLoss", "x label", "loss", "sup_con_loss_param { temperature: 0.5 }"),
        [(5, 2, 2), (5, 2)],
        [()],
        [None, exactly([4, 0, 4, 1, -1, 2, 9, 3, 4, 4])],
    ),
    LayerCase(
        "sup_con_squared",
        row("SupConLoss", "x label", "loss", "sup_con_loss_param { temperature: 1.5 distance: SQUARED }"),
        [(6, 2, 2), (6,)],
        [()],
        [None, labels(3)],
    ),
    LayerCase(
        "sup_con_negatives",
        row("SupConLoss", "x label", "loss", "sup_con_loss_param { temperature: 0.3 against: NEGATIVES }"),
        [(7, 3), (7,)],
        [()],
        [None, labels(3)],
        loose=5,
    ),
    LayerCase(
        "n_pair",
        row(
            "SupConLoss",
            "x label",
            "loss",
            "sup_con_loss_param { temperature: 1 distance: SQUARED against: NEGATIVES }",
        ),
        [(7, 3), (7,)],
        [()],
        [None, exactly([4, 0, 4, 1, 0, 0, 4])],
    ),
]

METRICS = [
    LayerCase("accuracy", row("Accuracy", "x label", "accuracy"), [(6, 3), (6,)], [()], [None, labels(3)]),
    LayerCase(
        "accuracy_classes",
        row("Accuracy", "x label", "accuracy each", "accuracy_param { top_k: 2 ignore_label: 1 }"),
        [(3, 4, 2), (3, 2)],
        [(), (4,)],
        [None, labels(4)],
    ),
    LayerCase(
        "decode",
        row("Decode", "x label", "d"),
        [(6, 3), (6,)],
        [(6, 4)],
        [None, exactly([0, 3, 1, 2, 0, 3])],
        batch_axis=None,
    ),
    LayerCase(
        "decode_centroids",
        row(
            "Decode", "x label", "d c", "decode_param { recent_items: 1 centroid_output_iteration: 0 ignore_label: 2 }"
        ),
        [(6, 3), (6, 2)],
        [(6, 3), (3, 3)],
        [None, exactly([0, 1, 2, 0, 1, 2])],
        batch_axis=None,
    ),
    LayerCase("decode_test", row("Decode", "x", "d"), [(6, 3)], [(6, 2)], phase="TEST"),
    LayerCase(
        "decode_nearest",
        row("Decode", "x label", "d", "decode_param { target: KNN k: 2 cache_size: 1 }"),
        [(6, 3), (6,)],
        [(6, 3)],
        [None, labels(3)],
        batch_axis=None,
    ),
    LayerCase(
        "decode_given",
        row("Decode", "x label", "d c", "decode_param { target: PREGEN pregen_label_count: 4 }"),
        [(6, 3), (6,)],
        [(6, 4), (4, 3)],
        [None, labels(4)],
    ),
    LayerCase(
        "knn",
        row("Knn", "x label", "scores", "knn_param { num_output: 3 k: 2 max_stored_batches: 1 }"),
        [(6, 3), (6, 2)],
        [(6, 3)],
        [None, labels(3)],
    ),
    LayerCase("knn_test", row("Knn", "x", "scores", "knn_param { num_output: 3 }"), [(6, 3)], [(6, 3)], phase="TEST"),
    LayerCase("accuracy_decode", row("AccuracyDecode", "d label", "a"), [(6, 3), (6, 2)], [()], [positive, labels(3)]),
    LayerCase("accuracy_encoding", row("AccuracyEncoding", "x label", "a"), [(6, 3), (6, 2)], [()], [None, labels(2)]),
]

RECURRENT = [
    LayerCase(
        "lstm",
        row("LSTM", "x cont", "h", "recurrent_param { num_output: 3 }"),
        [(3, 2, 4), (3, 2)],
        [(3, 2, 3)],
        [None, exactly([0, 0, 1, 0, 1, 1])],
        batch_axis=1,
    ),
    LayerCase(
        "lstm_static_exposed",
        row("LSTM", "x cont static h0 c0", "h h1 c1", "recurrent_param { num_output: 3 expose_hidden: true }"),
        [(3, 2, 4), (3, 2), (2, 5), (1, 2, 3), (1, 2, 3)],
        [(3, 2, 3), (1, 2, 3), (1, 2, 3)],
        [None, exactly([1, 1, 1, 0, 1, 1])],
        batch_axis=None,
    ),
    LayerCase(
        "rnn",
        row("RNN", "x cont", "h", "recurrent_param { num_output: 3 }"),
        [(3, 2, 4), (3, 2)],
        [(3, 2, 3)],
        [None, exactly([0, 0, 1, 0, 1, 1])],
        batch_axis=1,
    ),
    LayerCase(
        "rnn_static_exposed",
        row("RNN", "x cont static h0", "h h1", "recurrent_param { num_output: 3 expose_hidden: true }"),
        [(3, 2, 4), (3, 2), (2, 5), (1, 2, 3)],
        [(3, 2, 3), (1, 2, 3)],
        [None, exactly([1, 1, 1, 0, 1, 1])],
        batch_axis=None,
    ),
]

CASES = [
    *NEURONS,
    *VISION,
    *LINEAR,
    *SHAPES,
    *FOLDS,
    *LOSSES,
    *CONTRASTIVE,
    *TRIPLETS,
    *SEQUENCES,
    *EPISODES,
    *METRICS,
    *RECURRENT,
]

ELSEWHERE = {
    "Data": "test_data.py",
    "HDF5Data": "test_hdf5.py",
    "HDF5Output": "test_hdf5.py",
    "ImageData": "test_image_data.py",
    "MemoryData": "test_data.py",
    "Python": "test_python.py",
}
"""Built-in layers that need a source, a file or a module, and the file beside this one that tests them."""
