// Arithmetic on whole arrays (netforge/device/operations/arithmetic.py).
//
// Launch: one thread an element, any grid; 256 threads a block. Memory: each array once, coalesced; nothing is reused,
// so the copy bandwidth is the bound. Outputs may be the inputs' own arrays, hence no __restrict__.
#include "common.cuh"

KERNEL(fill)(Real* y, int n, Real value, int accumulate) {
    FOR_EACH(i, n) y[i] = accumulate ? y[i] + value : value;
}

// y = factor * x; a factor of 1 leaves every value as it is.
KERNEL(copy)(const Real* x, Real* y, int n, Real factor) {
    FOR_EACH(i, n) y[i] = factor * x[i];
}

// y = a_factor * a + b_factor * b: two inputs of a weighted sum, or the sum so far and the next one.
KERNEL(weighted_sum)(const Real* a, const Real* b, Real* y, int n, Real a_factor, Real b_factor) {
    FOR_EACH(i, n) y[i] = a_factor * a[i] + b_factor * b[i];
}

// y = a * b: two inputs of a product, or the product so far and the next one.
KERNEL(product)(const Real* a, const Real* b, Real* y, int n) {
    FOR_EACH(i, n) y[i] = a[i] * b[i];
}

// dx = y / x * dy, the gradient of one factor of a product.
KERNEL(product_backward)(const Real* x, const Real* y, const Real* dy, Real* dx, int n) {
    FOR_EACH(i, n) dx[i] = y[i] / x[i] * dy[i];
}

// dx = dy[row] * factor * slope: the gradient of channel_sum (reduction 0), channel_magnitudes (1) or channel_dot of x
// with itself (2) over rows of `columns` elements. x is read for 1 and 2 only; dy stays in cache.
KERNEL(reduce_backward)(const Real* x, const Real* dy, Real* dx, int n, int columns, int reduction, Real factor) {
    FOR_EACH(i, n) {
        Real slope = 1;
        if (reduction == 1) slope = x[i] > 0 ? Real(1) : x[i] < 0 ? Real(-1) : x[i];  // of 0: 0, of NaN: NaN
        if (reduction == 2) slope = Real(2) * x[i];
        dx[i] = slope * (dy[i / columns] * factor);
    }
}
