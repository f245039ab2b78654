"""Random numbers: the generator against an independent form of it, and the draws made from its words."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.device.random import RandomStream, philox, raw_words, stream_key

MASK = 2**64 - 1


def philox_block(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 as published: ten rounds of two 64 x 64 -> 128 bit products, the key bumped in between."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        first, second = a * 0xD2E7470EE14C6C93, c * 0xCA5A826395121157
        a, b, c, d = (second >> 64) ^ b ^ k0, second & MASK, (first >> 64) ^ d ^ k1, first & MASK
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
    return [a, b, c, d]


def words(seed: int, key: int, position: int, count: int) -> list[int]:
    """The words of a draw: counter (block, 0, position, 0), key (seed, stream)."""
    blocks = [philox_block([block, 0, position, 0], [seed, key]) for block in range(-(-count // 4))]
    return [word for block in blocks for word in block][:count]


def test_known_answers_of_the_published_generator():
    # Random123's kat_vectors for philox4x64, 10 rounds
    assert philox_block([0] * 4, [0] * 2) == [
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    ]
    assert philox_block([MASK] * 4, [MASK] * 2) == [
        0x87B092C3013FE90B,
        0x438C3C67BE8D0224,
        0x9CC7D7C69CD777B6,
        0xA09CAEBF594F0BA0,
    ]


@pytest.mark.parametrize(("seed", "position"), [(0, 0), (1, 1), (MASK, 7), (20261121, MASK)])
def test_generator_stands_at_element_zero_of_the_draw(seed, position):
    key = stream_key("conv1")
    assert philox(seed, key, position).random_raw(11).tolist() == words(seed, key, position, 11)


def halves(stream: RandomStream, position: int, count: int) -> list[int]:
    both = ((word & 0xFFFFFFFF, word >> 32) for word in words(stream.seed, stream.key, position, count))
    return [half for pair in both for half in pair][:count]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (7,), (3, 5)])
def test_uniform_uses_the_halves_in_order(ops, dtype, shape):
    stream, out = RandomStream(5, "drop1"), np.empty(shape, dtype)
    ops.uniform(out, stream, 3)
    assert out.ravel().tolist() == [(half >> 8) / 2**24 for half in halves(stream, 3, out.size)]
    assert stream.position == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keep", [0.3, 0.5, 1.0])
def test_bernoulli_keeps_what_lies_below(ops, dtype, keep):
    stream, mask = RandomStream(5, "drop1"), np.empty((4, 50), dtype)
    ops.bernoulli(mask, keep, stream, 9)
    kept = [(half >> 8) / 2**24 < keep for half in halves(stream, 9, mask.size)]
    assert (mask.ravel() > 0).tolist() == kept
    assert set(mask.ravel()) <= {dtype(0), dtype(1 / keep)}


def test_draws_are_a_function_of_seed_name_and_position(ops):
    def draw(seed=1, name="a", position=0):
        out = np.empty(8, np.float32)
        ops.uniform(out, RandomStream(seed, name), position)
        return out.tobytes()

    assert draw() == draw()
    assert len({draw(), draw(seed=2), draw(name="b"), draw(position=1)}) == 4


def test_stream_keys_are_the_same_everywhere():
    assert stream_key("conv1.weights[0]") == stream_key("conv1.weights[0]")
    assert hex(stream_key("pair_data")) == "0x2a135814633264e1"


def test_generator_advances_the_position():
    stream = RandomStream(1, "a")
    first, second = stream.generator().random(4), stream.generator().random(4)
    assert stream.position == 2
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(stream.generator(0).random(4), first)


@pytest.mark.parametrize("position", [0, 1, 5, 2**40, 2**64 - 1])
def test_raw_words_are_those_of_the_generator_whatever_was_drawn_before(position: int) -> None:
    for count in (1, 3, 4, 193):
        drawn = raw_words(7, 2**63 + 5, position, count)
        assert drawn.tolist() == words(7, 2**63 + 5, position, count)
        np.testing.assert_array_equal(drawn, philox(7, 2**63 + 5, position).random_raw(count))
