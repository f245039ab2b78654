"""Operations: counter-based random numbers (see `netforge.device.random`)."""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.random import RandomStream, philox

Array = npt.NDArray[Any]


class RandomOps:
    """NumPy reference of random numbers.

    Element i of a draw comes from the i-th 32-bit half of the Philox words, the low half of a word first; its upper
    24 bits are the number k, 0 <= k < 2^24.
    """

    def uniform(self, out: Array, stream: RandomStream, position: int) -> None:
        """out = k 2^-24, in [0, 1), exact in float32."""
        np.multiply(_draw(out.shape, stream, position), 2.0**-24, out=out, casting="same_kind")

    def bernoulli(self, mask: Array, keep: float, stream: RandomStream, position: int) -> None:
        """mask = 1 / keep where k 2^-24 < keep, in (0, 1], else 0: the multiplier of inverted dropout."""
        kept = _draw(mask.shape, stream, position) < ceil(keep * 2**24)
        np.multiply(kept, 1.0 / keep, out=mask, casting="same_kind")


def _draw(shape: tuple[int, ...], stream: RandomStream, position: int) -> Array:
    """The numbers k of one draw, uint32."""
    count = prod(shape)
    words = philox(stream.seed, stream.key, position).random_raw((count + 1) // 2)
    halves: Array = words.astype("<u8", copy=False).view("<u4")[:count]
    return halves.reshape(shape) >> np.uint32(8)
