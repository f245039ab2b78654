// Normalisation over channels, batches, planes and items (netforge/device/operations/normalize.py); blobs as (outer,
// channels, inner) where nothing else is said.
// Means and variances of channels are those of channel_moments in reduce.cu.
//
// Launch, unless said otherwise: one thread for AT_ONCE elements, any grid. Memory: each array once, coalesced along
// inner.
#include "common.cuh"

// scale ^ -beta for a scale above 0, in a fraction of pow's instructions.
__device__ __forceinline__ Real falling(Real scale, Real beta) { return exp(-beta * log(scale)); }

// body(i, sum, own) for elements i of an array (outer, channels, inner), sum being that of term(near, position).part
// over the window of 2 * half + 1 channels around i: near is an element of that channel at i's own position in [0,
// inner); own: term(i, position).
//
// A thread takes RUN neighbouring channels one after another and holds the terms of the window, so that each is made
// once, and what they were made of read once; HALF is `half`, or 0 for windows too large to hold, whose terms are made
// for each element.
// Launch: one thread for a run of channels at a position; neighbours in position are neighbouring threads.
#define RUN 16
template <int HALF, typename Term, typename Body>
__device__ __forceinline__ void for_each_window_of(int outer, int channels, int inner, int half, Term term, Body body) {
    const int runs = (channels + RUN - 1) / RUN;
    const Divisor width(inner), of_item(runs);
    FOR_EACH(t, outer * runs * inner) {
        const int row = width.quotient(t), item = of_item.quotient(row), position = t - row * inner;
        const int first = (row - item * runs) * RUN, last = min(first + RUN, channels);
        int i = (item * channels + first) * inner + position;
        using Held = decltype(term(0, 0));
        Held window[2 * HALF + 1];
#pragma unroll
        for (int k = 0; k < 2 * HALF; ++k) {
            const int c = first + k - HALF;
            window[k + 1] = c >= 0 && c < channels ? term(i + (k - HALF) * inner, position) : Held();
        }
        for (int c = first; c < last; ++c, i += inner) {
            Real sum = 0;
            if (HALF > 0) {
#pragma unroll
                for (int k = 0; k < 2 * HALF; ++k) {
                    window[k] = window[k + 1];
                    sum += window[k].part;
                }
                window[2 * HALF] = c + HALF < channels ? term(i + HALF * inner, position) : Held();
                sum += window[2 * HALF].part;
            } else {
                const int low = max(c - half, 0), high = min(c + half, channels - 1);
                for (int near = low; near <= high; ++near) sum += term(i + (near - c) * inner, position).part;
                window[0] = term(i, position);
            }
            body(i, sum, window[HALF]);
        }
    }
}
template <typename Term, typename Body>
__device__ __forceinline__ void for_each_window(int outer, int channels, int inner, int half, Term term, Body body) {
    if (half == 1) for_each_window_of<1>(outer, channels, inner, half, term, body);
    else if (half == 2) for_each_window_of<2>(outer, channels, inner, half, term, body);
    else for_each_window_of<0>(outer, channels, inner, half, term, body);
}

struct Square { Real part, x; };

// scale = k + alpha / size * sum of x^2 over `size` neighbouring channels; y = x * scale^-beta. Launch: as above.
KERNEL(lrn_forward)(const Real* __restrict__ x, Real* __restrict__ scale, Real* __restrict__ y, int outer, int channels,
                    int inner, int size, Real alpha, Real beta, Real k) {
    const Real share = alpha / Real(size);
    const auto square = [=](int j, int) {
        const Real v = x[j];
        return Square{v * v, v};
    };
    const auto divide = [=](int i, Real sum, const Square& own) {
        const Real by = sum * share + k;
        scale[i] = by;
        y[i] = own.x * falling(by, beta);
    };
    for_each_window(outer, channels, inner, size / 2, square, divide);
}

struct Pull { Real part, direct, x; };

// dx = dy * scale^-beta - 2 alpha beta / size * x * sum over the window of dy * y / scale; of y nothing is read, as y /
// scale = x * scale^-(beta + 1). Launch: as above.
KERNEL(lrn_backward)(const Real* __restrict__ x, const Real* __restrict__ scale, const Real* __restrict__ dy,
                     Real* __restrict__ dx, int outer, int channels, int inner, int size, Real alpha, Real beta) {
    const Real share = Real(2) * alpha * beta / Real(size);
    const auto pull = [=](int j, int) {
        const Real v = x[j], d = dy[j], rise = log(scale[j]);
        return Pull{d * v * exp(-(beta + 1) * rise), d * exp(-beta * rise), v};
    };
    const auto gradient = [=](int i, Real sum, const Pull& own) { dx[i] = own.direct - sum * own.x * share; };
    for_each_window(outer, channels, inner, size / 2, pull, gradient);
}

struct Row { Real part; };

// The sum of term(j) over the neighbours j of an element in its row of `width`, up to `half` on each side.
template <typename Term>
__device__ __forceinline__ Row sum_beside(int i, int column, int width, int half, Term term) {
    Real sum = 0;
    for (int w = -min(half, column); w <= min(half, width - 1 - column); ++w) sum += term(i + w);
    return {sum};
}

// Within planes of height * width elements: scale = 1 + alpha / size^2 * sum of x^2 over a square of size * size; y = x
// * scale^-beta. Launch: as above, a plane's rows in the place of channels, here and below.
KERNEL(lrn_within_forward)(const Real* __restrict__ x, Real* __restrict__ scale, Real* __restrict__ y, int planes,
                           int height, int width, int size, Real alpha, Real beta) {
    const Real share = alpha / Real(size * size);
    const int half = size / 2;
    const auto squares = [=](int j, int column) {
        return sum_beside(j, column, width, half, [=](int near) { return x[near] * x[near]; });
    };
    const auto divide = [=](int i, Real sum, const Row&) {
        const Real by = sum * share + Real(1);
        scale[i] = by;
        y[i] = x[i] * falling(by, beta);
    };
    for_each_window(planes, height, width, half, squares, divide);
}

// dx = dy * scale^-beta - 2 alpha beta / size^2 * x * sum over the square of dy * y / scale.
KERNEL(lrn_within_backward)(const Real* __restrict__ x, const Real* __restrict__ scale, const Real* __restrict__ y,
                            const Real* __restrict__ dy, Real* __restrict__ dx, int planes, int height,
                            int width, int size, Real alpha, Real beta) {
    const Real share = Real(2) * alpha * beta / Real(size * size);
    const int half = size / 2;
    const auto pulls = [=](int j, int column) {
        return sum_beside(j, column, width, half, [=](int near) { return dy[near] * y[near] / scale[near]; });
    };
    const auto gradient = [=](int i, Real sum, const Row&) {
        dx[i] = dy[i] * falling(scale[i], beta) - sum * x[i] * share;
    };
    for_each_window(planes, height, width, half, pulls, gradient);
}

// normalized = (x - mean) / sqrt(variance + eps), per channel; y = normalized * factor + bias, each unless it is null,
// times slope where that is below 0. y may be x.
KERNEL(normalize_forward)(const Real* x, const Real* __restrict__ mean, const Real* __restrict__ variance,
                          const Real* __restrict__ factor, const Real* __restrict__ bias,
                          Real* __restrict__ normalized, Real* y, int n, int channels, int inner, Real eps,
                          Real slope) {
    const ChannelOf channel(channels, inner);
    const auto normalize = [=](int i, Real v) {
        const unsigned c = channel(i);
        const Real value = (v - mean[c]) * rsqrt(variance[c] + eps);
        normalized[i] = value;
        y[i] = rectified(scaled(value, factor, bias, c), slope);
    };
    for_each_of(n, normalize, x);
}

// dx = dy / sqrt(variance + eps), per channel.
KERNEL(normalize_backward)(const Real* __restrict__ variance, const Real* dy, Real* dx, int n, int channels, int inner,
                           Real eps) {
    const ChannelOf channel(channels, inner);
    for_each_of(n, [=](int i, Real d) { dx[i] = d * rsqrt(variance[channel(i)] + eps); }, dy);
}

// mean = mean_sum / weight[0], variance = variance_sum / weight[0]; 0 where weight[0] is 0. Launch: one thread a
// channel.
KERNEL(stored_statistics)(const Real* __restrict__ mean_sum, const Real* __restrict__ variance_sum,
                          const Real* __restrict__ weight, Real* __restrict__ mean, Real* __restrict__ variance,
                          int channels) {
    const Real factor = weight[0] == 0 ? Real(0) : Real(1) / weight[0];
    FOR_EACH(c, channels) {
        mean[c] = mean_sum[c] * factor;
        variance[c] = variance_sum[c] * factor;
    }
}

// The sums and weight[0] fade to `fraction` of themselves and take a batch's statistics in. Launch: one thread a
// channel, one at least.
KERNEL(update_statistics)(const Real* __restrict__ mean, const Real* __restrict__ variance, Real* __restrict__ mean_sum,
                          Real* __restrict__ variance_sum, Real* __restrict__ weight, int channels, Real fraction,
                          Real correction) {
    FOR_EACH(c, channels) {
        mean_sum[c] = mean_sum[c] * fraction + mean[c];
        variance_sum[c] = variance_sum[c] * fraction + variance[c] * correction;
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) weight[0] = weight[0] * fraction + Real(1);
}

// dx = (d - mean of d - y * mean of d * y) / sqrt(variance + eps), times factor unless it is null, where d = dy, times
// slope where y * factor + bias is not above 0; sums, dots (channels): the sums of d and of d * y, share: 1 / the
// elements of a channel. dfactor += dots and dbias += sums, each unless it is null. dx may be dy.
KERNEL(batch_norm_backward)(const Real* y, const Real* __restrict__ variance, const Real* dy,
                            const Real* __restrict__ sums, const Real* __restrict__ dots,
                            const Real* __restrict__ factor, const Real* __restrict__ bias, Real* dfactor, Real* dbias,
                            Real* dx, int n, int channels, int inner, Real eps, Real share, Real slope) {
    if (dfactor) FOR_EACH(c, channels) dfactor[c] += dots[c];
    if (dbias) FOR_EACH(c, channels) dbias[c] += sums[c];
    const ChannelOf channel(channels, inner);
    const auto gradient = [=](int i, Real v, Real above) {
        const unsigned c = channel(i);
        const Real by = rsqrt(variance[c] + eps);
        const Real d = slope == 1 ? above : rectified_slope(above, scaled(v, factor, bias, c), slope);
        dx[i] = (d - (sums[c] + v * dots[c]) * share) * (factor ? by * factor[c] : by);
    };
    for_each_of(n, gradient, y, dy);
}

// y = x - mean of its row; and over divisor[row] = standard deviation + eps, unless divisor is null. Launch: one block
// a row. Memory: x and y once, x again from cache for each mean.
KERNEL(mvn_forward)(const Real* __restrict__ x, Real* divisor, Real* __restrict__ y, int rows, int columns, Real eps) {
    FOR_EACH_BLOCK(row, rows) {
        const Real* own = x + row * columns;
        Real* out = y + row * columns;
        Real sum = 0, squares = 0, by = 1;
        for_each_of_block(columns, [&](int, Real v) { sum += v; }, own);
        const Real mean = block_sum(sum) / Real(columns);
        if (divisor) {
            for_each_of_block(columns, [&](int, Real v) { squares += (v - mean) * (v - mean); }, own);
            by = sqrt(block_sum(squares) / Real(columns)) + eps;
            if (threadIdx.x == 0) divisor[row] = by;
        }
        for_each_of_block(columns, [=](int i, Real v) { out[i] = (v - mean) / by; }, own);
    }
}

// dx = (dy - mean(dy) - y * mean(y * dy)) / divisor[row], or dy - mean(dy) where divisor is null. Launch: one block a
// row. Memory: each array once, y and dy again from cache for the means.
KERNEL(mvn_backward)(const Real* __restrict__ y, const Real* divisor, const Real* __restrict__ dy,
                     Real* __restrict__ dx, int rows, int columns) {
    FOR_EACH_BLOCK(row, rows) {
        const Real *own = y + row * columns, *own_dy = dy + row * columns;
        Real* out = dx + row * columns;
        Real sum = 0, dot = 0;
        for_each_of_block(columns, [&](int, Real d) { sum += d; }, own_dy);
        const Real mean = block_sum(sum) / Real(columns);
        if (divisor) {
            for_each_of_block(columns, [&](int, Real v, Real d) { dot += v * d; }, own, own_dy);
            const Real slope = block_sum(dot) / Real(columns), by = divisor[row];
            const auto whole = [=](int i, Real v, Real d) { out[i] = (d - mean - v * slope) / by; };
            for_each_of_block(columns, whole, own, own_dy);
        } else {
            for_each_of_block(columns, [=](int i, Real d) { out[i] = d - mean; }, own_dy);
        }
    }
}

// What works on a row: a warp, or where a row is long a whole block.
struct WarpOfRow {
    static __device__ __forceinline__ bool first() { return threadIdx.x % WARP == 0; }
    static __device__ __forceinline__ Real sum(Real value) { return warp_sum(value); }
    template <typename Body, typename... T>
    static __device__ __forceinline__ void each(int n, Body body, const T*... x) {
        for_each_of_warp(n, body, x...);
    }
};
struct BlockOfRow {
    static __device__ __forceinline__ bool first() { return threadIdx.x == 0; }
    static __device__ __forceinline__ Real sum(Real value) { return block_sum(value); }
    template <typename Body, typename... T>
    static __device__ __forceinline__ void each(int n, Body body, const T*... x) {
        for_each_of_block(n, body, x...);
    }
};

template <typename Team>
__device__ __forceinline__ void unit_row(const Real* own, Real* divisor, Real* out, int columns, Real eps, int l1) {
    Real sum = 0;
    Team::each(columns, [&](int, Real v) { sum += l1 ? fabs(v) : v * v; }, own);
    sum = Team::sum(sum);
    const Real by = larger(l1 ? sum : sqrt(sum), eps);
    if (Team::first()) divisor[0] = by;
    Team::each(columns, [=](int i, Real v) { out[i] = v / by; }, own);
}

// divisor[row] = the norm of the row, of squares or (l1) of magnitudes, at least eps; y = x / divisor[row]. y may be x.
// Launch: one warp a row; unit_forward_long: one block a row. Memory: x twice (the second time from cache), y once,
// coalesced along columns.
KERNEL(unit_forward)(const Real* x, Real* divisor, Real* y, int rows, int columns, Real eps, int l1) {
    FOR_EACH_WARP(row, rows) {
        unit_row<WarpOfRow>(x + row * columns, divisor + row, y + row * columns, columns, eps, l1);
    }
}
KERNEL(unit_forward_long)(const Real* x, Real* divisor, Real* y, int rows, int columns, Real eps, int l1) {
    FOR_EACH_BLOCK(row, rows) {
        unit_row<BlockOfRow>(x + row * columns, divisor + row, y + row * columns, columns, eps, l1);
    }
}

template <typename Team>
__device__ __forceinline__ void unit_slope(const Real* own, Real by, const Real* own_dy, Real* out, int columns,
                                           Real eps, int l1) {
    Real along = 0;
    Team::each(columns, [&](int, Real v, Real d) { along += d * v; }, own, own_dy);
    along = Team::sum(along);
    if (!(by > eps)) along = 0;
    const auto slope = [=](int i, Real v, Real d) {
        const Real sign = v > 0 ? Real(1) : v < 0 ? Real(-1) : v;
        out[i] = (d - (l1 ? sign : v) * along) / by;
    };
    Team::each(columns, slope, own, own_dy);
}

// dx = (dy - slope * sum of dy * y) / divisor[row], slope = y or (l1) its sign; without the sum where eps is the
// divisor. dx may be dy. Launch: as above. Memory: y and dy twice (the second time from cache), dx once.
KERNEL(unit_backward)(const Real* __restrict__ y, const Real* __restrict__ divisor, const Real* dy, Real* dx, int rows,
                      int columns, Real eps, int l1) {
    FOR_EACH_WARP(row, rows) {
        const unsigned first = row * columns;
        unit_slope<WarpOfRow>(y + first, divisor[row], dy + first, dx + first, columns, eps, l1);
    }
}
KERNEL(unit_backward_long)(const Real* __restrict__ y, const Real* __restrict__ divisor, const Real* dy, Real* dx,
                           int rows, int columns, Real eps, int l1) {
    FOR_EACH_BLOCK(row, rows) {
        const unsigned first = row * columns;
        unit_slope<BlockOfRow>(y + first, divisor[row], dy + first, dx + first, columns, eps, l1);
    }
}
