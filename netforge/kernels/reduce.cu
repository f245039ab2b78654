// Sums: biases, statistics of channels, and the second step of sums that were made in parts.
//
// Blobs are seen as (outer, channels, inner). Launch of the channel_* kernels: grid (channels, splits), one block for
// each channel and split; a split takes every splits-th item of `outer * inner`'s blocks. With one split the sum goes
// straight to `out`; with more, parts (channels, splits) hold them and `finish_channels` must follow. Choose splits so
// that channels * splits fills the device, from the shape alone: then equal shapes give equal bits. Memory: each input
// once, AT_ONCE numbers a thread at a time, coalesced along inner (where inner is 1 use sum_rows).
#include "common.cuh"

// The end of a channel's sum: out[c] = factor * total, added to what is there with `accumulate`.
__device__ __forceinline__ void finish_channel(Real total, unsigned c, Real* out, Real* parts, Real factor,
                                               int accumulate) {
    if (threadIdx.x != 0) return;
    if (gridDim.y > 1) parts[c * gridDim.y + blockIdx.y] = total;
    else out[c] = (accumulate ? out[c] : Real(0)) + factor * total;
}

// body(i, x[i]...) for the elements i of channel c that this block's split takes. A step of the walk goes `down` whole
// rows of the channel and `across` within one, so that no element costs a division.
template <typename Body, typename... T>
__device__ __forceinline__ void for_each_of_split(unsigned c, int outer, int channels, int inner, Body body,
                                                  const T*... x) {
    const unsigned n = outer * inner, step = gridDim.y * blockDim.x, first = blockIdx.y * blockDim.x + threadIdx.x;
    if (first >= n) return;
    const unsigned across = step % inner, down = step / inner * channels * inner, row = (channels - 1) * inner;
    unsigned column = first % inner, i = (first / inner * channels + c) * inner + column;
    for (unsigned t = first; t < n; t += AT_ONCE * step) {
        Places p;
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            p.at[k] = i;
            p.in[k] = t + k * step < n;
            i += down + across;
            column += across;
            if (column < (unsigned)inner) continue;
            column -= inner;
            i += row;
        }
        take(body, p, x...);
    }
}

KERNEL(channel_sum)(const Real* __restrict__ x, Real* out, Real* parts, int outer, int channels, int inner, Real factor,
                    int accumulate) {
    FOR_EACH_BLOCK(c, channels) {
        Real sum = 0;
        for_each_of_split(c, outer, channels, inner, [&](int, Real v) { sum += v; }, x);
        finish_channel(block_sum(sum), c, out, parts, factor, accumulate);
    }
}

// Mean and biased variance of each channel in one pass over x: sums and squares (channels, splits) become those of x
// less the channel's first value, which lies near the mean and so keeps the digits; `finish_moments` must follow.
KERNEL(channel_moments)(const Real* __restrict__ x, Real* __restrict__ sums, Real* __restrict__ squares, int outer,
                        int channels, int inner) {
    FOR_EACH_BLOCK(c, channels) {
        const Real centre = outer * inner > 0 ? x[c * inner] : Real(0);
        Real sum = 0, square = 0;
        const auto add = [&](int, Real v) {
            const Real value = v - centre;
            sum += value;
            square += value * value;
        };
        for_each_of_split(c, outer, channels, inner, add, x);
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
        for_each_of_split(c, outer, channels, inner, [&](int, Real u, Real v) { sum += u * v; }, x, y);
        finish_channel(block_sum(sum), c, out, parts, factor, accumulate);
    }
}

// channel_sum of x and channel_dot of x and y at once, so that x is read once. parts (2, channels, splits): those of the
// sums, then those of the products.
KERNEL(channel_sum_dot)(const Real* __restrict__ x, const Real* __restrict__ y, Real* sums, Real* dots, Real* parts,
                        int outer, int channels, int inner, Real factor, int accumulate) {
    Real* dot_parts = parts ? parts + channels * gridDim.y : nullptr;
    FOR_EACH_BLOCK(c, channels) {
        Real sum = 0, dot = 0;
        const auto add = [&](int, Real u, Real v) {
            sum += u;
            dot += u * v;
        };
        for_each_of_split(c, outer, channels, inner, add, x, y);
        finish_channel(block_sum(sum), c, sums, parts, factor, accumulate);
        finish_channel(block_sum(dot), c, dots, dot_parts, factor, accumulate);
    }
}

// The same of d and y, d being x, times slope where y * by + bias is not above 0; by, bias (channels), each unless it is
// null.
KERNEL(channel_sum_dot_rectified)(const Real* __restrict__ x, const Real* __restrict__ y, const Real* __restrict__ by,
                                  const Real* __restrict__ bias, Real slope, Real* sums, Real* dots, Real* parts,
                                  int outer, int channels, int inner, Real factor, int accumulate) {
    Real* dot_parts = parts ? parts + channels * gridDim.y : nullptr;
    FOR_EACH_BLOCK(c, channels) {
        Real sum = 0, dot = 0;
        const auto add = [&](int, Real u, Real v) {
            const Real d = rectified_slope(u, scaled(v, by, bias, c), slope);
            sum += d;
            dot += d * v;
        };
        for_each_of_split(c, outer, channels, inner, add, x, y);
        finish_channel(block_sum(sum), c, sums, parts, factor, accumulate);
        finish_channel(block_sum(dot), c, dots, dot_parts, factor, accumulate);
    }
}

// Sum of |x|.
KERNEL(channel_magnitudes)(const Real* __restrict__ x, Real* out, Real* parts, int outer, int channels, int inner,
                           Real factor, int accumulate) {
    FOR_EACH_BLOCK(c, channels) {
        Real sum = 0;
        for_each_of_split(c, outer, channels, inner, [&](int, Real v) { sum += fabs(v); }, x);
        finish_channel(block_sum(sum), c, out, parts, factor, accumulate);
    }
}

// Sum of dy * min(x, 0): the gradient of a PReLU's slope (with one slope for all: channels = 1, inner = all of an
// item).
KERNEL(channel_dot_negative)(const Real* __restrict__ x, const Real* __restrict__ dy, Real* out, Real* parts, int outer,
                             int channels, int inner, Real factor, int accumulate) {
    FOR_EACH_BLOCK(c, channels) {
        Real sum = 0;
        const auto add = [&](int, Real v, Real d) { sum += d * (v > 0 ? Real(0) : v); };
        for_each_of_split(c, outer, channels, inner, add, x, dy);
        finish_channel(block_sum(sum), c, out, parts, factor, accumulate);
    }
}

// out[c] = factor * the sum of channel c's parts; and second[c], unless it is null, that of the parts behind all of
// those, as channel_sum_dot leaves them. Launch: one warp a channel, of each of both.
KERNEL(finish_channels)(const Real* __restrict__ parts, Real* out, Real* second, int channels, int splits, Real factor,
                        int accumulate) {
    FOR_EACH_WARP(row, second ? 2 * channels : channels) {
        Real sum = 0;
        FOR_EACH_IN_WARP(i, splits) sum += parts[row * splits + i];
        sum = warp_sum(sum);
        if (threadIdx.x % WARP != 0) continue;
        Real* place = row < (unsigned)channels ? out + row : second + (row - channels);
        place[0] = (accumulate ? place[0] : Real(0)) + factor * sum;
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
    for_each_of_block(count, [&](int, Real part) { sum += part; }, parts);
    sum = block_sum(sum);
    if (sum < least) sum = least;
    if (threadIdx.x == 0) out[0] = sum * factor / (divisor ? divisor[0] : Real(1));
}

// y[i] += b[channel of i]. Launch: one thread for AT_ONCE elements. Memory: y once in, once out; b stays in cache.
KERNEL(bias_forward)(Real* y, const Real* __restrict__ b, int n, int channels, int inner) {
    const ChannelOf channel(channels, inner);
    for_each_of(n, [=](int i, Real v) { y[i] = v + b[channel(i)]; }, y);
}

// y = x * factor[channel], plus bias[channel] unless bias is null; y may be x, which kept takes a copy of unless it is
// null. Launch: one thread for AT_ONCE elements. Memory: x, y and kept once; factor and bias stay in cache.
KERNEL(scale_forward)(const Real* x, const Real* __restrict__ factor, const Real* __restrict__ bias, Real* y,
                      Real* __restrict__ kept, int n, int channels, int inner) {
    const ChannelOf channel(channels, inner);
    const auto scale = [=](int i, Real v) {
        const unsigned c = channel(i);
        const Real scaled = v * factor[c];
        if (kept) kept[i] = v;
        y[i] = bias ? scaled + bias[c] : scaled;
    };
    for_each_of(n, scale, x);
}
