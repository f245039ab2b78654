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

// Mean and biased variance of each channel in one pass over x: sums and squares (channels, splits) become those of x less
// the channel's first value, which lies near the mean and so keeps the digits; `finish_moments` must follow.
KERNEL(channel_moments)(const Real* __restrict__ x, Real* __restrict__ sums, Real* __restrict__ squares, int outer,
                        int channels, int inner) {
    FOR_EACH_BLOCK(c, channels) {
        const Real centre = outer * inner > 0 ? x[c * inner] : Real(0);
        Real sum = 0, square = 0;
        FOR_EACH_OF_SPLIT(t, outer * inner) {
            const Real value = x[place_in_channel(t, c, channels, inner)] - centre;
            sum += value;
            square += value * value;
        }
        sum = block_sum(sum);
        square = block_sum(square);
        if (threadIdx.x != 0) continue;
        sums[c * gridDim.y + blockIdx.y] = sum;
        squares[c * gridDim.y + blockIdx.y] = square;
    }
}

// count: elements of a channel; without any, mean and variance are 0. Launch: one warp a channel.
KERNEL(finish_moments)(const Real* __restrict__ x, const Real* __restrict__ sums, const Real* __restrict__ squares,
                       Real* __restrict__ mean, Real* __restrict__ variance, int channels, int splits, int inner,
                       int count) {
    const Real share = Real(1) / Real(max(count, 1));
    FOR_EACH_WARP(c, channels) {
        Real sum = 0, square = 0;
        FOR_EACH_IN_WARP(i, splits) {
            sum += sums[c * splits + i];
            square += squares[c * splits + i];
        }
        const Real shift = warp_sum(sum) * share, spread = warp_sum(square) * share - shift * shift;
        if (threadIdx.x % WARP != 0) continue;
        mean[c] = (count > 0 ? x[c * inner] : Real(0)) + shift;
        variance[c] = spread < 0 ? Real(0) : spread;
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

// channel_sum of x and channel_dot of x and y at once, so that x is read once.
KERNEL(channel_sum_dot)(const Real* __restrict__ x, const Real* __restrict__ y, Real* sums, Real* dots, Real* sum_parts,
                        Real* dot_parts, int outer, int channels, int inner, Real factor, int accumulate) {
    FOR_EACH_BLOCK(c, channels) {
        Real sum = 0, dot = 0;
        FOR_EACH_OF_SPLIT(t, outer * inner) {
            const unsigned i = place_in_channel(t, c, channels, inner);
            sum += x[i];
            dot += x[i] * y[i];
        }
        finish_channel(block_sum(sum), c, sums, sum_parts, factor, accumulate);
        finish_channel(block_sum(dot), c, dots, dot_parts, factor, accumulate);
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

// y = x * factor[channel], plus bias[channel] unless bias is null; y may be x, which kept takes a copy of unless it is
// null. Launch: one thread an element. Memory: x, y and kept once; factor and bias stay in cache.
KERNEL(scale_forward)(const Real* x, const Real* __restrict__ factor, const Real* __restrict__ bias, Real* y,
                      Real* __restrict__ kept, int n, int channels, int inner) {
    FOR_EACH(i, n) {
        const unsigned c = i / inner % channels;
        const Real value = x[i], scaled = value * factor[c];
        if (kept) kept[i] = value;
        y[i] = bias ? scaled + bias[c] : scaled;
    }
}
