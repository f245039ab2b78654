// The solvers' update rules (netforge/device/operations/update.py), each one pass over a net's flat weights.
//
// Launch: one block a chunk, any grid. A chunk is a part [start, end) of the flat arrays that lies in one blob, with
// that blob's rate and decay multipliers; the table of chunks (of some thousand elements, blobs whose rate multiplier
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

// Runs the statement behind it for each element of a chunk, spread over the block.
#define FOR_EACH_IN_CHUNK(i, chunk) for (unsigned i = chunk.start + threadIdx.x; i < chunk.end; i += blockDim.x)

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

// means[i] = mean of the squares of values[starts[i]] .. values[ends[i] - 1]; 0 where there are none. Launch: one block a
// segment. Memory: values once, coalesced.
KERNEL(segment_mean_squares)(const Real* __restrict__ values, const int* __restrict__ starts,
                             const int* __restrict__ ends, Real* means, int segments) {
    FOR_EACH_BLOCK(s, segments) {
        const unsigned start = starts[s], size = ends[s] - starts[s];
        Real sum = 0;
        FOR_EACH_IN_BLOCK(i, size) sum += values[start + i] * values[start + i];
        sum = block_sum(sum);
        if (threadIdx.x == 0) means[s] = size ? sum / Real(size) : Real(0);
    }
}

// v = momentum * v + rate * g; w -= v.
KERNEL(update_sgd)(Real* __restrict__ weights, Real* __restrict__ diffs, Real* __restrict__ velocity, const int* starts,
                   const int* ends, const Real* lr_mults, const Real* decay_mults, const double* control, int chunks,
                   Real decay, int l1, Real momentum) {
    FOR_EACH_BLOCK(c, chunks) {
        const Chunk chunk = chunk_at(c, starts, ends, lr_mults, decay_mults, control, decay);
        FOR_EACH_IN_CHUNK(i, chunk) {
            const Real w = weights[i], v = velocity[i] * momentum + gradient(diffs[i], w, chunk, l1) * chunk.rate;
            velocity[i] = v;
            diffs[i] = v;
            weights[i] = w - v;
        }
    }
}

// v' = momentum * v + rate * g; w -= (1 + momentum) * v' - momentum * v.
KERNEL(update_nesterov)(Real* __restrict__ weights, Real* __restrict__ diffs, Real* __restrict__ velocity,
                        const int* starts, const int* ends, const Real* lr_mults, const Real* decay_mults,
                        const double* control, int chunks, Real decay, int l1, Real momentum) {
    FOR_EACH_BLOCK(c, chunks) {
        const Chunk chunk = chunk_at(c, starts, ends, lr_mults, decay_mults, control, decay);
        FOR_EACH_IN_CHUNK(i, chunk) {
            const Real w = weights[i], before = velocity[i] * momentum;
            const Real v = before + gradient(diffs[i], w, chunk, l1) * chunk.rate;
            const Real step = v * (Real(1) + momentum) - before;
            velocity[i] = v;
            diffs[i] = step;
            weights[i] = w - step;
        }
    }
}

// s += g^2; w -= rate * g / (sqrt(s) + delta).
KERNEL(update_adagrad)(Real* __restrict__ weights, Real* __restrict__ diffs, Real* __restrict__ squares,
                       const int* starts, const int* ends, const Real* lr_mults, const Real* decay_mults,
                       const double* control, int chunks, Real decay, int l1, Real delta) {
    FOR_EACH_BLOCK(c, chunks) {
        const Chunk chunk = chunk_at(c, starts, ends, lr_mults, decay_mults, control, decay);
        FOR_EACH_IN_CHUNK(i, chunk) {
            const Real w = weights[i], g = gradient(diffs[i], w, chunk, l1), s = squares[i] + g * g;
            const Real step = g / (sqrt(s) + delta) * chunk.rate;
            squares[i] = s;
            diffs[i] = step;
            weights[i] = w - step;
        }
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
        FOR_EACH_IN_CHUNK(i, chunk) {
            const Real w = weights[i], g = gradient(diffs[i], w, chunk, l1);
            const Real s = squares[i] * rms_decay + g * g * rms_complement;
            const Real step = g / (sqrt(s) + delta) * chunk.rate;
            squares[i] = s;
            diffs[i] = step;
            weights[i] = w - step;
        }
    }
}

// s = rho * s + (1 - rho) * g^2; v = g * sqrt((u + delta) / (s + delta)); u = rho * u + (1 - rho) * v^2; w -= rate * v.
KERNEL(update_adadelta)(Real* __restrict__ weights, Real* __restrict__ diffs, Real* __restrict__ squares,
                        Real* __restrict__ updates, const int* starts, const int* ends, const Real* lr_mults,
                        const Real* decay_mults, const double* control, int chunks, Real decay, int l1, Real momentum,
                        Real complement, Real delta) {
    FOR_EACH_BLOCK(c, chunks) {
        const Chunk chunk = chunk_at(c, starts, ends, lr_mults, decay_mults, control, decay);
        FOR_EACH_IN_CHUNK(i, chunk) {
            const Real w = weights[i], g = gradient(diffs[i], w, chunk, l1);
            const Real s = squares[i] * momentum + g * g * complement;
            const Real u = updates[i], v = g * sqrt((u + delta) / (s + delta)), step = v * chunk.rate;
            squares[i] = s;
            updates[i] = u * momentum + v * v * complement;
            diffs[i] = step;
            weights[i] = w - step;
        }
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
        FOR_EACH_IN_CHUNK(i, chunk) {
            const Real w = weights[i], g = gradient(diffs[i], w, chunk, l1);
            const Real m = mean[i] * beta1 + g * beta1_complement, v = variance[i] * beta2 + g * g * beta2_complement;
            Real step = m / (sqrt(v) + delta) * (chunk.rate * correction);
            if (adamw_decay != 0) step += w * (chunk.rate * (adamw_decay * chunk.decay_mult));
            mean[i] = m;
            variance[i] = v;
            diffs[i] = step;
            weights[i] = w - step;
        }
    }
}
