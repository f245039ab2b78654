// The gradient of convolution weights as one product of matrices (netforge/device/cuda_ops_convolution.py).
#include "common.cuh"

// x (outer, middle, inner) as y (middle, outer, inner). Launch: one block a row of `inner` elements, any grid; a row's
// threads read and write beside each other. Memory: each array once.
KERNEL(swap_axes)(const Real* __restrict__ x, Real* __restrict__ y, int outer, int middle, int inner) {
    FOR_EACH_BLOCK(row, outer * middle) {
        const unsigned from = row * inner, to = (row % middle * outer + row / middle) * inner;
        FOR_EACH_IN_BLOCK(i, inner) y[to + i] = x[from + i];
    }
}
