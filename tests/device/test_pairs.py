"""What operations share about pairs of items: distances in chunks, and pairs of labels."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.device.operations import pairs


@pytest.mark.parametrize("chunk", [1, 30, 1 << 18])
def test_chunks_do_not_show(chunk: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.setattr(pairs, "CHUNK_ELEMENTS", chunk)
    x, others = rng.standard_normal((7, 3)), rng.standard_normal((4, 3))
    for right in (others, x, x.copy(), others[:0]):
        out = np.full((7, len(right)), 9.0)
        pairs.squared_distances(x, right, out)
        expected = [[sum((a - b) ** 2) for b in right] for a in x]
        np.testing.assert_allclose(out, np.reshape(expected, out.shape), rtol=1e-12, atol=0)


def test_no_item_is_a_pair_with_itself() -> None:
    same, different = pairs.label_pairs(np.array([[1.0, 5], [2, 5], [1, 6], [np.nan, 5]]))
    assert np.argwhere(same).tolist() == [[0, 2], [2, 0]]
    np.testing.assert_array_equal(same | different, ~np.eye(4, dtype=bool))
    assert not (same & different).any()
