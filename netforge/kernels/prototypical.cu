// The prototypical loss (netforge/device/operations/prototypical.py): labels (items, columns) of which column 0 counts;
// distances, probabilities and slopes (items, classes). targets (items): the class of a query, below 0 for support.
// queries, loss, accuracy and scale are arrays of one number.
#include "common.cuh"

#define NEVER Real(3.402823466e+38f)
#define SUPPORT Real(-1)

// firsts (items): the first item of each item's class, members (items): the size of that class, targets: how many of
// its items come before. NaN, which differs from itself, is a class of no members. Launch: one warp an item. Memory:
// labels once for each item, from cache.
KERNEL(episode_members)(const Real* __restrict__ labels, int* __restrict__ firsts, int* __restrict__ members,
                        Real* __restrict__ targets, int items, int columns) {
    FOR_EACH_WARP(i, items) {
        const Real label = labels[i * columns];
        int first = i, rank = 0, count = 0;
        FOR_EACH_IN_WARP(j, items) {
            const bool member = labels[j * columns] == label;
            count += member;
            rank += member && j < i;
            if (member) first = min(first, (int)j);
        }
        first = warp_min(first);
        rank = warp_sum(rank);
        count = warp_sum(count);
        if (threadIdx.x % WARP != 0) continue;
        firsts[i] = first;
        members[i] = count;
        targets[i] = Real(rank);
    }
}

// targets, from what episode_members left; shares (classes, items) = 1 / shots where an item is support of a class;
// absent (classes) = 1 beyond the last class; report = {1 + index, label} of the first item whose class has no more
// than `shots` items, index `items` where there is one class only. Launch: one block. Memory: firsts once for each
// item, from cache; shares once, coalesced.
KERNEL(split_episode)(const Real* __restrict__ labels, const int* __restrict__ firsts, const int* __restrict__ members,
                      Real* targets, Real* __restrict__ shares, Real* __restrict__ absent, Real* report, int items,
                      int columns, int classes, int shots) {
    __shared__ int fault;
    if (threadIdx.x == 0) fault = items + 1;
    __syncthreads();
    int found = 0;
    FOR_EACH_IN_BLOCK(i, items) {
        found += targets[i] == 0;
        if (members[i] <= shots) atomicMin(&fault, (int)i);
    }
    found = block_sum(found);
    FOR_EACH_IN_BLOCK(i, items) {
        const bool support = targets[i] < Real(shots);
        int number = 0;
        for (int j = 0; j < firsts[i]; ++j) number += firsts[j] == j;
        for (int c = 0; c < classes; ++c) {
            shares[c * items + i] = support && c == number ? Real(1) / Real(shots) : Real(0);
        }
        targets[i] = support || number >= classes ? SUPPORT : Real(number);
    }
    FOR_EACH_IN_BLOCK(c, classes) absent[c] = (int)c < found ? Real(0) : Real(1);
    if (threadIdx.x != 0) return;
    const int index = fault > items && found == 1 ? items : fault;
    if (index <= items && report[0] == 0) {
        report[0] = Real(index) + Real(1);
        report[1] = labels[min(index, items - 1) * columns];
    }
}

#define TALLY 5  // cost, distances to the own prototype and to the nearest other one, right or not, query or not

// probabilities = softmax(-d / temperature) of queries, d = factor * distances, and 0 of support; tally (items, 5),
// zeros of support. Launch: one warp an item. Memory: distances three times, twice from cache; probabilities once.
KERNEL(prototypical_forward)(const Real* __restrict__ distances, const Real* __restrict__ targets,
                             Real* __restrict__ probabilities, Real* __restrict__ tally, int items, int classes,
                             Real temperature, Real factor) {
    FOR_EACH_WARP(item, items) {
        const Real *row = distances + item * classes, target = targets[item];
        Real *out = probabilities + item * classes, *told = tally + item * TALLY;
        if (target < 0) {
            FOR_EACH_IN_WARP(c, classes) out[c] = 0;
            FOR_EACH_IN_WARP(i, TALLY) told[i] = 0;
            continue;
        }
        const unsigned own = (unsigned)target;
        const Real to_own = row[own] * factor;
        // the own class's score is 0; least: of the negated distances to others
        Real most = 0, least = -NEVER, sum = 0;
        int rivals = 0;
        FOR_EACH_IN_WARP(c, classes) {
            if (c == own || !(row[c] < NEVER)) continue;
            const Real d = row[c] * factor;
            most = larger((to_own - d) / temperature, most);
            least = larger(-d, least);
            rivals += d < to_own || (d == to_own && c < own);
        }
        most = warp_max(most);
        least = warp_max(least);
        rivals = warp_sum(rivals);
        FOR_EACH_IN_WARP(c, classes) {
            sum += row[c] < NEVER || c == own ? exp((to_own - row[c] * factor) / temperature - most) : Real(0);
        }
        sum = warp_sum(sum);
        FOR_EACH_IN_WARP(c, classes) {
            const Real weight = exp((to_own - row[c] * factor) / temperature - most);
            out[c] = row[c] < NEVER || c == own ? weight / sum : Real(0);
        }
        if (threadIdx.x % WARP != 0) continue;
        told[0] = most + log(sum);
        told[1] = to_own;
        told[2] = -least;
        told[3] = rivals == 0 ? Real(1) : Real(0);
        told[4] = 1;
    }
}

// queries[0] = their number, at least 1; loss[0] = the mean of their costs -log p[target]; accuracy, means (to the own
// prototype, to the nearest other one): null where they are not wanted. Launch: one block. Memory: tally once.
KERNEL(prototypical_summary)(const Real* __restrict__ tally, Real* queries, Real* loss, Real* accuracy, Real* means,
                             int items) {
    Real sums[TALLY] = {};
    FOR_EACH_IN_BLOCK(i, items) {
        for (int c = 0; c < TALLY; ++c) sums[c] += tally[i * TALLY + c];
    }
    for (int c = 0; c < TALLY; ++c) sums[c] = block_sum(sums[c]);
    if (threadIdx.x != 0) return;
    const Real count = larger(sums[4], Real(1));
    queries[0] = count;
    loss[0] = sums[0] / count;
    if (accuracy) accuracy[0] = sums[3] / count;
    if (means) {
        means[0] = sums[1] / count;
        means[1] = sums[2] / count;
    }
}

// slopes = scale[0] / queries[0] * factor * (1 at the target - probabilities), 0 for support; factor = that of the
// forward over the temperature. Launch: one thread an element, n = items * classes. Memory: each array once, coalesced.
KERNEL(prototypical_backward)(const Real* __restrict__ probabilities, const Real* __restrict__ targets,
                              const Real* queries, const Real* scale, Real* __restrict__ slopes, int n, int classes,
                              Real factor) {
    const Real step = scale[0] / queries[0] * factor;
    FOR_EACH(i, n) slopes[i] = step * (Real(targets[i / classes] == Real(i % classes)) - probabilities[i]);
}

// dx (rows, size) = the gradient of the sum of slopes * squared distances of x (rows, size) to others (count, size);
// the slope of row r and other o is slopes[r * by_row + o * by_other]. Launch: one block for 32 columns of a row, whose
// warps share the others. Memory: x and dx once, others and slopes for each row, from cache; coalesced along size.
KERNEL(squared_distances_backward)(const Real* __restrict__ x, const Real* __restrict__ others,
                                   const Real* __restrict__ slopes, Real* __restrict__ dx, int rows, int size,
                                   int count, int by_row, int by_other) {
    __shared__ Real parts[WARP][WARP];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    const int groups = (size + WARP - 1) / WARP;
    FOR_EACH_BLOCK(tile, rows * groups) {
        const int row = tile / groups, column = (tile - row * groups) * WARP + lane, i = row * size + column;
        const Real own = column < size ? x[i] : Real(0);
        Real sum = 0;
        if (column < size) {
#pragma unroll 4
            for (int o = warp; o < count; o += warps) {
                sum += slopes[row * by_row + o * by_other] * (own - others[o * size + column]);
            }
        }
        __syncthreads();
        parts[warp][lane] = sum;
        __syncthreads();
        if (warp != 0 || column >= size) continue;
        for (int w = 1; w < warps; ++w) sum += parts[w][lane];
        dx[i] = Real(2) * sum;
    }
}
