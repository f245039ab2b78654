// Normalisation over channels and batches (netforge/device/operations/normalize.py); blobs as (outer, channels, inner).
// Means and variances are channel_sum and channel_squares of reduce.cu.
//
// Launch: one thread an element, any grid. Memory: each array once, coalesced along inner; the neighbouring channels
// that local response normalisation reads again lie `inner` elements apart, in cache.
#include "common.cuh"

// scale = k + alpha / size * sum of x^2 over `size` neighbouring channels; y = x * scale^-beta.
KERNEL(lrn_forward)(const Real* __restrict__ x, Real* __restrict__ scale, Real* __restrict__ y, int n, int channels,
                    int inner, int size, Real alpha, Real beta, Real k) {
    FOR_EACH(i, n) {
        const int c = i / inner % channels, first = max(c - size / 2, 0), last = min(c + size / 2, channels - 1);
        Real sum = 0;
        for (int near = first; near <= last; ++near) {
            const Real value = x[(int)i + (near - c) * inner];
            sum += value * value;
        }
        scale[i] = sum * (alpha / Real(size)) + k;
        y[i] = x[i] * pow(scale[i], -beta);
    }
}

// dx = dy * scale^-beta - 2 alpha beta / size * x * sum over the window of dy * y / scale.
KERNEL(lrn_backward)(const Real* __restrict__ x, const Real* __restrict__ scale, const Real* __restrict__ y,
                     const Real* __restrict__ dy, Real* __restrict__ dx, int n, int channels, int inner, int size,
                     Real alpha, Real beta) {
    FOR_EACH(i, n) {
        const int c = i / inner % channels, first = max(c - size / 2, 0), last = min(c + size / 2, channels - 1);
        Real sum = 0;
        for (int near = first; near <= last; ++near) {
            const int j = (int)i + (near - c) * inner;
            sum += dy[j] * y[j] / scale[j];
        }
        dx[i] = dy[i] * pow(scale[i], -beta) - sum * x[i] * (Real(2) * alpha * beta / Real(size));
    }
}

// y = (x - mean) / sqrt(variance + eps), per channel.
KERNEL(normalize_forward)(const Real* x, const Real* __restrict__ mean, const Real* __restrict__ variance, Real* y,
                          int n, int channels, int inner, Real eps) {
    FOR_EACH(i, n) {
        const unsigned c = i / inner % channels;
        y[i] = (x[i] - mean[c]) * (Real(1) / sqrt(variance[c] + eps));
    }
}

// dx = (dy - mean_dy - y * mean_dy_y) / sqrt(variance + eps); mean_dy, mean_dy_y (channels): the means of dy and dy *
// y.
KERNEL(batch_norm_backward)(const Real* y, const Real* __restrict__ variance, const Real* dy,
                            const Real* __restrict__ mean_dy, const Real* __restrict__ mean_dy_y, Real* dx, int n,
                            int channels, int inner, Real eps) {
    FOR_EACH(i, n) {
        const unsigned c = i / inner % channels;
        dx[i] = (dy[i] - (mean_dy[c] + y[i] * mean_dy_y[c])) * (Real(1) / sqrt(variance[c] + eps));
    }
}
