"""Convolution by cuDNN 8 and 9, called through their C interface: one code path for CUDA 11, 12 and 13.

`Cudnn` is a device's handle, with memory for the algorithms; `Convolution` is one problem (shapes, type, geometry) with
the algorithm of each of its passes. Algorithms are chosen by `Convolution.plan`, or by the first call of a pass. After
that, a pass allocates nothing and waits for nothing: it may run while a CUDA graph is captured.
"""

from __future__ import annotations

from ctypes import byref, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.cudnn_descriptors import (
    BACKWARD_DATA,
    BACKWARD_WEIGHTS,
    DEFAULT_MATH,
    FMA_MATH,
    FORWARD,
    REALS,
    AlgorithmPerformance,
    ConvolutionDescriptors,
    CudnnFunctions,
    Pass,
)
from netforge.device.libraries import CUDNN, Allocate, Memory, load
from netforge.device.operations.convolution import ConvGeometry
from netforge.errors import DeviceError

WINOGRAD_PAYS = 10**9
"""Multiply-adds of a convolution from which on Winograd's algorithm takes less time than others."""
_MOST_ALGORITHMS = 32  # asked for; more than any pass has, each with up to three kinds of arithmetic


@dataclass(frozen=True)
class ConvolutionOptions:
    """How algorithms are chosen.

    deterministic: only those that give the same bits every time, in an order that depends on nothing but the problem.
    Otherwise all of them are measured once, and which comes first may differ from run to run. allow_tf32: let float32
    run on tensor cores with 10 bits of mantissa, or by other algorithms that are no more exact. workspace_bytes: the
    most memory that one may take beside its arrays, shared by all convolutions on a stream.
    """

    deterministic: bool = True
    allow_tf32: bool = False
    workspace_bytes: int = 512 << 20


class Cudnn:
    """cuDNN for the device that is current when this is made; to be used with it current, by one thread at a time.

    cuda: major version of CUDA that CuPy uses. allocate: gives device memory. options: may be replaced at any time;
    convolutions asked for afterwards follow them.
    """

    def __init__(self, cuda: int, allocate: Allocate, options: ConvolutionOptions | None = None) -> None:
        self.functions = CudnnFunctions(load(CUDNN, cuda))
        self.library = self.functions.library
        self.options = options or ConvolutionOptions()
        self.allocate = allocate
        self._handle = c_void_p()
        self.functions.call("Create", byref(self._handle))
        self.functions.release_handle(self, self._handle)
        self._stream: int | None = None
        self._workspaces: dict[int, Memory] = {}
        self._sizes: dict[int, int] = {}
        self._outgrown: list[Memory] = []
        self._convolutions: dict[tuple[Any, ...], Convolution] = {}

    def convolution(self, x: tuple[int, ...], w: tuple[int, ...], dtype: npt.DTypeLike, g: ConvGeometry) -> Convolution:
        """The convolution of shapes x (N, C, spatial...) and w (O, C / group, kernel...), made once and kept.

        Raises DeviceError where cuDNN does not have it: use im2col and a matrix product then.
        """
        key = (x, w, dtype, g, self.options)
        known = self._convolutions.get(key)
        if known is None:
            known = self._convolutions[key] = Convolution(self, x, w, np.dtype(dtype), g, self.options)
        return known

    def use(self, stream: int) -> c_void_p:
        """The handle, set to a stream (its address, 0 for the default one)."""
        if stream != self._stream:
            self._stream = None  # unknown, should the call fail
            self.functions.call("SetStream", self._handle, stream)
            self._stream = stream
        return self._handle

    def workspace(self, stream: int, size: int) -> int | None:
        """Address of at least `size` bytes that are `stream`'s own; None for no bytes.

        It grows by doubling. What it outgrows is kept: a captured graph may still use it.
        """
        if size == 0:
            return None
        if self._sizes.get(stream, 0) < size:
            capacity = 1 << (size - 1).bit_length()
            grown = self.allocate(capacity)
            if stream in self._workspaces:
                self._outgrown.append(self._workspaces[stream])
            self._workspaces[stream], self._sizes[stream] = grown, capacity
        return self._workspaces[stream].ptr


@dataclass(frozen=True)
class Algorithm:
    """The algorithm chosen for a pass: cuDNN's number for it, its arithmetic, its workspace in bytes."""

    number: int
    math: int
    workspace: int


class Convolution:
    """One convolution problem on one device: y = w * x and its gradients (`ConvolutionOps` has the definitions).

    Arrays are given as addresses of C-contiguous device memory of the shapes that this was made with. A deconvolution
    runs `backward_data` as its forward pass. `Cudnn.convolution` makes and keeps these.
    """

    def __init__(
        self,
        cudnn: Cudnn,
        x: tuple[int, ...],
        w: tuple[int, ...],
        dtype: np.dtype[Any],
        g: ConvGeometry,
        options: ConvolutionOptions,
    ) -> None:
        self.cudnn = cudnn
        self.options = options
        self._tf32 = options.allow_tf32 or dtype != np.float32
        math = DEFAULT_MATH if self._tf32 else FMA_MATH
        self.descriptors = ConvolutionDescriptors(cudnn.functions, x, w, dtype, g, math)
        self.y_shape = self.descriptors.y_shape
        self.algorithms: dict[Pass, Algorithm] = {}
        # With windows of 5 x 5 Winograd's algorithm is off by up to 1.6 % of the largest number, by 0.005 % with 3 x 3.
        self._winograd = self._tf32 or all(size == 3 for size in w[2:])
        self._multiply_adds = prod(self.y_shape) * prod(w[1:])
        self._problem = f"x {x}, w {w}, {dtype}, {g}"
        self._item_bytes = dtype.itemsize
        real = REALS[dtype][1]
        self._one, self._zero = byref(real(1)), byref(real(0))

    def plan(self, stream: int, *passes: Pass) -> None:
        """Choose algorithms for these passes, where that has not been done, and take memory for them on `stream`.

        Raises DeviceError where no algorithm satisfies the options.
        """
        for which in passes:
            if which not in self.algorithms:
                self.algorithms[which] = self._choose(stream, which)
            self.cudnn.workspace(stream, self.algorithms[which].workspace)

    def forward(self, stream: int, x: int, w: int, y: int) -> None:
        """y = w * x."""
        self._run(FORWARD, stream, x, w, y, self._zero)

    def backward_data(self, stream: int, dy: int, w: int, dx: int) -> None:
        """dx = gradient with respect to x (overwritten)."""
        self._run(BACKWARD_DATA, stream, w, dy, dx, self._zero)

    def backward_weights(self, stream: int, x: int, dy: int, dw: int) -> None:
        """dw += gradient with respect to w."""
        self._run(BACKWARD_WEIGHTS, stream, x, dy, dw, self._one)

    def _run(self, which: Pass, stream: int, first: int, second: int, output: int, beta: Any) -> None:
        if which not in self.algorithms:
            self.plan(stream, which)
        chosen = self.algorithms[which]
        handle = self.cudnn.use(stream)
        workspace = self.cudnn.workspace(stream, chosen.workspace)
        first_array, second_array, window, output_array = self.descriptors.of(which)
        self.cudnn.functions.call(
            f"Convolution{which.name}",
            *(handle, self._one, first_array, first, second_array, second),
            *(window, chosen.number, workspace, chosen.workspace, beta, output_array, output),
        )

    def _choose(self, stream: int, which: Pass) -> Algorithm:
        """The fastest algorithm that satisfies the options, as the heuristics or measurements rank them."""
        handle, limit = self.cudnn.use(stream), self.options.workspace_bytes
        for candidate in self._expected(stream, which) if self.options.deterministic else self._measured(stream, which):
            if candidate.status or (self.options.deterministic and not candidate.determinism):
                continue
            if candidate.algorithm == which.winograd and not self._winograd:
                continue
            math = candidate.math if self._tf32 else FMA_MATH
            self.descriptors.set_math(which, math)
            size = c_size_t()
            query = f"GetConvolution{which.name}WorkspaceSize"
            if not self.cudnn.functions.succeeds(
                query, handle, *self.descriptors.of(which), candidate.algorithm, byref(size)
            ):
                continue
            if size.value <= limit:
                return Algorithm(candidate.algorithm, math, size.value)
        kind = "deterministic algorithm" if self.options.deterministic else "algorithm"
        raise DeviceError(
            f"cuDNN has no {kind} within {limit} bytes of workspace for {which.name} of {self._problem}",
            where=self.cudnn.library.describe(),
            mend="allow a larger workspace" + (" or other algorithms" if self.options.deterministic else ""),
        )

    def _expected(self, stream: int, which: Pass) -> list[AlgorithmPerformance]:
        found, count = (AlgorithmPerformance * _MOST_ALGORITHMS)(), c_int()
        self.cudnn.functions.call(
            f"GetConvolution{which.name}Algorithm_v7",
            *(self.cudnn.use(stream), *self.descriptors.of(which), len(found), byref(count), found),
        )
        return sorted(found[: count.value], key=lambda one: self._rank(which, one.algorithm))

    def _rank(self, which: Pass, number: int) -> int:
        """Where an algorithm stands among the deterministic ones; those of equal rank stay in the heuristics' order.

        The heuristics are far off: algorithms that they name last took a tenth of the time of the first one. These
        ranks were measured on 30 convolutions of LeNet, AlexNet, ResNet-50 and smaller nets (H100, cuDNN 9.19).
        """
        if number == which.winograd and self._multiply_adds >= WINOGRAD_PAYS:
            return 0
        return 1 + which.preferred.index(number) if number in which.preferred else 1 + len(which.preferred)

    def _measured(self, stream: int, which: Pass) -> list[AlgorithmPerformance]:
        """Run every algorithm on memory of its own, so that no array of the net is overwritten."""
        found, count = (AlgorithmPerformance * _MOST_ALGORITHMS)(), c_int()
        first, second, window, output = self.descriptors.of(which)
        names = (*which.inputs, which.output)
        limit = self.options.workspace_bytes
        sizes = [*(self.descriptors.elements[name] * self._item_bytes for name in names), max(limit, 1)]
        memory = [self.cudnn.allocate(size) for size in sizes]  # goes back at the end: measuring waits for the device
        a, b, c, workspace = (part.ptr for part in memory)
        self.cudnn.functions.call(
            f"FindConvolution{which.name}AlgorithmEx",
            *(self.cudnn.use(stream), first, a, second, b, window, output, c),
            *(len(found), byref(count), found, workspace, limit),
        )
        return list(found[: count.value])
