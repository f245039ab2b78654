// The contrastive loss (netforge/device/operations/contrastive.py): `items` pairs of embeddings of `size` numbers.
// active, loss and scale are arrays of one number; similar (items) is 1 for pairs of one class, else 0.
#include "common.cuh"

#define DISTANCE_EPSILON Real(1e-4)
#define MATCHING 0
#define NONMATCHING 1

// similar = 1 where all `columns` labels of a row are equal, or, with one column, where it is not 0 once cut to a whole
// number.
// Launch: one thread a pair. Memory: labels once.
KERNEL(pair_similarity)(const Real* __restrict__ labels, Real* __restrict__ similar, int items, int columns) {
    FOR_EACH(i, items) {
        const Real* row = labels + i * columns;
        bool same = columns > 1 || trunc(row[0]) != 0;
        for (int c = 1; c < columns; ++c) same = same && row[c] == row[0];
        similar[i] = same ? Real(1) : Real(0);
    }
}

// active[0] = 1 once any of n centroid values is not 0. Launch: one block. Memory: centroids once.
KERNEL(contrastive_active)(const Real* __restrict__ centroids, Real* active, int n) {
    int found = 0;
    for_each_of_block(n, [&](int, Real value) { found |= value != 0; }, centroids);
    found = block_sum(found);
    if (threadIdx.x == 0) active[0] = found > 0 ? Real(1) : Real(0);
}

// target[i] = the centroid of the pair's first label where `which` (MATCHING 0, NONMATCHING 1, ALL 2) says so and
// active[0] is 1, else a[i]; replaced[i] says which it was. labels (items, 2). Launch: one thread for AT_ONCE elements
// of a, n = items * size, after contrastive_active. Memory: a and target once, coalesced along size; centroids from
// cache.
KERNEL(contrastive_targets)(const Real* __restrict__ a, const Real* __restrict__ labels,
                            const Real* __restrict__ similar, const Real* __restrict__ centroids,
                            Real* __restrict__ target, Real* __restrict__ replaced, const Real* __restrict__ active,
                            int n, int size, int classes, int which) {
    const Divisor row(size);
    const auto choose = [=](unsigned i, Real value) {
        const unsigned item = row.quotient(i), column = i - item * size;
        const Real label = labels[2 * item];
        const Real alike = similar[item];
        const Real chosen = (which == MATCHING ? alike : which == NONMATCHING ? Real(1) - alike : Real(1)) * active[0];
        target[i] = chosen != 0 && is_class(label, classes) ? centroids[(unsigned)label * size + column] : value;
        if (column == 0) replaced[item] = chosen;
    };
    for_each_of(n, choose, a);
}

// The factor on a pair's distance: similar_scale for similar pairs while active, else 1.
__device__ __forceinline__ Real similar_factor(Real similar, const Real* active, Real similar_scale) {
    return similar_scale == 1 ? Real(1) : Real(1) + (similar_scale - Real(1)) * similar * active[0];
}

// difference = a - b; distance = sum of its squares or absolute values, times the pair's factor; loss[0] = factor * sum
// of costs, factor = 1 / (2 items). matches: null where it is not wanted.
// Launch: one warp a pair, any grid; larger than one block, sum_parts after it. Memory: a, b, difference once,
// coalesced.
KERNEL(contrastive_forward)(const Real* __restrict__ a, const Real* __restrict__ b, const Real* __restrict__ similar,
                            const Real* __restrict__ active, Real* __restrict__ difference, Real* __restrict__ distance,
                            Real* loss, Real* matches, Real* parts, int items, int size, Real margin, int squared_hinge,
                            int manhattan, Real similar_scale, Real factor) {
    Real costs = 0;
    FOR_EACH_WARP(item, items) {
        Real sum = 0;
        const unsigned first = item * size;
        const auto cost = [&](int c, Real u, Real v) {
            const Real d = u - v;
            difference[first + c] = d;
            sum += manhattan ? fabs(d) : d * d;
        };
        for_each_of_warp(size, cost, a + first, b + first);
        const Real alike = similar[item];
        const Real far = warp_sum(sum) * similar_factor(alike, active, similar_scale);
        const Real room = margin - (squared_hinge ? sqrt(far) : far);
        Real hinge = room < 0 ? Real(0) : room;
        if (squared_hinge) hinge *= hinge;
        if (threadIdx.x % WARP != 0) continue;
        distance[item] = far;
        if (matches) matches[item] = (room >= 0) == (alike != 0) ? Real(1) : Real(0);
        costs += alike != 0 ? far : hinge;
    }
    finish_sum(block_sum(costs), loss, parts, factor, nullptr);
}

// dx = factor * scale[0] * slope of each pair's cost, factor = sign / items. Launch: one thread for AT_ONCE elements, n
// = items * size. Memory: difference and dx once, coalesced; the numbers of a pair from cache.
KERNEL(contrastive_backward)(const Real* difference, const Real* __restrict__ distance,
                             const Real* __restrict__ similar, const Real* __restrict__ active, Real* dx,
                             const Real* scale, int n, int size, Real margin, int squared_hinge, int manhattan,
                             Real similar_scale, Real factor) {
    const Real step = scale[0] * factor;
    const Divisor row(size);
    const auto gradient = [=](int i, Real d) {
        const unsigned item = row.quotient(i);
        const Real alike = similar[item], far = distance[item];
        Real slope;
        if (alike != 0) {
            slope = similar_factor(alike, active, similar_scale);
        } else if (squared_hinge) {
            const Real root = sqrt(far);
            slope = -(root < margin ? margin - root : Real(0)) / (root + DISTANCE_EPSILON);
        } else {
            slope = far < margin ? Real(-1) : Real(0);
        }
        slope *= step;
        const Real sign = d > 0 ? Real(1) : d < 0 ? Real(-1) : d;
        dx[i] = manhattan ? sign * (Real(0.5) * slope) : d * slope;
    };
    for_each_of(n, gradient, difference);
}
