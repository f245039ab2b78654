"""The operations of a device, one family a file; each body is the NumPy reference that other devices must match."""

from __future__ import annotations

from netforge.device.operations.arithmetic import ArithmeticOps
from netforge.device.operations.contrastive import ContrastiveOps
from netforge.device.operations.convolution import ConvolutionOps
from netforge.device.operations.decode import DecodeOps
from netforge.device.operations.linear import LinearOps
from netforge.device.operations.loss import LossOps
from netforge.device.operations.neuron import NeuronOps
from netforge.device.operations.newest import NewestOps
from netforge.device.operations.normalize import NormalizeOps
from netforge.device.operations.pooling import PoolingOps
from netforge.device.operations.prototypical import PrototypicalOps
from netforge.device.operations.random import RandomOps
from netforge.device.operations.sequence import SequenceOps
from netforge.device.operations.shape import ShapeOps
from netforge.device.operations.softmax import SoftmaxOps
from netforge.device.operations.sup_con import SupConOps
from netforge.device.operations.transform import TransformOps
from netforge.device.operations.triplet import TripletOps
from netforge.device.operations.update import UpdateOps


class Ops(
    ConvolutionOps,
    PoolingOps,
    LinearOps,
    ArithmeticOps,
    RandomOps,
    NeuronOps,
    SoftmaxOps,
    LossOps,
    ContrastiveOps,
    TripletOps,
    DecodeOps,
    PrototypicalOps,
    SupConOps,
    NewestOps,
    NormalizeOps,
    ShapeOps,
    SequenceOps,
    TransformOps,
    UpdateOps,
):
    """All operations, with NumPy bodies. Outputs are arrays that the caller made.

    Only what the host has to know is returned: by `check_labels`, `accuracy_forward`, `split_episode` and
    `selected_rows`.
    """
