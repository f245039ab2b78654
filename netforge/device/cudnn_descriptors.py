"""cuDNN's C functions with their types, its descriptors of convolutions, and its errors: all that needs no device.

The functions are those of cuDNN's older interface, which versions 8 and 9 both have, with the same numbers for
everything but statuses.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from netforge.device.libraries import Function, Library, release_with
from netforge.device.operations.convolution import ConvGeometry
from netforge.errors import DeviceError

LARGEST_SIZE = 2**31 - 1
"""The most elements of an array: descriptors hold sizes and strides as 32-bit integers."""
MOST_AXES = 3
"""The most spatial axes that cuDNN convolves over."""

REALS: dict[np.dtype[Any], tuple[int, type[c_float] | type[c_double]]] = {
    np.dtype(np.float32): (0, c_float),  # cudnnDataType_t, and the type of factors
    np.dtype(np.float64): (1, c_double),
}
_NCHW, _CROSS_CORRELATION = 0, 1  # cudnnTensorFormat_t, cudnnConvolutionMode_t
DEFAULT_MATH, FMA_MATH = 0, 3  # cudnnMathType_t; the default lets float32 run in TF32 on GPUs that have it

_MENDS = (
    ("NOT_INITIALIZED", "check with nvidia-smi that the driver runs and is new enough for this version of CUDA"),
    ("CUDA_DRIVER", "check with nvidia-smi that the driver is new enough for this version of CUDA"),
    ("ALLOC", "the device's memory ran out: make the batch smaller"),
    ("VERSION_MISMATCH", "files of several versions of cuDNN are mixed: reinstall it"),
    ("LOADING_FAILED", "some of cuDNN's files are missing: reinstall it"),
    ("ARCH_MISMATCH", "this GPU is not supported by this version of cuDNN: install another one"),
    ("EXECUTION_FAILED", "an earlier kernel may have failed: run again with CUDA_LAUNCH_BLOCKING=1"),
)
"""Part of a status' name, and what helps; the numbers differ between cuDNN 8 and 9, the names do not."""


class AlgorithmPerformance(ctypes.Structure):
    """cudnnConvolution*AlgoPerf_t, the same for the three passes. time: in ms. memory: of the workspace, in bytes."""

    _fields_ = [
        ("algorithm", c_int),
        ("status", c_int),
        ("time", c_float),
        ("memory", c_size_t),
        ("determinism", c_int),
        ("math", c_int),
        ("reserved", c_int * 3),
    ]


_INTS = POINTER(c_int)
_FOUND = [c_int, _INTS, POINTER(AlgorithmPerformance)]
_DESCRIPTORS = {"Tensor", "Filter", "Convolution"}
_ARGUMENTS: dict[str, list[Any]] = {
    "Create": [POINTER(c_void_p)],
    "Destroy": [c_void_p],
    "SetStream": [c_void_p, c_void_p],
    **{f"Create{kind}Descriptor": [POINTER(c_void_p)] for kind in _DESCRIPTORS},
    **{f"Destroy{kind}Descriptor": [c_void_p] for kind in _DESCRIPTORS},
    "SetTensorNdDescriptor": [c_void_p, c_int, c_int, _INTS, _INTS],
    "SetFilterNdDescriptor": [c_void_p, c_int, c_int, c_int, _INTS],
    "SetConvolutionNdDescriptor": [c_void_p, c_int, _INTS, _INTS, _INTS, c_int, c_int],
    "SetConvolutionGroupCount": [c_void_p, c_int],
    "SetConvolutionMathType": [c_void_p, c_int],
    "GetConvolutionNdForwardOutputDim": [c_void_p, c_void_p, c_void_p, c_int, _INTS],
}
for _pass in ("Forward", "BackwardData", "BackwardFilter"):
    # The three passes take their two inputs and their output in the same order; `algorithm` follows the descriptors.
    _ARGUMENTS[f"Convolution{_pass}"] = [*[c_void_p] * 7, c_int, c_void_p, c_size_t, *[c_void_p] * 3]
    _ARGUMENTS[f"GetConvolution{_pass}Algorithm_v7"] = [*[c_void_p] * 5, *_FOUND]
    _ARGUMENTS[f"FindConvolution{_pass}AlgorithmEx"] = [*[c_void_p] * 8, *_FOUND, c_void_p, c_size_t]
    _ARGUMENTS[f"GetConvolution{_pass}WorkspaceSize"] = [*[c_void_p] * 5, c_int, POINTER(c_size_t)]


class CudnnFunctions:
    """The functions of a loaded cuDNN; they need no device until a handle is made."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._functions = {n: library.function(f"cudnn{n}", *a) for n, a in _ARGUMENTS.items()}
        self._error_text = library.function("cudnnGetErrorString", c_int, result=c_char_p)
        self._last_error: Function | None = None
        if library.version >= (9,):
            self._last_error = library.function("cudnnGetLastErrorString", c_char_p, c_size_t, result=None)

    def call(self, name: str, *arguments: Any) -> None:
        """Call cudnn`name`; raises DeviceError for any status but success."""
        status = self._functions[name](*arguments)
        if status:
            raise self.error(name, status)

    def succeeds(self, name: str, *arguments: Any) -> bool:
        """Call cudnn`name` and tell whether it could do what was asked."""
        return bool(self._functions[name](*arguments) == 0)

    def error(self, name: str, status: int) -> DeviceError:
        """The error for a status, with what cuDNN 9 can say about it."""
        text = self._error_text(status).decode(errors="replace")
        mend = next((mend for part, mend in _MENDS if part in text), None)
        detail = ""
        if self._last_error is not None:
            message = ctypes.create_string_buffer(1024)
            self._last_error(message, len(message))
            detail = message.value.decode(errors="replace").strip()
        found = f"cudnn{name} failed with {text}{f' ({detail})' if detail else ''}"
        return DeviceError(found, where=self.library.describe(), mend=mend)

    def descriptor(self, owner: object, kind: str) -> c_void_p:
        """A new descriptor of a kind ("Tensor", "Filter", "Convolution"), destroyed when `owner` goes."""
        made = c_void_p()
        self.call(f"Create{kind}Descriptor", byref(made))
        release_with(owner, self._functions[f"Destroy{kind}Descriptor"], made)
        return made

    def release_handle(self, owner: object, handle: c_void_p) -> None:
        """Destroy a handle when `owner` goes."""
        release_with(owner, self._functions["Destroy"], handle)


@dataclass(frozen=True, eq=False)  # there are three: the identity is faster to look up with
class Pass:
    """One of the three products of a convolution.

    name: in cuDNN's functions. inputs, output: which arrays it takes. preferred: the numbers of algorithms that are
    exact and took little time (forward CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, backward *_ALGO_FFT and FFT_TILING).
    winograd: that of Winograd's algorithm with transforms of their own (*_ALGO_WINOGRAD_NONFUSED).
    """

    name: str
    inputs: tuple[str, str]
    output: str
    preferred: tuple[int, ...]
    winograd: int


FORWARD = Pass("Forward", ("x", "w"), "y", (0,), 7)
BACKWARD_DATA = Pass("BackwardData", ("w", "y"), "x", (2, 3), 5)
BACKWARD_WEIGHTS = Pass("BackwardFilter", ("x", "y"), "w", (2,), 5)


class ConvolutionDescriptors:
    """What cuDNN has to know about a convolution; made and checked without a device.

    Fewer than two spatial axes are seen as two, the first ones of size 1. y_shape: (N, O, out...).
    """

    def __init__(
        self,
        functions: CudnnFunctions,
        x: tuple[int, ...],
        w: tuple[int, ...],
        dtype: np.dtype[Any],
        g: ConvGeometry,
        math: int,
    ) -> None:
        self.functions = functions
        self._check(x, w, dtype, g)
        kind = REALS[dtype][0]
        extra = max(0, 2 - len(g.stride))
        units = (1,) * extra
        shapes = {"x": (*x[:2], *units, *x[2:]), "w": (*w[:2], *units, *w[2:])}
        self.arrays = {"x": self._tensor(shapes["x"], kind), "w": functions.descriptor(self, "Filter")}
        functions.call("SetFilterNdDescriptor", self.arrays["w"], kind, _NCHW, *_numbers(shapes["w"]))
        self.passes = {p: self._window(g, extra, kind, math) for p in (FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS)}
        sizes = (c_int * len(shapes["x"]))()
        functions.call(
            "GetConvolutionNdForwardOutputDim",
            *(self.passes[FORWARD], self.arrays["x"], self.arrays["w"]),
            *(len(sizes), sizes),
        )
        shapes["y"] = tuple(sizes)
        self.arrays["y"] = self._tensor(shapes["y"], kind)
        self.elements = {name: prod(shape) for name, shape in shapes.items()}
        self.y_shape = (*shapes["y"][:2], *shapes["y"][2 + extra :])

    def set_math(self, which: Pass, math: int) -> None:
        """Fix the arithmetic of one pass."""
        self.functions.call("SetConvolutionMathType", self.passes[which], math)

    def of(self, which: Pass) -> tuple[c_void_p, c_void_p, c_void_p, c_void_p]:
        """Descriptors of a pass in cuDNN's order: first input, second input, convolution, output."""
        first, second = which.inputs
        return self.arrays[first], self.arrays[second], self.passes[which], self.arrays[which.output]

    def _check(self, x: tuple[int, ...], w: tuple[int, ...], dtype: np.dtype[Any], g: ConvGeometry) -> None:
        found = None
        if dtype not in REALS:
            found = f"cuDNN convolves float32 and float64 here, not {dtype}"
        elif len(g.stride) > MOST_AXES:
            found = f"cuDNN convolves over at most {MOST_AXES} spatial axes, found {len(g.stride)}"
        elif len(x) != len(g.stride) + 2 or len(w) != len(x):
            found = f"x {x}, w {w} and {g} have different numbers of spatial axes"
        elif x[1] != w[1] * g.group or w[0] % g.group:
            found = f"x {x} and w {w} do not fit in {g.group} groups"
        elif max(prod(x), prod(w)) > LARGEST_SIZE:
            found = f"x {x} or w {w} has more than {LARGEST_SIZE} elements, too many for cuDNN"
        if found:
            raise DeviceError(found, where=self.functions.library.describe())

    def _tensor(self, shape: tuple[int, ...], kind: int) -> c_void_p:
        made = self.functions.descriptor(self, "Tensor")
        strides = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
        self.functions.call("SetTensorNdDescriptor", made, kind, *_numbers(shape), _numbers(strides)[1])
        return made

    def _window(self, g: ConvGeometry, extra: int, kind: int, math: int) -> c_void_p:
        """A convolution's descriptor: each pass has its own, because its algorithm fixes the arithmetic."""
        made = self.functions.descriptor(self, "Convolution")
        axes, pad = _numbers((*(0,) * extra, *g.pad))
        stride, dilation = (_numbers((1,) * extra + numbers)[1] for numbers in (g.stride, g.dilation))
        self.functions.call("SetConvolutionNdDescriptor", made, axes, pad, stride, dilation, _CROSS_CORRELATION, kind)
        self.functions.call("SetConvolutionGroupCount", made, g.group)
        self.functions.call("SetConvolutionMathType", made, math)
        return made


def _numbers(values: tuple[int, ...]) -> tuple[int, Any]:
    """Count and C array of integers."""
    return len(values), (c_int * len(values))(*values)
