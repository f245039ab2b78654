// The solvers' update rules (netforge/device/operations/update.py), each one pass over a net's flat weights.
//
// Launch: one block a chunk, any grid. A chunk is a part [start, end) of the flat arrays that lies in one blob, with
// that blob's rate and decay multipliers; the table of chunks (of a thousand elements, blobs whose rate multiplier
// is 0 left out) is made once and stays on the device. Memory: each array once in and once out, coalesced. What changes
// from one iteration to the next is read from control (float64, converted once a thread): a captured launch follows it.
// decay: weight_decay; the gradient is diff * SCALE + decay * decay_mult * w, or sign(w) with l1. Afterwards diffs hold
// what was subtracted.
#include "common.cuh"

#define RATE 0
#define SCALE 1
#define CORRECTION 2
#define NORM 3

struct Chunk {
    unsigned start, end;
    Real rate, scale, decay, decay_mult;
};
__device__ __forceinline__ Chunk chunk_at(unsigned c, const int* starts, const int* ends, const Real* lr_mults,
                                          const Real* decay_mults, const double* control, Real decay) {
    Chunk chunk;
    chunk.start = starts[c];
    chunk.end = ends[c];
    chunk.rate = Real(control[RATE]) * lr_mults[c];
    chunk.scale = Real(control[SCALE]);
    chunk.decay_mult = decay_mults[c];
    chunk.decay = decay * decay_mults[c];
    return chunk;
}
__device__ __forceinline__ Real gradient(Real diff, Real w, const Chunk& chunk, int l1) {
    const Real pull = !l1 ? w : w > 0 ? Real(1) : w < 0 ? Real(-1) : w;
    const Real scaled = diff * chunk.scale;
    return chunk.decay == 0 ? scaled : scaled + pull * chunk.decay;
}

// body(i, x[i]...) for each element of a chunk, spread over the block.
template <typename Body, typename... T>
__device__ __forceinline__ void for_each_of_chunk(const Chunk& chunk, Body body, const T*... x) {
    for (unsigned i = chunk.start + threadIdx.x; i < chunk.end; i += AT_ONCE * blockDim.x) {
        take(body, places(i, blockDim.x, chunk.end), x...);
    }
}

// The first step of the norm of all gradients: parts[block] = sum of squares, or with one block the whole. n elements,
// none left out. Launch: one thread for AT_ONCE elements, any grid.
KERNEL(gradient_squares)(const Real* __restrict__ diffs, Real* parts, int n) {
    Real sum = 0;
    for_each_of(n, [&](int, Real d) { sum += d * d; }, diffs);
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// control[NORM] = square root of the sum of `count` parts; control[SCALE] = min(1, threshold / norm) / iter_size.
// Launch: one block.
KERNEL(clip_gradients)(const Real* __restrict__ parts, double* control, int count, Real threshold, int iter_size) {
    Real sum = 0;
    for_each_of_block(count, [&](int, Real part) { sum += part; }, parts);
    const Real norm = sqrt(block_sum(sum));
    if (threadIdx.x != 0) return;
    control[NORM] = norm;
    control[SCALE] = (norm > threshold ? threshold / norm : Real(1)) / Real(iter_size);
}

// parts (segments, splits) = sums of squares of values[starts[i]] .. values[ends[i] - 1]. Launch: grid (segments, splits),
// where a split takes every splits-th piece of a segment. Memory: values once, coalesced.
KERNEL(segment_squares)(const Real* __restrict__ values, const int* __restrict__ starts, const int* __restrict__ ends,
                        Real* parts, int segments) {
    const unsigned piece = AT_ONCE * blockDim.x;
    FOR_EACH_BLOCK(s, segments) {
        const unsigned end = ends[s];
        Real sum = 0;
        const auto add = [&](int, Real value) { sum += value * value; };
        for (unsigned i = starts[s] + blockIdx.y * piece + threadIdx.x; i < end; i += gridDim.y * piece) {
            take(add, places(i, blockDim.x, end), values);
        }
        sum = block_sum(sum);
        if (threadIdx.x == 0) parts[s * gridDim.y + blockIdx.y] = sum;
    }
}

// means[i] = the sum of segment i's parts over its size; 0 where it is empty. Launch: one warp a segment.
KERNEL(segment_mean_squares)(const Real* __restrict__ parts, const int* __restrict__ starts,
                             const int* __restrict__ ends, Real* means, int segments, int splits) {
    FOR_EACH_WARP(s, segments) {
        Real sum = 0;
        for_each_of_warp(splits, [&](int, Real part) { sum += part; }, parts + s * splits);
        sum = warp_sum(sum);
        if (threadIdx.x % WARP == 0) means[s] = sum / Real(max(ends[s] - starts[s], 1));
    }
}

// v = momentum * v + rate * g; w -= v.
KERNEL(update_sgd)(Real* __restrict__ weights, Real* __restrict__ diffs, Real* __restrict__ velocity, const int* starts,
                   const int* ends, const Real* lr_mults, const Real* decay_mults, const double* control, int chunks,
                   Real decay, int l1, Real momentum) {
    FOR_EACH_BLOCK(c, chunks) {
        const Chunk chunk = chunk_at(c, starts, ends, lr_mults, decay_mults, control, decay);
        const auto step_of = [=](int i, Real w, Real d, Real before) {
            const Real v = before * momentum + gradient(d, w, chunk, l1) * chunk.rate;
            velocity[i] = v;
            diffs[i] = v;
            weights[i] = w - v;
        };
        for_each_of_chunk(chunk, step_of, weights, diffs, velocity);
    }
}

// v' = momentum * v + rate * g; w -= (1 + momentum) * v' - momentum * v.
KERNEL(update_nesterov)(Real* __restrict__ weights, Real* __restrict__ diffs, Real* __restrict__ velocity,
                        const int* starts, const int* ends, const Real* lr_mults, const Real* decay_mults,
                        const double* control, int chunks, Real decay, int l1, Real momentum) {
    FOR_EACH_BLOCK(c, chunks) {
        const Chunk chunk = chunk_at(c, starts, ends, lr_mults, decay_mults, control, decay);
        const auto step_of = [=](int i, Real w, Real d, Real kept) {
            const Real before = kept * momentum;
            const Real v = before + gradient(d, w, chunk, l1) * chunk.rate;
            const Real step = v * (Real(1) + momentum) - before;
            velocity[i] = v;
            diffs[i] = step;
            weights[i] = w - step;
        };
        for_each_of_chunk(chunk, step_of, weights, diffs, velocity);
    }
}

// s += g^2; w -= rate * g / (sqrt(s) + delta).
KERNEL(update_adagrad)(Real* __restrict__ weights, Real* __restrict__ diffs, Real* __restrict__ squares,
                       const int* starts, const int* ends, const Real* lr_mults, const Real* decay_mults,
                       const double* control, int chunks, Real decay, int l1, Real delta) {
    FOR_EACH_BLOCK(c, chunks) {
        const Chunk chunk = chunk_at(c, starts, ends, lr_mults, decay_mults, control, decay);
        const auto step_of = [=](int i, Real w, Real d, Real kept) {
            const Real g = gradient(d, w, chunk, l1), s = kept + g * g;
            const Real step = g / (sqrt(s) + delta) * chunk.rate;
            squares[i] = s;
            diffs[i] = step;
            weights[i] = w - step;
        };
        for_each_of_chunk(chunk, step_of, weights, diffs, squares);
    }
}

// s = rms_decay * s + (1 - rms_decay) * g^2; w -= rate * g / (sqrt(s) + delta). The complement comes from the host,
// rounded once.
KERNEL(update_rmsprop)(Real* __restrict__ weights, Real* __restrict__ diffs, Real* __restrict__ squares,
                       const int* starts, const int* ends, const Real* lr_mults, const Real* decay_mults,
                       const double* control, int chunks, Real decay, int l1, Real rms_decay, Real rms_complement,
                       Real delta) {
    FOR_EACH_BLOCK(c, chunks) {
        const Chunk chunk = chunk_at(c, starts, ends, lr_mults, decay_mults, control, decay);
        const auto step_of = [=](int i, Real w, Real d, Real kept) {
            const Real g = gradient(d, w, chunk, l1);
            const Real s = kept * rms_decay + g * g * rms_complement;
            const Real step = g / (sqrt(s) + delta) * chunk.rate;
            squares[i] = s;
            diffs[i] = step;
            weights[i] = w - step;
        };
        for_each_of_chunk(chunk, step_of, weights, diffs, squares);
    }
}

// s = rho * s + (1 - rho) * g^2; v = g * sqrt((u + delta) / (s + delta)); u = rho * u + (1 - rho) * v^2; w -= rate * v.
KERNEL(update_adadelta)(Real* __restrict__ weights, Real* __restrict__ diffs, Real* __restrict__ squares,
                        Real* __restrict__ updates, const int* starts, const int* ends, const Real* lr_mults,
                        const Real* decay_mults, const double* control, int chunks, Real decay, int l1, Real momentum,
                        Real complement, Real delta) {
    FOR_EACH_BLOCK(c, chunks) {
        const Chunk chunk = chunk_at(c, starts, ends, lr_mults, decay_mults, control, decay);
        const auto step_of = [=](int i, Real w, Real d, Real kept, Real u) {
            const Real g = gradient(d, w, chunk, l1);
            const Real s = kept * momentum + g * g * complement;
            const Real v = g * sqrt((u + delta) / (s + delta)), step = v * chunk.rate;
            squares[i] = s;
            updates[i] = u * momentum + v * v * complement;
            diffs[i] = step;
            weights[i] = w - step;
        };
        for_each_of_chunk(chunk, step_of, weights, diffs, squares, updates);
    }
}

// m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
// w -= rate * (CORRECTION * m / (sqrt(v) + delta) + adamw_decay * decay_mult * w).
KERNEL(update_adam)(Real* __restrict__ weights, Real* __restrict__ diffs, Real* __restrict__ mean,
                    Real* __restrict__ variance, const int* starts, const int* ends, const Real* lr_mults,
                    const Real* decay_mults, const double* control, int chunks, Real decay, int l1, Real beta1,
                    Real beta1_complement, Real beta2, Real beta2_complement, Real delta, Real adamw_decay) {
    const Real correction = Real(control[CORRECTION]);
    FOR_EACH_BLOCK(c, chunks) {
        const Chunk chunk = chunk_at(c, starts, ends, lr_mults, decay_mults, control, decay);
        const auto step_of = [=](int i, Real w, Real d, Real first, Real second) {
            const Real g = gradient(d, w, chunk, l1);
            const Real m = first * beta1 + g * beta1_complement, v = second * beta2 + g * g * beta2_complement;
            Real step = m / (sqrt(v) + delta) * (chunk.rate * correction);
            if (adamw_decay != 0) step += w * (chunk.rate * (adamw_decay * chunk.decay_mult));
            mean[i] = m;
            variance[i] = v;
            diffs[i] = step;
            weights[i] = w - step;
        };
        for_each_of_chunk(chunk, step_of, weights, diffs, mean, variance);
    }
}
