"""A GPU: CuPy arrays, a stream of its own, and the operations of `CudaOps`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from netforge.device import libraries
from netforge.device.base import Device
from netforge.device.cuda_ops import CudaOps
from netforge.device.probe import describe_version, probe
from netforge.device.transfers import Transfers
from netforge.errors import DeviceError

OUT_OF_MEMORY = "lower batch_size, and raise iter_size in the solver by the same factor to keep the sum of gradients"


class CudaGraph:
    """A captured CUDA graph, with the stream that it runs on and the memory that it works in."""

    def __init__(self, graph: Any, stream: Any, pool: Any) -> None:
        self._graph, self._stream, self._pool = graph, stream, pool

    def launch(self) -> None:
        """Queue the graph; nothing waits."""
        self._graph.launch(self._stream)


class CudaDevice(Device):
    """GPU number `index` of those that CUDA shows.

    allow_tf32: let convolutions and matrix products of float32 run on tensor cores with 10 bits of mantissa.
    deterministic: only algorithms that give the same bits every time.

    Raises DeviceError, with what to do, where CuPy, a driver or that GPU is missing.
    """

    can_capture: ClassVar[bool] = True

    def __init__(self, index: int = 0, *, allow_tf32: bool = False, deterministic: bool = True) -> None:
        found = probe()
        self.xp, self.gpu = found.require(index)
        self.name = f"cuda:{index}"
        self.runtime, self.driver = found.runtime, found.driver
        with suppress(DeviceError):  # CuPy finds its compiler by bare name, or elsewhere; `check` tells
            libraries.load(libraries.NVRTC, self.runtime // 1000)
        try:
            with self.xp.cuda.Device(index):
                self.stream = self.xp.cuda.Stream(non_blocking=True)
                self._transfers = Transfers(self.xp, index)
        except self.xp.cuda.runtime.CUDARuntimeError as error:
            raise DeviceError(
                f'device "{self.name}" ({self.gpu.name}) does not work: {error}',
                mend="see with nvidia-smi whether another process holds it, or restart the computer",
            ) from error
        self.ops: CudaOps = CudaOps(
            self.xp, self.gpu.processors, self.runtime // 1000, allow_tf32=allow_tf32, deterministic=deterministic
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """This GPU and its stream are current inside the `with`; turns CuPy's lack of memory into DeviceError.

        The stream first waits for what was queued on the stream that was current before, and that one waits for this
        one at the end: arrays may be used on both sides without another word. Nested calls cost nothing.
        """
        cuda = self.xp.cuda
        outer = cuda.get_current_stream()
        if cuda.runtime.getDevice() == self.gpu.index and outer.ptr == self.stream.ptr:
            yield
            return
        with cuda.Device(self.gpu.index):
            outer = cuda.get_current_stream()
            try:
                with self.stream:
                    self.stream.wait_event(outer.record())
                    yield
            except cuda.memory.OutOfMemoryError as error:
                raise self._out_of_memory(str(error)) from error
            finally:
                outer.wait_event(self.stream.record())

    def check(self) -> None:
        """Raise DeviceError unless a kernel can be compiled here and run, and a matrix product."""
        ones, product = self.zeros((2, 3), np.float32), self.zeros((2, 2), np.float32)
        try:
            with self.running():
                ones[...] = 1  # a kernel of CuPy, then one of netforge
                self.ops.fill(ones, 1.0, accumulate=True)
                self.ops.matmul(ones, ones, product, transpose_b=True)
            right = bool((self.to_host(product) == 12).all())
        except DeviceError:
            raise
        except Exception as error:  # CuPy's of many kinds, also for a compiler that is missing
            raise self._broken(f"does not compute ({type(error).__name__}: {error})") from error
        if not right:
            raise self._broken("computes wrong numbers")

    def _broken(self, found: str) -> DeviceError:
        mend: str | None = "look with `netforge device-query` for what is missing, and whether CuPy works by itself"
        try:
            libraries.load(libraries.NVRTC, self.runtime // 1000)
        except DeviceError as error:
            found, mend = f"{found}; {error.found}", error.mend
        return DeviceError(f'device "{self.name}" ({self.gpu.name}) {found}', mend=mend)

    def _out_of_memory(self, detail: str) -> DeviceError:
        gigabytes = self.gpu.memory_bytes / 2**30
        return DeviceError(
            f"the memory of {self.name} ({self.gpu.name}, {gigabytes:.1f} GiB) ran out: {detail}", mend=OUT_OF_MEMORY
        )

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """A new array of zeros; raises DeviceError where memory runs out."""
        with self.running():
            return self.xp.zeros(shape, dtype)

    def from_host(self, array: npt.NDArray[Any]) -> Any:
        """A copy of a NumPy array."""
        with self.running():
            return self.xp.array(array, order="C")

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """The values as a NumPy array; waits for all work that was queued."""
        with self.running():
            host: npt.NDArray[Any] = self.xp.asnumpy(array)
        return host

    def transfers(self) -> Transfers:
        """Copies beside the work of this GPU."""
        return self._transfers

    def synchronize(self) -> None:
        """Wait until all work that was queued is done."""
        with self.running():
            self.stream.synchronize()

    def capture(self, work: Callable[[], None]) -> CudaGraph:
        """Record what `work` queues on this device's stream; memory for it comes from a pool of the graph's own.

        Handles, plans and workspaces of NVIDIA's libraries must be there already: run `work` once before. Raises
        DeviceError, with the reason, where something in `work` cannot be recorded; the stream is as before then.
        """
        cuda = self.xp.cuda
        pool = cuda.MemoryPool()
        with self.running(), cuda.using_allocator(pool.malloc):
            self.stream.begin_capture(mode=cuda.runtime.streamCaptureModeRelaxed)
            try:
                work()
                return CudaGraph(self.stream.end_capture(), self.stream, pool)
            except BaseException as error:
                with suppress(Exception):  # what is wrong with the capture is known already; it may have ended, too
                    self.stream.end_capture()
                if not isinstance(error, Exception):
                    raise
                raise DeviceError(f"{self.name} cannot record this as a graph: {error}") from error

    def describe(self) -> list[str]:
        """What this GPU is and which libraries run its operations, one line each."""
        gpu, ops = self.gpu, self.ops
        capability = f"{gpu.compute_capability[:-1]}.{gpu.compute_capability[-1]}"
        rules = [
            "deterministic algorithms" if ops.deterministic else "the fastest algorithms",
            "float32 rounded to TF32 in products" if ops.allow_tf32 else "full float32 products",
        ]
        return [
            f"{self.name}: {gpu.name}, compute capability {capability}, {gpu.memory_bytes / 2**30:.1f} GiB, "
            f"CuPy {self.xp.__version__} for CUDA {describe_version(self.runtime)}, "
            f"driver for CUDA {describe_version(self.driver)}",
            f"{self.name}: {', '.join(rules)}",
            *(f"{self.name}: {line}" for line in libraries.report(ops.cuda)),
        ]
