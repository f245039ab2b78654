// The prototypical loss (netforge/device/operations/prototypical.py): labels (items, columns) of which column 0 counts;
// distances, probabilities and slopes (items, classes). targets (items): the class of a query, below 0 for support.
// queries, loss, accuracy and scale are arrays of one number.
#include "common.cuh"

#define NEVER Real(3.402823466e+38f)
#define SUPPORT Real(-1)

// targets; shares (classes, items) = 1 / shots where an item is support of a class; absent (classes) = 1 beyond the last
// class; report = {1 + index, label} of the first item whose class has no more than `shots` items, index `items` where
// there is one class only. firsts (items): room for the first item of each item's class.
// Launch: one block. Memory: labels and firsts once for each item, from cache; shares once, coalesced.
KERNEL(split_episode)(const Real* __restrict__ labels, int* firsts, Real* targets, Real* __restrict__ shares,
                      Real* __restrict__ absent, Real* report, int items, int columns, int classes, int shots) {
    __shared__ int fault;
    if (threadIdx.x == 0) fault = items + 1;
    __syncthreads();
    int found = 0;
    FOR_EACH_IN_BLOCK(i, items) {
        const Real label = labels[i * columns];
        int first = i, rank = 0, members = 0;  // NaN, which differs from itself, is a class of no members
        for (int j = 0; j < items; ++j) {
            const bool member = labels[j * columns] == label;
            members += member;
            rank += member && j < (int)i;
            if (member && j < first) first = j;
        }
        firsts[i] = first;
        targets[i] = Real(rank);
        found += rank == 0;
        if (members <= shots) atomicMin(&fault, (int)i);
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

// loss[0] = mean over queries of -log softmax(-d / temperature)[target], d = factor * distances; probabilities are that
// softmax, 0 for support. accuracy, means (own prototype, nearest other one): null where they are not wanted.
// Launch: one block, a warp an item. Memory: distances three times, twice from cache; probabilities once.
KERNEL(prototypical_forward)(const Real* __restrict__ distances, const Real* __restrict__ targets,
                             Real* __restrict__ probabilities, Real* queries, Real* loss, Real* accuracy, Real* means,
                             int items, int classes, Real temperature, Real factor) {
    Real costs = 0, near = 0, far = 0;
    int asking = 0, right = 0;
    FOR_EACH_WARP(item, items) {
        const Real *row = distances + item * classes, target = targets[item];
        Real* out = probabilities + item * classes;
        if (target < 0) {
            FOR_EACH_IN_WARP(c, classes) out[c] = 0;
            continue;
        }
        const unsigned own = (unsigned)target;
        const Real to_own = row[own] * factor;
        Real most = 0, least = -NEVER, sum = 0;  // the own class's score is 0; least: of the negated distances to others
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
        costs += most + log(sum);
        near += to_own;
        far -= least;
        right += rivals == 0;
        ++asking;
    }
    costs = block_sum(costs);
    near = block_sum(near);
    far = block_sum(far);
    asking = block_sum(asking);
    right = block_sum(right);
    if (threadIdx.x != 0) return;
    const Real count = Real(max(asking, 1));
    queries[0] = count;
    loss[0] = costs / count;
    if (accuracy) accuracy[0] = Real(right) / count;
    if (means) {
        means[0] = near / count;
        means[1] = far / count;
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

// dx (rows, size) = the gradient of the sum of slopes * squared distances of x (rows, size) to others (count, size); the
// slope of row r and other o is slopes[r * by_row + o * by_other].
// Launch: one thread an element of x, n of them. Memory: x and dx once, others and slopes for each row, from cache;
// coalesced along size.
KERNEL(squared_distances_backward)(const Real* __restrict__ x, const Real* __restrict__ others,
                                   const Real* __restrict__ slopes, Real* __restrict__ dx, int n, int size, int count,
                                   int by_row, int by_other) {
    FOR_EACH(i, n) {
        const unsigned row = i / size, column = i % size;
        const Real own = x[i];
        Real sum = 0;
        for (int o = 0; o < count; ++o) sum += slopes[row * by_row + o * by_other] * (own - others[o * size + column]);
        dx[i] = Real(2) * sum;
    }
}
