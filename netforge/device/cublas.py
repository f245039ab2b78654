"""Matrix products by cuBLAS, called through its C interface: the same for CUDA 11, 12 and 13.

CuPy's own matrix products refuse to run while a CUDA graph is captured; these do not. Everything goes to the stream
given with each call; nothing waits for the device and nothing is allocated once a stream has been used.
"""

from __future__ import annotations

from ctypes import POINTER, byref, c_double, c_float, c_int, c_longlong, c_size_t, c_void_p
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from netforge.device.libraries import CUBLAS, Allocate, Memory, load, release_with
from netforge.errors import DeviceError

LARGEST = 2**31 - 1
"""The largest number of rows, columns or products: cuBLAS takes them as 32-bit integers."""

WORKSPACE_BYTES = 32 << 20
"""What NVIDIA advises for its largest GPUs (cuBLAS documentation, cublasSetWorkspace)."""

_NO, _YES = 0, 1  # cublasOperation_t: CUBLAS_OP_N, CUBLAS_OP_T
_DEFAULT_MATH, _TF32_MATH = 0, 3  # cublasMath_t; the default keeps float32 products in float32

_STATUS = {
    1: ("NOT_INITIALIZED", "check with nvidia-smi that the driver runs and is new enough for this version of CUDA"),
    3: ("ALLOC_FAILED", "the device's memory ran out: make the batch smaller"),
    7: ("INVALID_VALUE", None),
    8: ("ARCH_MISMATCH", "this GPU is not supported by this version of cuBLAS: install CuPy for another CUDA"),
    11: ("MAPPING_ERROR", None),
    13: ("EXECUTION_FAILED", "an earlier kernel may have failed: run again with CUDA_LAUNCH_BLOCKING=1"),
    14: ("INTERNAL_ERROR", None),
    15: ("NOT_SUPPORTED", None),
    16: ("LICENSE_ERROR", None),
}  # cublasStatus_t; the function that tells the names came only with CUDA 11.4

_LEVEL3 = [c_void_p, c_int, c_int, c_int, c_int, c_int]  # handle, operations, m, n, k


def _gemm_arguments(real: Any) -> list[Any]:
    matrix = [c_void_p, c_int]
    return [*_LEVEL3, POINTER(real), *matrix, *matrix, POINTER(real), *matrix]


def _batched_arguments(real: Any) -> list[Any]:
    matrix = [c_void_p, c_int, c_longlong]
    return [*_LEVEL3, POINTER(real), *matrix, *matrix, POINTER(real), *matrix, c_int]


_ARGUMENTS: dict[str, list[Any]] = {
    "Create_v2": [POINTER(c_void_p)],
    "Destroy_v2": [c_void_p],
    "SetStream_v2": [c_void_p, c_void_p],
    "SetWorkspace_v2": [c_void_p, c_void_p, c_size_t],
    "SetMathMode": [c_void_p, c_int],
    "Sgemm_v2": _gemm_arguments(c_float),
    "Dgemm_v2": _gemm_arguments(c_double),
    "SgemmStridedBatched": _batched_arguments(c_float),
    "DgemmStridedBatched": _batched_arguments(c_double),
}


class Matrix(NamedTuple):
    """A row-major matrix in device memory, or a row of equally spaced ones.

    pointer: address of the first element. rows, columns: as stored. row_stride: elements from one row to the next.
    batch_stride: elements from one matrix to the next; 0 uses the same matrix again.
    """

    pointer: int
    rows: int
    columns: int
    row_stride: int
    batch_stride: int = 0


class Cublas:
    """cuBLAS for the device that is current when this is made; to be used with it current, by one thread at a time.

    cuda: major version of CUDA that CuPy uses. allocate: gives device memory. allow_tf32: let products of float32 run
    on tensor cores with 10 bits of mantissa; it can be changed at any time. workspace_bytes: memory for each stream;
    since each has its own, results are the same bits every time (cuBLAS documentation, "Results reproducibility").
    """

    def __init__(
        self, cuda: int, allocate: Allocate, *, allow_tf32: bool = False, workspace_bytes: int = WORKSPACE_BYTES
    ) -> None:
        self.library = load(CUBLAS, cuda)
        self.allow_tf32 = allow_tf32
        self._functions = {n: self.library.function(f"cublas{n}", *a) for n, a in _ARGUMENTS.items()}
        self._allocate = allocate
        self._workspace_bytes = workspace_bytes
        self._workspaces: dict[int, Memory] = {}
        self._stream: int | None = None
        self._math: int | None = None
        self._handle = c_void_p()
        self._call("Create_v2", byref(self._handle))
        release_with(self, self._functions["Destroy_v2"], self._handle)
        self._scalars = {np.dtype(np.float32): _Scalars("S", c_float), np.dtype(np.float64): _Scalars("D", c_double)}

    def use(self, stream: int) -> c_void_p:
        """The handle, set to a stream (its address, 0 for the default one). The first use of a stream allocates."""
        if stream != self._stream:
            workspace = self._workspaces.get(stream)
            if workspace is None:
                workspace = self._workspaces[stream] = self._allocate(self._workspace_bytes)
            self._stream = None  # unknown, should one of the calls fail
            self._call("SetStream_v2", self._handle, stream)
            # Setting a stream goes back to cuBLAS's own workspace, which cannot be used while a graph is captured.
            self._call("SetWorkspace_v2", self._handle, workspace.ptr, self._workspace_bytes)
            self._stream = stream
        math = _TF32_MATH if self.allow_tf32 else _DEFAULT_MATH
        if math != self._math:
            self._call("SetMathMode", self._handle, math)
            self._math = math
        return self._handle

    def matmul(
        self,
        a: Matrix,
        b: Matrix,
        out: Matrix,
        dtype: npt.DTypeLike,
        stream: int,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
        accumulate: bool = False,
        count: int = 1,
    ) -> None:
        """out (M, N) = a (M, K) times b (K, N), each transposed first where asked; added to `out` with `accumulate`.

        dtype: float32 or float64, of all three. count: how many products, over the matrices that batch strides tell.
        cuBLAS stores by columns: it is asked for the transposed product, b' a', whose columns are the rows of `out`.
        Raises DeviceError where a size does not fit into 32 bits, or matrices do not go together.
        """
        rows, inner = (a.columns, a.rows) if transpose_a else (a.rows, a.columns)
        inner_b, columns = (b.columns, b.rows) if transpose_b else (b.rows, b.columns)
        scalars = self._scalars.get(np.dtype(dtype))
        if scalars is None or inner != inner_b or (rows, columns) != (out.rows, out.columns):
            raise _misfit(a, b, out, dtype, transpose_a, transpose_b)
        if max(rows, columns, inner, a.row_stride, b.row_stride, out.row_stride, count) > LARGEST:
            raise DeviceError(f"a product of matrices {rows} x {inner} and {inner} x {columns} is too large for cuBLAS")
        arguments: list[Any] = [self.use(stream), _YES if transpose_b else _NO, _YES if transpose_a else _NO]
        arguments += [columns, rows, inner, scalars.one]
        beta = scalars.one if accumulate else scalars.zero
        if count == 1:
            arguments += [b.pointer, b.row_stride, a.pointer, a.row_stride, beta, out.pointer, out.row_stride]
            self._call(scalars.gemm, *arguments)
        else:
            arguments += [b.pointer, b.row_stride, b.batch_stride, a.pointer, a.row_stride, a.batch_stride]
            arguments += [beta, out.pointer, out.row_stride, out.batch_stride, count]
            self._call(scalars.batched, *arguments)

    def _call(self, name: str, *arguments: Any) -> None:
        status = self._functions[name](*arguments)
        if status:
            text, mend = _STATUS.get(status, (f"status {status}", None))
            raise DeviceError(f"cublas{name} failed with {text}", where=self.library.describe(), mend=mend)


class _Scalars:
    """Factors 1 and 0 of one type, and the functions that take them."""

    def __init__(self, letter: str, real: type[c_float] | type[c_double]) -> None:
        self.one, self.zero = byref(real(1)), byref(real(0))
        self.gemm, self.batched = f"{letter}gemm_v2", f"{letter}gemmStridedBatched"


def _misfit(
    a: Matrix, b: Matrix, out: Matrix, dtype: npt.DTypeLike, transpose_a: bool, transpose_b: bool
) -> DeviceError:
    left = f"{a.rows} x {a.columns}{' transposed' if transpose_a else ''}"
    right = f"{b.rows} x {b.columns}{' transposed' if transpose_b else ''}"
    return DeviceError(
        f"no product of matrices {left} and {right} into {out.rows} x {out.columns} in {np.dtype(dtype)}",
        mend="use float32 or float64, and sizes that fit",
    )
