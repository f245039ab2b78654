// The triplet loss (netforge/device/operations/triplet.py): embeddings x (items, size), labels (items, columns) of which
// column 0 counts, distances and slope (items, items), tally (items, 7). scale, divisor and loss are arrays of one
// number. A triplet costs max(z, 0), or log(1 + e^z) with `soft`; z = margin + distance to the positive - distance to
// the negative.
#include "common.cuh"

#define LEAST_DISTANCE Real(1e-8)
#define TALLY 7
#define TILE 16
#define SEGMENT 32

__device__ __forceinline__ Real cost_of(Real z, int soft) {
    const Real above = z > 0 ? z : Real(0);
    return soft ? above + log1p(exp(-fabs(z))) : above;
}
__device__ __forceinline__ Real slope_of(Real z, int soft) {
    return soft ? Real(0.5) + Real(0.5) * tanh(Real(0.5) * z) : z > 0 ? Real(1) : Real(0);
}

// A distance from a sum of squares, and the factor on x - y in its gradient.
__device__ __forceinline__ Real distance_of(Real squares, int euclidean, Real factor) {
    return euclidean ? sqrt(squares) : squares * factor;
}
__device__ __forceinline__ Real steepness(Real distance, int euclidean, Real factor) {
    return euclidean ? Real(1) / (distance > LEAST_DISTANCE ? distance : LEAST_DISTANCE) : Real(2) * factor;
}

// What one thread has seen of an anchor's triplets.
struct Seen { Real cost; int active, counted; };
__device__ __forceinline__ void see(Seen& seen, Real z, int soft) {
    seen.cost += cost_of(z, soft);
    seen.active += z > 0;
    seen.counted += 1;
}

// Who is who for an anchor. (NaN equals nothing, and is no negative of itself.)
__device__ __forceinline__ bool is_positive(const Real* labels, int columns, unsigned anchor, unsigned other) {
    return other != anchor && labels[other * columns] == labels[anchor * columns];
}
__device__ __forceinline__ bool is_negative(const Real* labels, int columns, unsigned anchor, unsigned other) {
    return other != anchor && labels[other * columns] != labels[anchor * columns];
}

// Writes an anchor's tally from what the threads of its block have seen; the whole block calls this.
__device__ __forceinline__ void write_tally(Seen seen, const Real* row, const Real* labels, Real* tally, int items,
                                            int columns, unsigned anchor) {
    Real near = 0, far = 0;
    int positives = 0, negatives = 0;
    FOR_EACH_IN_BLOCK(j, items) {
        if (is_positive(labels, columns, anchor, j)) {
            near += row[j];
            ++positives;
        } else if (is_negative(labels, columns, anchor, j)) {
            far += row[j];
            ++negatives;
        }
    }
    const Real sums[TALLY] = {block_sum(seen.cost),          Real(block_sum(seen.active)), Real(block_sum(seen.counted)),
                              block_sum(near),               block_sum(far),               Real(block_sum(positives)),
                              Real(block_sum(negatives))};
    if (threadIdx.x != 0) return;
#pragma unroll
    for (int c = 0; c < TALLY; ++c) tally[anchor * TALLY + c] = sums[c];
}

// Given triplets a, p, n (items, size): distances (items, 2) to p and n, slope (items), tally.
// Launch: one warp a triplet. Memory: a, p, n once, coalesced.
KERNEL(triplet_forward)(const Real* __restrict__ a, const Real* __restrict__ p, const Real* __restrict__ n,
                        Real* __restrict__ distances, Real* __restrict__ slope, Real* __restrict__ tally, int items,
                        int size, Real margin, int soft, int euclidean, Real factor) {
    FOR_EACH_WARP(item, items) {
        Real near = 0, far = 0;
        FOR_EACH_IN_WARP(c, size) {
            const unsigned i = item * size + c;
            const Real to_p = a[i] - p[i], to_n = a[i] - n[i];
            near += to_p * to_p;
            far += to_n * to_n;
        }
        near = distance_of(warp_sum(near), euclidean, factor);
        far = distance_of(warp_sum(far), euclidean, factor);
        if (threadIdx.x % WARP != 0) continue;
        const Real z = margin + near - far;
        distances[2 * item] = near;
        distances[2 * item + 1] = far;
        slope[item] = slope_of(z, soft);
        Real* own = tally + item * TALLY;
        own[0] = cost_of(z, soft);
        own[1] = z > 0 ? Real(1) : Real(0);
        own[3] = near;
        own[4] = far;
        own[2] = own[5] = own[6] = 1;
    }
}

// Gradients of given triplets, scale[0] / divisor[0] times; null where one is not wanted. Launch: one thread an element,
// n_elements = items * size. Memory: a, p, n and the gradients once, coalesced; the numbers of a triplet from cache.
KERNEL(triplet_backward)(const Real* a, const Real* p, const Real* n, const Real* __restrict__ distances,
                         const Real* __restrict__ slope, const Real* divisor, const Real* scale, Real* da, Real* dp,
                         Real* dn, int n_elements, int size, int euclidean, Real factor) {
    FOR_EACH(i, n_elements) {
        const unsigned item = i / size;
        const Real step = slope[item] * (scale[0] / divisor[0]);
        const Real to_p = (a[i] - p[i]) * (step * steepness(distances[2 * item], euclidean, factor));
        const Real to_n = (a[i] - n[i]) * (step * steepness(distances[2 * item + 1], euclidean, factor));
        if (da) da[i] = to_p - to_n;
        if (dp) dp[i] = -to_p;
        if (dn) dn[i] = to_n;
    }
}

// distances between all items of x, exactly 0 between equal ones. Launch: one block a tile of 16 * 16 distances, in
// rows of `across` tiles. Memory: each number of x read `across` times, in segments of 32 coalesced along size.
KERNEL(pair_distances)(const Real* __restrict__ x, Real* __restrict__ distances, int items, int size, int across,
                       int euclidean, Real factor) {
    __shared__ Real left[TILE][SEGMENT + 1], right[TILE][SEGMENT + 1], squares[TILE * TILE];
    FOR_EACH_BLOCK(tile, across * across) {
        const unsigned row = tile / across * TILE, column = tile % across * TILE;
        FOR_EACH_IN_BLOCK(t, TILE * TILE) squares[t] = 0;
        for (int start = 0; start < size; start += SEGMENT) {
            __syncthreads();  // the segment before has been used
            FOR_EACH_IN_BLOCK(t, TILE * SEGMENT) {
                const unsigned i = t / SEGMENT, c = t % SEGMENT;
                const bool inside = start + c < (unsigned)size;
                left[i][c] = inside && row + i < (unsigned)items ? x[(row + i) * size + start + c] : Real(0);
                right[i][c] = inside && column + i < (unsigned)items ? x[(column + i) * size + start + c] : Real(0);
            }
            __syncthreads();
            FOR_EACH_IN_BLOCK(t, TILE * TILE) {
                const Real* from = left[t / TILE];
                const Real* to = right[t % TILE];
                Real sum = squares[t];
#pragma unroll 8
                for (int c = 0; c < SEGMENT; ++c) sum += (from[c] - to[c]) * (from[c] - to[c]);
                squares[t] = sum;
            }
        }
        FOR_EACH_IN_BLOCK(t, TILE * TILE) {  // each thread's own sums
            const unsigned i = row + t / TILE, j = column + t % TILE;
            if (i < (unsigned)items && j < (unsigned)items)
                distances[i * items + j] = distance_of(squares[t], euclidean, factor);
        }
    }
}

// All triplets of each anchor. Launch: one block an anchor. Memory: the anchor's row of distances and the labels again
// and again from cache, its row of slope once.
KERNEL(triplet_mine_all)(const Real* __restrict__ distances, const Real* __restrict__ labels, Real* __restrict__ slope,
                         Real* __restrict__ tally, int items, int columns, Real margin, int soft) {
    FOR_EACH_BLOCK(anchor, items) {
        const Real* row = distances + anchor * items;
        Seen seen = {Real(0), 0, 0};
        for (int j = threadIdx.x / WARP; j < items; j += blockDim.x / WARP) {  // a warp for each other item
            const bool near = is_positive(labels, columns, anchor, j), far = is_negative(labels, columns, anchor, j);
            Real sum = 0;
            if (near) {
                FOR_EACH_IN_WARP(k, items) {
                    if (!is_negative(labels, columns, anchor, k)) continue;
                    const Real z = margin + row[j] - row[k];
                    sum += slope_of(z, soft);
                    see(seen, z, soft);
                }
            } else if (far) {
                FOR_EACH_IN_WARP(k, items)
                    if (is_positive(labels, columns, anchor, k)) sum -= slope_of(margin + row[k] - row[j], soft);
            }
            sum = warp_sum(sum);
            if (threadIdx.x % WARP == 0) slope[anchor * items + j] = sum;
        }
        write_tally(seen, row, labels, tally, items, columns, anchor);
    }
}

// The better of two candidates by value, at ties the lower index; -1 stands for none.
__device__ __forceinline__ void prefer(Real& value, int& index, Real other, int other_index) {
    if (other_index >= 0 && (index < 0 || other < value || (other == value && other_index < index))) {
        value = other;
        index = other_index;
    }
}
__device__ __forceinline__ int warp_least(Real value, int index) {
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
        const Real other = __shfl_xor_sync(FULL_WARP, value, lanes);
        const int other_index = __shfl_xor_sync(FULL_WARP, index, lanes);
        prefer(value, index, other, other_index);
    }
    return index;
}

// Each anchor with its farthest positive and its nearest negative, if it has both. Launch: one block an anchor. Memory:
// the anchor's row of distances and the labels from cache, its row of slope once.
KERNEL(triplet_mine_hard)(const Real* __restrict__ distances, const Real* __restrict__ labels, Real* __restrict__ slope,
                          Real* __restrict__ tally, int items, int columns, Real margin, int soft) {
    FOR_EACH_BLOCK(anchor, items) {
        const Real* row = distances + anchor * items;
        int far = -1, near = -1;  // every warp looks for itself
        Real farthest = 0, nearest = 0;
        FOR_EACH_IN_WARP(j, items) {
            if (is_positive(labels, columns, anchor, j)) prefer(farthest, far, -row[j], j);
            if (is_negative(labels, columns, anchor, j)) prefer(nearest, near, row[j], j);
        }
        far = warp_least(farthest, far);
        near = warp_least(nearest, near);
        const bool both = far >= 0 && near >= 0;
        const Real z = both ? margin + row[far] - row[near] : Real(0), s = both ? slope_of(z, soft) : Real(0);
        FOR_EACH_IN_BLOCK(j, items)
            slope[anchor * items + j] = (int)j == far ? s : (int)j == near ? -s : Real(0);
        Seen seen = {Real(0), 0, 0};
        if (both && threadIdx.x == 0) see(seen, z, soft);
        write_tally(seen, row, labels, tally, items, columns, anchor);
    }
}

// Each anchor and positive with the nearest negative that is farther than the positive, or where none is with the
// farthest one. chosen (items, items): room for the negative of each pair, -1 where there is none.
// Launch: one block an anchor. Memory: the anchor's row of distances, the labels and the choices from cache, its row of
// slope once.
KERNEL(triplet_mine_semihard)(const Real* __restrict__ distances, const Real* __restrict__ labels, Real* slope,
                              Real* __restrict__ tally, int* chosen, int items, int columns, Real margin, int soft) {
    FOR_EACH_BLOCK(anchor, items) {
        const Real* row = distances + anchor * items;
        Real* own = slope + anchor * items;
        int* choice = chosen + anchor * items;
        Seen seen = {Real(0), 0, 0};
        for (int j = threadIdx.x / WARP; j < items; j += blockDim.x / WARP) {  // a warp for each positive
            const bool wanted = is_positive(labels, columns, anchor, j);
            int near = -1, far = -1;
            Real nearest = 0, farthest = 0;
            if (wanted) {
                FOR_EACH_IN_WARP(k, items) {
                    if (!is_negative(labels, columns, anchor, k)) continue;
                    if (row[k] > row[j]) prefer(nearest, near, row[k], k);
                    prefer(farthest, far, -row[k], k);
                }
            }
            near = warp_least(nearest, near);
            far = warp_least(farthest, far);
            if (threadIdx.x % WARP != 0) continue;
            const int found = near >= 0 ? near : far;
            choice[j] = found;
            own[j] = 0;
            if (found < 0) continue;
            const Real z = margin + row[j] - row[found];
            own[j] = slope_of(z, soft);
            see(seen, z, soft);
        }
        __syncthreads();  // all choices are there
        FOR_EACH_IN_BLOCK(k, items) {
            if (!is_negative(labels, columns, anchor, k)) continue;
            Real sum = 0;
            for (int j = 0; j < items; ++j)
                if (choice[j] == (int)k) sum -= own[j];
            own[k] = sum;
        }
        write_tally(seen, row, labels, tally, items, columns, anchor);
    }
}

// The sums of tallies that a block's threads have taken up; every thread gets them.
__device__ __forceinline__ void sum_tallies(Real (&sums)[TALLY]) {
#pragma unroll
    for (int c = 0; c < TALLY; ++c) sums[c] = block_sum(sums[c]);
}

// parts (gridDim.x, 7) = tallies, added up; `triplet_summary` of the parts must follow. Launch: one thread an item, any
// grid. Memory: tally once.
KERNEL(tally_parts)(const Real* __restrict__ tally, Real* __restrict__ parts, int items) {
    Real sums[TALLY] = {};
    FOR_EACH(i, items)
#pragma unroll
        for (int c = 0; c < TALLY; ++c) sums[c] += tally[i * TALLY + c];
    sum_tallies(sums);
    if (threadIdx.x != 0) return;
#pragma unroll
    for (int c = 0; c < TALLY; ++c) parts[blockIdx.x * TALLY + c] = sums[c];
}

// loss[0] = sum of costs / divisor[0]; divisor[0] = active triplets (over 0), all (1) or twice that (2), at least 1.
// active (1): the share that is active, means (2): mean distance to positives and to negatives; null where not wanted.
// Launch: one block. Memory: tally once.
KERNEL(triplet_summary)(const Real* __restrict__ tally, Real* loss, Real* divisor, Real* active, Real* means, int items,
                        int over) {
    Real sums[TALLY] = {};
    FOR_EACH_IN_BLOCK(i, items)
#pragma unroll
        for (int c = 0; c < TALLY; ++c) sums[c] += tally[i * TALLY + c];
    sum_tallies(sums);
    if (threadIdx.x != 0) return;
    divisor[0] = larger(Real(1), over == 0 ? sums[1] : Real(over) * sums[2]);
    loss[0] = sums[0] / divisor[0];
    if (active) active[0] = sums[1] / larger(Real(1), sums[2]);
    if (means) {
        means[0] = sums[3] / larger(Real(1), sums[5]);
        means[1] = sums[4] / larger(Real(1), sums[6]);
    }
}

// dx = scale[0] / divisor[0] * sum over j of (slope[i, j] + slope[j, i]) * gradient of their distance by x[i].
// Launch: one thread an element, n = items * size, which asks for what it needs of OTHERS items at once. Memory: x once
// for each item, from cache and coalesced along size; distances and slope once, a number for a whole warp.
#define OTHERS 8
KERNEL(mined_triplet_backward)(const Real* __restrict__ x, const Real* __restrict__ distances,
                               const Real* __restrict__ slope, const Real* divisor, const Real* scale,
                               Real* __restrict__ dx, int n, int items, int size, int euclidean, Real factor) {
    const Real step = scale[0] / divisor[0];
    FOR_EACH(i, n) {
        const unsigned item = i / size, c = i % size;
        const Real own = x[i];
        Real sum = 0;
        for (int first = 0; first < items; first += OTHERS) {
            Real other[OTHERS], weight[OTHERS], distance[OTHERS];
#pragma unroll
            for (int k = 0; k < OTHERS; ++k) {
                const int j = min(first + k, items - 1);  // beyond the last one: some item, which is not used
                const unsigned pair = item * items + j;
                other[k] = x[j * size + c];
                weight[k] = slope[pair] + slope[j * items + item];
                distance[k] = distances[pair];
            }
#pragma unroll
            for (int k = 0; k < OTHERS; ++k) {
                if (first + k < items && weight[k] != 0)
                    sum += (own - other[k]) * (weight[k] * steepness(distance[k], euclidean, factor));
            }
        }
        dx[i] = sum * step;
    }
}
