// Arithmetic on whole arrays (netforge/device/operations/arithmetic.py).
//
// Launch: one thread for AT_ONCE elements, any grid; 256 threads a block. Memory: each array once, coalesced; nothing
// is reused, so the copy bandwidth is the bound. Outputs may be the inputs' own arrays, hence no __restrict__.
#include "common.cuh"

// Launch: one thread an element.
KERNEL(fill)(Real* y, int n, Real value, int accumulate) {
    FOR_EACH(i, n) y[i] = accumulate ? y[i] + value : value;
}

// y = factor * x; a factor of 1 leaves every value as it is.
KERNEL(copy)(const Real* x, Real* y, int n, Real factor) {
    for_each_of(n, [=](int i, Real v) { y[i] = factor * v; }, x);
}

// y = a_factor * a + b_factor * b: two inputs of a weighted sum, or the sum so far and the next one.
KERNEL(weighted_sum)(const Real* a, const Real* b, Real* y, int n, Real a_factor, Real b_factor) {
    for_each_of(n, [=](int i, Real u, Real v) { y[i] = a_factor * u + b_factor * v; }, a, b);
}

// y = a * b: two inputs of a product, or the product so far and the next one.
KERNEL(product)(const Real* a, const Real* b, Real* y, int n) {
    for_each_of(n, [=](int i, Real u, Real v) { y[i] = u * v; }, a, b);
}

// dx = y / x * dy, the gradient of one factor of a product.
KERNEL(product_backward)(const Real* x, const Real* y, const Real* dy, Real* dx, int n) {
    for_each_of(n, [=](int i, Real u, Real v, Real d) { dx[i] = v / u * d; }, x, y, dy);
}

// dx = dy[row] * factor * slope: the gradient of channel_sum (reduction 0), channel_magnitudes (1) or channel_dot of x
// with itself (2) over rows of `columns` elements. x is read for 1 and 2 only; dy stays in cache.
KERNEL(reduce_backward)(const Real* x, const Real* dy, Real* dx, int n, int columns, int reduction, Real factor) {
    const Divisor row(columns);
    if (reduction == 0) {
        FOR_EACH(i, n) dx[i] = dy[row.quotient(i)] * factor;
        return;
    }
    const auto slope = [=](int i, Real v) {
        const Real sign = v > 0 ? Real(1) : v < 0 ? Real(-1) : v;  // of 0: 0, of NaN: NaN
        dx[i] = (reduction == 1 ? sign : Real(2) * v) * (dy[row.quotient(i)] * factor);
    };
    for_each_of(n, slope, x);
}
