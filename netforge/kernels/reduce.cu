// Sums: biases, statistics of channels, and the second step of sums that were made in parts.
//
// Blobs are seen as (outer, channels, inner). Launch of the channel_* kernels: grid (channels, splits), one block for
// each channel and split; a split takes every splits-th item of `outer * inner`'s blocks. With one split the sum goes
// straight to `out`; with more, parts (channels, splits) hold them and `finish_channels` must follow. Choose splits so
// that channels * splits fills the device, from the shape alone: then equal shapes give equal bits. Memory: each input
// once, coalesced along inner (where inner is 1 use sum_rows).
#include "common.cuh"

// The end of a channel's sum: out[c] = factor * total, added to what is there with `accumulate`.
__device__ __forceinline__ void finish_channel(Real total, unsigned c, Real* out, Real* parts, Real factor,
                                               int accumulate) {
    if (threadIdx.x != 0) return;
    if (gridDim.y > 1) parts[c * gridDim.y + blockIdx.y] = total;
    else out[c] = (accumulate ? out[c] : Real(0)) + factor * total;
}

// Where element t of channel c lies, and the elements of a channel that this block's split takes.
__device__ __forceinline__ unsigned place_in_channel(unsigned t, unsigned c, int channels, int inner) {
    return (t / inner * channels + c) * inner + t % inner;
}
#define FOR_EACH_OF_SPLIT(t, n) \
    for (unsigned t = blockIdx.y * blockDim.x + threadIdx.x; t < (unsigned)(n); t += gridDim.y * blockDim.x)

KERNEL(channel_sum)(const Real* __restrict__ x, Real* out, Real* parts, int outer, int channels, int inner, Real factor,
                    int accumulate) {
    FOR_EACH_BLOCK(c, channels) {
        Real sum = 0;
        FOR_EACH_OF_SPLIT(t, outer * inner) {
            const unsigned i = place_in_channel(t, c, channels, inner);
            sum += x[i];
        }
        finish_channel(block_sum(sum), c, out, parts, factor, accumulate);
    }
}

// Sum of (x - mean[c])^2.
KERNEL(channel_squares)(const Real* __restrict__ x, const Real* __restrict__ mean, Real* out, Real* parts, int outer,
                        int channels, int inner, Real factor, int accumulate) {
    FOR_EACH_BLOCK(c, channels) {
        const Real centre = mean[c];
        Real sum = 0;
        FOR_EACH_OF_SPLIT(t, outer * inner) {
            const unsigned i = place_in_channel(t, c, channels, inner);
            sum += (x[i] - centre) * (x[i] - centre);
        }
        finish_channel(block_sum(sum), c, out, parts, factor, accumulate);
    }
}

KERNEL(channel_dot)(const Real* __restrict__ x, const Real* __restrict__ y, Real* out, Real* parts, int outer,
                    int channels, int inner, Real factor, int accumulate) {
    FOR_EACH_BLOCK(c, channels) {
        Real sum = 0;
        FOR_EACH_OF_SPLIT(t, outer * inner) {
            const unsigned i = place_in_channel(t, c, channels, inner);
            sum += x[i] * y[i];
        }
        finish_channel(block_sum(sum), c, out, parts, factor, accumulate);
    }
}

// Sum of |x|.
KERNEL(channel_magnitudes)(const Real* __restrict__ x, Real* out, Real* parts, int outer, int channels, int inner,
                           Real factor, int accumulate) {
    FOR_EACH_BLOCK(c, channels) {
        Real sum = 0;
        FOR_EACH_OF_SPLIT(t, outer * inner) sum += fabs(x[place_in_channel(t, c, channels, inner)]);
        finish_channel(block_sum(sum), c, out, parts, factor, accumulate);
    }
}

// Sum of dy * min(x, 0): the gradient of a PReLU's slope (with one slope for all: channels = 1, inner = all of an
// item).
KERNEL(channel_dot_negative)(const Real* __restrict__ x, const Real* __restrict__ dy, Real* out, Real* parts, int outer,
                             int channels, int inner, Real factor, int accumulate) {
    FOR_EACH_BLOCK(c, channels) {
        Real sum = 0;
        FOR_EACH_OF_SPLIT(t, outer * inner) {
            const unsigned i = place_in_channel(t, c, channels, inner);
            sum += dy[i] * (x[i] > 0 ? Real(0) : x[i]);
        }
        finish_channel(block_sum(sum), c, out, parts, factor, accumulate);
    }
}

// out[c] = factor * the sum of channel c's parts. Launch: one warp a channel.
KERNEL(finish_channels)(const Real* __restrict__ parts, Real* out, int channels, int splits, Real factor,
                        int accumulate) {
    FOR_EACH_WARP(c, channels) {
        Real sum = 0;
        FOR_EACH_IN_WARP(i, splits) sum += parts[c * splits + i];
        sum = warp_sum(sum);
        if (threadIdx.x % WARP == 0) out[c] = (accumulate ? out[c] : Real(0)) + factor * sum;
    }
}

// out[c] (+)= factor * sum of term(i) over the elements i of column c of an array (rows, columns).
template <typename Term>
__device__ __forceinline__ void sum_columns(Term term, Real* out, int rows, int columns, Real factor, int accumulate) {
    __shared__ Real parts[WARP][WARP];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    FOR_EACH_BLOCK(group, (columns + WARP - 1) / WARP) {
        const int c = group * WARP + lane;
        Real sum = 0;
        if (c < columns)
            for (int r = warp; r < rows; r += warps) sum += term(r * columns + c);
        __syncthreads();
        parts[warp][lane] = sum;
        __syncthreads();
        if (warp != 0 || c >= columns) continue;
        for (int w = 1; w < warps; ++w) sum += parts[w][lane];
        out[c] = (accumulate ? out[c] : Real(0)) + factor * sum;
    }
}

// Sums over the rows of x, and of x * y, (rows, columns). Launch: one block for 32 columns, so that a warp reads 32
// neighbours; the warps of a block share the rows.
KERNEL(sum_rows)(const Real* __restrict__ x, Real* out, int rows, int columns, Real factor, int accumulate) {
    sum_columns([x](int i) { return x[i]; }, out, rows, columns, factor, accumulate);
}

KERNEL(dot_rows)(const Real* __restrict__ x, const Real* __restrict__ y, Real* out, int rows, int columns, Real factor,
                 int accumulate) {
    sum_columns([x, y](int i) { return x[i] * y[i]; }, out, rows, columns, factor, accumulate);
}

// out[0] = factor / divisor[0] * the sum of `count` parts, raised to `least` before. divisor: null stands for 1.
// Launch: one block. Follows every kernel that ends in finish_sum where its grid was larger than one block.
KERNEL(sum_parts)(const Real* __restrict__ parts, const Real* divisor, Real* out, int count, Real factor, Real least) {
    Real sum = 0;
    FOR_EACH_IN_BLOCK(i, count) sum += parts[i];
    sum = block_sum(sum);
    if (sum < least) sum = least;
    if (threadIdx.x == 0) out[0] = sum * factor / (divisor ? divisor[0] : Real(1));
}

// y[i] += b[channel of i]. Launch: one thread an element. Memory: y once in, once out; b stays in cache.
KERNEL(bias_forward)(Real* y, const Real* __restrict__ b, int n, int channels, int inner) {
    FOR_EACH(i, n) y[i] += b[i / inner % channels];
}

// y = x * factor[channel], plus bias[channel] unless bias is null; y may be x. Launch: one thread an element. Memory: x
// and y once; factor and bias stay in cache.
KERNEL(scale_forward)(const Real* x, const Real* __restrict__ factor, const Real* __restrict__ bias, Real* y, int n,
                      int channels, int inner) {
    FOR_EACH(i, n) {
        const unsigned c = i / inner % channels;
        const Real scaled = x[i] * factor[c];
        y[i] = bias ? scaled + bias[c] : scaled;
    }
}
