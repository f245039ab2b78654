// Class centroids and distances to them (netforge/device/operations/decode.py): x (items, size) embeddings, labels
// (items, columns) of which column 0 counts, centroids (classes, size). ignored (classes): 1 for classes that must
// never win; null where there are none.
#include "common.cuh"

#define NEVER Real(3.402823466e+38f)

__device__ __forceinline__ bool is_ignored(const Real* ignored, unsigned c) { return ignored && ignored[c] != 0; }

// Whether every class that is not ignored has reached `enough` in `state`; the whole block asks together.
__device__ __forceinline__ bool all_ready(const Real* state, const Real* ignored, int classes, Real enough) {
    int missing = 0;
    FOR_EACH_IN_BLOCK(c, classes) missing += state[c] < enough && !is_ignored(ignored, c);
    return block_sum(missing) == 0;
}

// Takes a batch's items, in order, into the centroids of their classes: the item after n others moves the centroid by
// (x - centroid) / min(n + 1, horizon). counts grow; status becomes 1 beyond `horizon` items, but for ignored classes.
// Launch: one block a class. Memory: each embedding once, coalesced along size, the labels once for each class, from
// cache.
KERNEL(centroid_update)(const Real* __restrict__ x, const Real* __restrict__ labels, Real* centroids, Real* counts,
                        Real* status, const Real* __restrict__ ignored, int items, int size, int columns, int classes,
                        int horizon) {
    FOR_EACH_BLOCK(c, classes) {
        const Real before = counts[c];
        Real after = before;
        for (int item = 0; item < items; ++item)
            if (labels[item * columns] == Real(c)) after += 1;
        FOR_EACH_IN_BLOCK(i, size) {
            Real seen = before, centroid = centroids[c * size + i];
            for (int item = 0; item < items; ++item) {
                if (labels[item * columns] != Real(c)) continue;
                seen += 1;
                centroid += (x[item * size + i] - centroid) / (seen < Real(horizon) ? seen : Real(horizon));
            }
            centroids[c * size + i] = centroid;
        }
        __syncthreads();  // all threads have read counts
        if (threadIdx.x != 0) continue;
        counts[c] = after;
        if (after > before && after > Real(horizon) && !is_ignored(ignored, c)) status[c] = 1;
    }
}

// absent = 1 for classes without a centroid, of which no item was seen and none is given, and for ignored ones. Launch:
// one thread a class. Memory: each array once.
KERNEL(absent_classes)(const Real* __restrict__ counts, const Real* __restrict__ status,
                       const Real* __restrict__ ignored, Real* __restrict__ absent, int classes) {
    FOR_EACH(c, classes) {
        absent[c] = (counts[c] == 0 && status[c] == 0) || is_ignored(ignored, c) ? Real(1) : Real(0);
    }
}

// distances (items, classes) = squared Euclidean distance of each item to each centroid, FLT_MAX for ignored classes.
// Launch: one warp a distance. Memory: distances once; x and centroids again and again from cache, coalesced along
// size.
KERNEL(centroid_distances)(const Real* __restrict__ x, const Real* __restrict__ centroids, Real* __restrict__ distances,
                           const Real* __restrict__ ignored, int items, int size, int classes) {
    FOR_EACH_WARP(pair, items * classes) {
        const unsigned item = pair / classes, c = pair % classes;
        Real sum = 0;
        FOR_EACH_IN_WARP(i, size) {
            const Real d = x[item * size + i] - centroids[c * size + i];
            sum += d * d;
        }
        sum = warp_sum(sum);
        if (threadIdx.x % WARP == 0) distances[pair] = is_ignored(ignored, c) ? NEVER : sum;
    }
}

// out = centroids once every class that is not ignored has status 1, and passes[0] >= least; zeros before. passes: in
// device memory, so that a captured launch sees it grow. Launch: one thread an element, n of them. Memory: centroids
// and out once, status once a block.
KERNEL(centroid_output)(const Real* __restrict__ centroids, const Real* __restrict__ status,
                        const Real* __restrict__ ignored, const Word* __restrict__ passes, Real* __restrict__ out,
                        int n, int classes, int least) {
    const bool ready = all_ready(status, ignored, classes, Real(1)) && (least <= 0 || passes[0] >= (Word)least);
    const Real factor = ready ? Real(1) : Real(0);
    FOR_EACH(i, n) out[i] = centroids[i] * factor;
}

// accuracy[0] = share of items whose smallest distance is that to their label's class: the lowest class at ties, never
// FLT_MAX or NaN; items whose label is among the `ignore_count` of `ignore` do not count. Launch: one block, a warp an
// item. Memory: distances once, coalesced along classes.
KERNEL(nearest_accuracy)(const Real* __restrict__ distances, const Real* __restrict__ labels, Real* accuracy,
                         const Real* __restrict__ ignore, int items, int classes, int columns, int ignore_count) {
    int counted = 0, right = 0;
    FOR_EACH_WARP(item, items) {
        const Real truth = labels[item * columns];
        bool counts = true;
        for (int i = 0; i < ignore_count; ++i) counts = counts && truth != ignore[i];
        Real best = NEVER;
        int nearest = -1;
        FOR_EACH_IN_WARP(c, classes) {
            const Real d = distances[item * classes + c];
            if (d < best) {
                best = d;
                nearest = c;
            }
        }
        for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
            const Real other = __shfl_xor_sync(FULL_WARP, best, lanes);
            const int other_nearest = __shfl_xor_sync(FULL_WARP, nearest, lanes);
            if (other_nearest >= 0 && (other < best || (other == best && other_nearest < nearest))) {
                best = other;
                nearest = other_nearest;
            }
        }
        if (threadIdx.x % WARP != 0) continue;
        counted += counts;
        right += counts && Real(nearest) == truth;
    }
    counted = block_sum(counted);
    right = block_sum(right);
    if (threadIdx.x == 0) accuracy[0] = Real(right) / Real(max(counted, 1));
}

// Writes each item into slot (class, n mod slots) of cache (classes, slots, size), n = items of its class before it;
// counts grow.
// Launch: one block a class. Memory: each embedding once in and once out, coalesced along size.
KERNEL(cache_encodings)(const Real* __restrict__ x, const Real* __restrict__ labels, Real* cache, Real* counts,
                        int items, int size, int columns, int classes, int slots) {
    FOR_EACH_BLOCK(c, classes) {
        Real* own = cache + c * slots * size;
        const Real before = counts[c];
        unsigned seen = (unsigned)before;
        for (int item = 0; item < items; ++item) {
            if (labels[item * columns] != Real(c)) continue;
            // a slot is written again after `slots` items, by the same thread
            FOR_EACH_IN_BLOCK(i, size) own[seen % slots * size + i] = x[item * size + i];
            ++seen;
        }
        __syncthreads();  // all threads have read counts
        if (threadIdx.x == 0) counts[c] = Real(seen);
    }
}

// distances (items, classes) = mean of the k smallest squared distances to the filled slots of each class; all zeros
// until every class that is not ignored has k of them, FLT_MAX for ignored classes. all (items, classes, slots): room
// for every distance.
// Launch: one warp for an item and class. Memory: the cache once for each item, from cache where it fits; k passes over
// a warp's distances.
KERNEL(nearest_cached_distances)(const Real* __restrict__ x, const Real* __restrict__ cache,
                                 const Real* __restrict__ counts, Real* __restrict__ distances, Real* all,
                                 const Real* __restrict__ ignored, int items, int size, int classes, int slots, int k) {
    const bool ready = all_ready(counts, ignored, classes, k <= slots ? Real(k) : NEVER);
    FOR_EACH_WARP(pair, items * classes) {
        const unsigned item = pair / classes, c = pair % classes;
        if (!ready || is_ignored(ignored, c)) {
            if (threadIdx.x % WARP == 0) distances[pair] = ready ? NEVER : Real(0);
            continue;
        }
        Real* own = all + pair * slots;
        const int filled = min((int)counts[c], slots);
        for (int slot = 0; slot < filled; ++slot) {
            Real sum = 0;
            FOR_EACH_IN_WARP(i, size) {
                const Real d = x[item * size + i] - cache[(c * slots + slot) * size + i];
                sum += d * d;
            }
            sum = warp_sum(sum);
            if (threadIdx.x % WARP == 0) own[slot] = sum;
        }
        __syncwarp();
        Real total = 0;
        FOR_EACH_IN_WARP(slot, filled) {
            int smaller = 0;  // a slot is among the k smallest when fewer than k come before it
            for (int other = 0; other < filled; ++other)
                smaller += own[other] < own[slot] || (own[other] == own[slot] && other < (int)slot);
            if (smaller < k) total += own[slot];
        }
        total = warp_sum(total);
        if (threadIdx.x % WARP == 0) distances[pair] = total / Real(k);
        __syncwarp();
    }
}
