"""A stand-in for CUDA on a CPU: runs the text of kernels, unchanged, on NumPy arrays.

`RawModule` and `RawKernel` are called as CuPy's are; a kernel is compiled by g++ (`compiler()` finds it) and its
threads run as fibers. Beyond what CuPy does, a launch checks its arguments against the kernel's signature, and finds
barriers that not all threads of a block reach, deadlocks, and warp operations whose mask leaves out the caller. Running
with `thread_order("forward")` and then "reversed" or "shuffled" shows results that depend on the order of threads;
building with CUDASHIM_SANITIZE=address or thread (see `sanitizer_environment`) shows accesses out of bounds and races.
Races between blocks that use barriers or warp operations are not seen.

Not modelled: parallelism within a block, registers, speed, inline PTX, cooperative groups, textures, dynamic
parallelism, flushing of subnormal numbers, fusing of multiplication and addition. A kernel that spins on memory hangs.
"""

from cudashim.build import compiler, sanitizer_environment
from cudashim.launch import LaunchError, RawKernel, RawModule, thread_order

__all__ = ["LaunchError", "RawKernel", "RawModule", "compiler", "sanitizer_environment", "thread_order"]
