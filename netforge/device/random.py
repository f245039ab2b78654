"""One counter-based generator for everything random: Philox4x64-10 (Salmon et al., SC 2011).

The key is (seed, stream), where a stream is named after what draws from it ("conv1.weights[0]", "pair_data"); the
counter is (element, 0, position, 0), where `position` counts the draws. So a draw is a pure function of seed, name and
position: the same on every device, independent of the order in which layers draw, and resumable from one integer.
"""

from __future__ import annotations

import hashlib
import threading

import numpy as np
import numpy.typing as npt

MASK64 = (1 << 64) - 1


def stream_key(name: str) -> int:
    """A 64-bit number for a stream's name; the same in every process and on every platform."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def philox(seed: int, stream: int, position: int) -> np.random.Philox:
    """NumPy's Philox4x64-10 bit generator, standing at the first element of a draw."""
    return np.random.Philox(key=(seed & MASK64) | ((stream & MASK64) << 64), counter=_counter_before(position))


def _counter_before(position: int) -> int:
    """The counter, 256 bits, of a draw; one less, as NumPy increments it before the first block."""
    return (((position & MASK64) << 128) - 1) & ((1 << 256) - 1)


class _Own(threading.local):
    """A generator for each thread; to set its state takes a fifth of the time that to make one takes."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(key=0)
        self.state = self.philox.state


_own = _Own()


def raw_words(seed: int, stream: int, position: int, count: int) -> npt.NDArray[np.uint64]:
    """The first `count` 64-bit words of a draw: those that `philox` gives."""
    counter = _counter_before(position)
    words = [(counter >> shift) & MASK64 for shift in (0, 64, 128, 192)]
    state = _own.state
    state["state"] = {
        "counter": np.array(words, np.uint64),
        "key": np.array((seed & MASK64, stream & MASK64), np.uint64),
    }
    _own.philox.state = state  # its buffer counts as used up
    return _own.philox.random_raw(count)


class RandomStream:
    """A named stream of draws; its whole state is `position`, the number of draws made.

    seed: the run's seed. name: what draws, unique within a net.
    """

    def __init__(self, seed: int, name: str) -> None:
        self.seed = seed & MASK64
        self.name = name
        self.key = stream_key(name)
        self.position = 0

    def generator(self, position: int | None = None) -> np.random.Generator:
        """A NumPy generator for one draw on the host.

        position: which draw; None takes the next one and advances.
        """
        if position is None:
            position = self.position
            self.position += 1
        return np.random.Generator(philox(self.seed, self.key, position))
