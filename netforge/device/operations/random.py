"""Operations: counter-based random numbers (see `netforge.device.random`)."""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.random import RandomStream, raw_words

Array = npt.NDArray[Any]


class RandomOps:
    """NumPy reference of random numbers.

    Element i of a draw comes from the i-th 32-bit half of the Philox words, the low half of a word first; its upper
    24 bits are the number k, 0 <= k < 2^24. `position` says which draw of the stream it is: a number, or a uint64 array
    of one number on the device, which `advance` moves on, so that the call itself never changes.
    """

    def uniform(self, out: Array, stream: RandomStream, position: int | Array) -> None:
        """out = k 2^-24, in [0, 1), exact in float32."""
        np.multiply(_draw(out.shape, stream, position), 2.0**-24, out=out, casting="same_kind")

    def bernoulli(self, mask: Array, keep: float, stream: RandomStream, position: int | Array) -> None:
        """mask = 1 / keep where k 2^-24 < keep, in (0, 1], else 0: the multiplier of inverted dropout."""
        kept = _draw(mask.shape, stream, position) < ceil(keep * 2**24)
        np.multiply(kept, mask.dtype.type(1.0 / keep), out=mask)  # a Python float would make it float64

    def advance(self, position: Array) -> None:
        """position[0] += 1."""
        position += np.uint64(1)


def _draw(shape: tuple[int, ...], stream: RandomStream, position: int | Array) -> Array:
    """The numbers k of one draw, uint32."""
    count = prod(shape)
    draw = position if isinstance(position, int) else int(position[0])
    words = raw_words(stream.seed, stream.key, draw, (count + 1) // 2)
    halves: Array = words.astype("<u8", copy=False).view("<u4")[:count]
    halves >>= np.uint32(8)  # in place: memory that is new costs more than the shift
    return halves.reshape(shape)
