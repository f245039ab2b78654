"""All operations on a GPU: kernels of netforge/kernels, cuBLAS for matrix products, cuDNN for convolutions."""

from __future__ import annotations

from types import ModuleType

from netforge.device.cuda_ops_arithmetic import CudaArithmetic
from netforge.device.cuda_ops_convolution import CudaConvolution
from netforge.device.cuda_ops_embedding import CudaEmbedding
from netforge.device.cuda_ops_loss import CudaLoss
from netforge.device.cuda_ops_neuron import CudaNeuron
from netforge.device.cuda_ops_newest import CudaNewest
from netforge.device.cuda_ops_prototypical import CudaPrototypical
from netforge.device.cuda_ops_sequence import CudaSequence
from netforge.device.cuda_ops_transform import CudaTransform
from netforge.device.cuda_ops_triplet import CudaTriplet
from netforge.device.cuda_ops_update import CudaUpdate
from netforge.device.operations import Ops


class CudaOps(
    CudaConvolution,
    CudaArithmetic,
    CudaNeuron,
    CudaLoss,
    CudaTriplet,
    CudaEmbedding,
    CudaPrototypical,
    CudaNewest,
    CudaSequence,
    CudaTransform,
    CudaUpdate,
    Ops,
):
    """The operations on a GPU; every public one is here, none runs a NumPy body.

    Work goes to CuPy's current stream and nothing waits for it, but for operations whose answer the host needs:
    `selected_rows`, and `check_labels` and `accuracy_forward` without a report.
    """

    def __init__(
        self, xp: ModuleType, processors: int, cuda: int, *, allow_tf32: bool = False, deterministic: bool = True
    ) -> None:
        super().__init__(xp, processors)
        self.cuda = cuda
        self.allow_tf32 = allow_tf32
        self.deterministic = deterministic
