"""A stand-in for CuPy on a CPU: NumPy arrays that count as a GPU's, kernels run by cudashim.

Only what netforge uses is here, so that whatever else it begins to use fails a test. Like CuPy's, these arrays refuse
to meet NumPy's: in operators, as indices, as assigned values, in NumPy's functions. Beyond CuPy, every transfer of
values to the host is counted (`counts.host_reads`), each with the line that caused it; new memory is poisoned; a graph
does not keep the memory that it works on, and tells when it has gone.

`module()` makes a module to be put into `sys.modules` under the name "cupy", with GPUs of its own.
"""

from fakecupy.array import ndarray
from fakecupy.capture import CUDARuntimeError, counts
from fakecupy.module import OutOfMemoryError, module

__all__ = ["CUDARuntimeError", "OutOfMemoryError", "counts", "module", "ndarray"]
