"""What kernels share, by itself: divisions without dividing."""

from __future__ import annotations

import cudashim
import numpy as np
import pytest

from netforge.device import kernel_source

QUOTIENTS = """
KERNEL(quotients)(const int* n, const int* by, int* quotients, int* remainders, int count) {
    FOR_EACH(i, count) {
        const Divisor divisor(by[i]);
        quotients[i] = divisor.quotient(n[i]);
        remainders[i] = divisor.remainder(n[i]);
    }
}
"""


@pytest.mark.usefixtures("needs_compiler")
def test_divisions_are_exact_for_all_sizes_of_arrays() -> None:
    most = 2**31 - 1
    rng = np.random.default_rng(5)
    divisors = [1, 2, 3, 5, 7, 49, 64, 3136, 46340, 46341, 65535, 65536, 2**30 - 1, 2**30, 2**30 + 1, most - 1, most]
    divisors += (2 ** rng.uniform(0, 31, 400)).astype(np.int64).clip(1, most).tolist()
    pairs = []
    for by in divisors:
        whole = most // by * by  # where a quotient that is one too small shows
        near = [0, 1, by - 1, by, by + 1, whole - 1, whole, whole + 1, most - 1, most, *rng.integers(0, most, 9)]
        pairs += [(n, by) for n in near if 0 <= n <= most]
    n, by = np.array(pairs, np.int32).T.copy()
    quotients, remainders = np.zeros_like(n), np.zeros_like(n)
    module = cudashim.RawModule(code=kernel_source.module_text("arithmetic", "float32") + QUOTIENTS)
    module.get_function("quotients_f32")((3,), (96,), (n, by, quotients, remainders, np.int32(n.size)))
    np.testing.assert_array_equal(quotients, n // by)
    np.testing.assert_array_equal(remainders, n % by)
