"""Finding kernel text, reading signatures, and checking the arguments of launches."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from netforge.device import kernel_source
from netforge.device.operations import Ops
from netforge.errors import DeviceError

BY_LIBRARIES = {
    "matmul": "cuBLAS",
    "conv_forward": "cuDNN",
    "conv_backward_data": "cuDNN",
    "conv_backward_weights": "cuDNN",
    "selected_rows": "the host, whose answer is a size",
}
"""Operations without a kernel, and what does them."""

BY_SEVERAL = {
    "softmax_forward": ("softmax_forward_rows", "softmax_forward"),
    "softmax_backward": ("softmax_backward_rows", "softmax_backward"),
    "bias_backward": ("channel_sum", "sum_rows", "finish_channels"),
    "prelu_backward_slope": ("channel_dot_negative", "finish_channels"),
    "reduce_forward": ("channel_sum", "channel_magnitudes", "channel_dot", "finish_channels"),
    "scale_backward_factor": ("channel_sum_dot", "channel_dot", "dot_rows", "finish_channels"),
    "nearest_scores": ("stored_distances", "nearest_scores"),
    "batch_norm_backward": ("channel_sum_dot", "channel_sum_dot_rectified", "batch_norm_backward"),
    "channel_statistics": ("channel_moments", "finish_moments"),
    "transform_images": ("transform_bytes", "transform_pixels"),
    "sup_con_pairs": ("sup_con_against_all", "sup_con_against_negatives"),
    "triplet_mine": ("triplet_mine_all", "triplet_mine_hard", "triplet_mine_semihard"),
}
"""Operations whose kernels have other names."""


def operations() -> list[str]:
    return [name for name, _ in inspect.getmembers(Ops, inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize("name", operations())
def test_every_operation_has_its_kernels(name: str) -> None:
    if name in BY_LIBRARIES:
        assert name not in kernel_source.kernels("float32")
        return
    for kernel in BY_SEVERAL.get(name, (name,)):
        assert kernel_source.kernel(kernel, np.float32).name == f"{kernel}_f32"


def test_both_floating_types_have_the_same_kernels() -> None:
    singles, doubles = (kernel_source.kernels(dtype) for dtype in ("float32", "float64"))
    assert singles.keys() == doubles.keys()
    assert {k.name.removesuffix("_f64") for k in doubles.values()} == set(doubles)


def test_text_is_whole_and_points_at_its_files() -> None:
    text = kernel_source.module_text("pooling", "float64")
    assert "#include" not in text
    assert text.startswith("typedef double Real;\n#define KERNEL(name) ")
    lines = text.splitlines()
    own = kernel_source._read("pooling.cu").splitlines()
    after_include = own.index('#include "planes.cuh"') + 1
    assert lines[lines.index(f"#line {after_include + 1}") + 1 :] == own[after_include:]


def test_signatures_are_read() -> None:
    kernel = kernel_source.kernel("pool_max_forward", "float32")
    assert (kernel.family, kernel.name) == ("pooling", "pool_max_forward_f32")
    x, y, mask, n = kernel.parameters[:4]
    assert (x.name, x.dtype, x.pointer, x.const) == ("x", np.float32, True, True)
    assert (y.pointer, y.const) == (True, False)
    assert (mask.dtype, n.dtype, n.pointer) == (np.int32, np.int32, False)


def test_numbers_get_the_type_of_their_parameter() -> None:
    x = np.zeros(4, np.float32)
    values = kernel_source.kernel("relu_forward", "float32").arguments((x, None, 4, 0.1))
    assert values[0] is x
    assert values[1] is None
    assert [type(v) for v in values[2:]] == [np.int32, np.float32]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, np.zeros(4), "parameter x: found an array of float64, expected a C-contiguous array of float32"),
        (1, np.zeros(8, np.float32)[::2], "parameter y: found an array with strides"),
        (1, 3.0, "parameter y: found float"),
        (2, 4.0, "parameter n: found float 4.0, expected a number of type int32"),
        (2, 2**31, "parameter n: found 2147483648"),
        (3, "a", "parameter slope: found str"),
    ],
)
def test_wrong_arguments_are_named(place: int, value: Any, words: str) -> None:
    x = np.zeros(4, np.float32)
    values = [x, x, 4, 0.1]
    values[place] = value
    with pytest.raises(DeviceError, match=f"kernel relu_forward_f32, {words}"):
        kernel_source.kernel("relu_forward", "float32").arguments(tuple(values))


def test_a_wrong_number_of_arguments() -> None:
    with pytest.raises(DeviceError, match=r"takes 4 arguments \(x, y, n, slope\), 1 were given"):
        kernel_source.kernel("relu_forward", "float32").arguments((None,))


def test_unknown_kernels_and_types() -> None:
    with pytest.raises(DeviceError, match="relu_forward"):
        kernel_source.kernel("relu_foward", "float32")
    with pytest.raises(DeviceError, match="float16"):
        kernel_source.kernel("relu_forward", np.float16)


@pytest.mark.parametrize(("place", "fits"), [(0, True), (4, False)])
def test_only_sources_may_hold_2_to_the_31_elements(place: int, fits: bool) -> None:
    kernel = kernel_source.kernel("transform_bytes", "float32")
    arrays = [np.zeros(1, p.dtype) if p.pointer else 0 for p in kernel.parameters]
    flags = SimpleNamespace(c_contiguous=True)
    arrays[place] = SimpleNamespace(dtype=kernel.parameters[place].dtype, size=2**31, flags=flags)
    if fits:
        assert kernel.arguments(tuple(arrays))[place].size == 2**31
        return
    with pytest.raises(DeviceError, match="parameter out: found 2147483648 elements"):
        kernel.arguments(tuple(arrays))
