// Class centroids and distances to them (netforge/device/operations/decode.py): x (items, size) embeddings, labels
// (items, columns) of which column 0 counts, centroids (classes, size). ignored (classes): 1 for classes that must
// never win; null where there are none.
#include "common.cuh"
#include "members.cuh"

#define NEVER Real(3.402823466e+38f)

__device__ __forceinline__ bool is_ignored(const Real* ignored, unsigned c) { return ignored && ignored[c] != 0; }

// Whether every class that is not ignored has reached `enough` in `state`; the whole block asks together.
__device__ __forceinline__ bool all_ready(const Real* state, const Real* ignored, int classes, Real enough) {
    int missing = 0;
    FOR_EACH_IN_BLOCK(c, classes) missing += state[c] < enough && !is_ignored(ignored, c);
    return block_sum(missing) == 0;
}

#define ROWS 8  // that a thread asks for before it uses the first

// Takes a batch's items, in order, into the centroids of their classes: the item after n others moves the centroid by
// (x - centroid) / min(n + 1, horizon). counts grow; status becomes 1 beyond `horizon` items, but for ignored classes.
// Launch: one block a class. Memory: each embedding once, coalesced along size, the labels once for each class, from
// cache.
KERNEL(centroid_update)(const Real* __restrict__ x, const Real* __restrict__ labels, Real* centroids, Real* counts,
                        Real* status, const Real* __restrict__ ignored, int items, int size, int columns, int classes,
                        int horizon) {
    FOR_EACH_BLOCK(c, classes) {
        const Real first = counts[c];
        int members = 0;
        for_members(labels, items, columns, c, [&](const int* list, int count, int before) {
            FOR_EACH_IN_BLOCK(i, size) {
                Real seen = first + Real(before), centroid = centroids[c * size + i];
                for (int start = 0; start < count; start += ROWS) {
                    Real values[ROWS];
#pragma unroll
                    for (int k = 0; k < ROWS; ++k)
                        values[k] = start + k < count ? x[list[start + k] * size + i] : Real(0);
#pragma unroll
                    for (int k = 0; k < ROWS; ++k) {
                        seen += 1;
                        const Real step = Real(1) / (seen < Real(horizon) ? seen : Real(horizon));
                        if (start + k < count) centroid += (values[k] - centroid) * step;
                    }
                }
                centroids[c * size + i] = centroid;
            }
            members = before + count;
        });
        __syncthreads();  // all threads have read counts
        if (threadIdx.x != 0) continue;
        const Real after = first + Real(members);
        counts[c] = after;
        if (members > 0 && after > Real(horizon) && !is_ignored(ignored, c)) status[c] = 1;
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

// The nearer of two classes: at ties the lower one; -1 stands for none.
__device__ __forceinline__ void prefer(Real& best, int& nearest, Real other, int c) {
    if (c >= 0 && (other < best || (other == best && c < nearest))) {
        best = other;
        nearest = c;
    }
}

// accuracy[0] = share of items whose smallest distance is that to their label's class: the lowest class at ties, never
// FLT_MAX or NaN; items whose label is among the `ignore_count` of `ignore` do not count. Launch: one block, a thread
// for an item, or where there are more classes than a warp has lanes a warp. Memory: distances once.
KERNEL(nearest_accuracy)(const Real* __restrict__ distances, const Real* __restrict__ labels, Real* accuracy,
                         const Real* __restrict__ ignore, int items, int classes, int columns, int ignore_count) {
    const unsigned lanes = classes > WARP ? WARP : 1, lane = threadIdx.x % lanes;
    int counted = 0, right = 0;
    for (unsigned item = threadIdx.x / lanes; item < (unsigned)items; item += blockDim.x / lanes) {
        const Real truth = labels[item * columns];
        bool counts = lane == 0;
        for (int i = 0; i < ignore_count; ++i) counts = counts && truth != ignore[i];
        Real best = NEVER;
        int nearest = -1;
#pragma unroll 8
        for (unsigned c = lane; c < (unsigned)classes; c += lanes) {
            const Real d = distances[item * classes + c];
            if (d < best) {
                best = d;
                nearest = c;
            }
        }
        if (lanes > 1)
            for (int apart = WARP / 2; apart > 0; apart /= 2) {
                const Real other = __shfl_xor_sync(FULL_WARP, best, apart);
                prefer(best, nearest, other, __shfl_xor_sync(FULL_WARP, nearest, apart));
            }
        counted += counts;
        right += counts && Real(nearest) == truth;
    }
    counted = block_sum(counted);
    right = block_sum(right);
    if (threadIdx.x == 0) accuracy[0] = Real(right) / Real(max(counted, 1));
}

// Writes each item into slot (class, n mod slots) of cache (classes, slots, size), n = items of its class before it; of
// more than fit, the newest. counts grow.
// Launch: one block a class, whose warps share its items. Memory: each embedding that stays once in and once out,
// coalesced along size, the labels twice for each class, from cache.
KERNEL(cache_encodings)(const Real* __restrict__ x, const Real* __restrict__ labels, Real* __restrict__ cache,
                        Real* counts, int items, int size, int columns, int classes, int slots) {
    FOR_EACH_BLOCK(c, classes) {
        Real* own = cache + c * slots * size;
        const unsigned first = (unsigned)counts[c];
        int members = 0;
        FOR_EACH_IN_BLOCK(item, items) members += labels[item * columns] == Real(c);
        members = block_sum(members);
        for_members(labels, items, columns, c, [&](const int* list, int count, int before) {
            for (int m = threadIdx.x / WARP; m < count; m += blockDim.x / WARP) {
                if (before + m + slots < members) continue;  // a newer item takes the slot
                const unsigned slot = (first + before + m) % slots;
                FOR_EACH_IN_WARP(i, size) own[slot * size + i] = x[list[m] * size + i];
            }
        });
        __syncthreads();  // all threads have read counts
        if (threadIdx.x == 0) counts[c] = Real(first + members);
    }
}

#define SLOTS 4  // whose distances a warp adds up at a time

// Squared distances from x (size) to `filled` stored ones, SLOTS at a time; keep(slot, distance) in every lane.
template <typename Keep>
__device__ __forceinline__ void stored_distances(const Real* __restrict__ x, const Real* __restrict__ stored, int size,
                                                 int filled, Keep keep) {
    for (int slot = 0; slot < filled; slot += SLOTS) {
        Real sums[SLOTS] = {};
        FOR_EACH_IN_WARP(i, size) {
            const Real value = x[i];
#pragma unroll
            for (int k = 0; k < SLOTS; ++k) {
                const Real d = value - stored[min(slot + k, filled - 1) * size + i];
                sums[k] += d * d;
            }
        }
#pragma unroll
        for (int k = 0; k < SLOTS; ++k) sums[k] = warp_sum(sums[k]);
#pragma unroll
        for (int k = 0; k < SLOTS; ++k)
            if (slot + k < filled) keep(slot + k, sums[k]);
    }
}

// Whether a slot's distance comes before another's: at ties the lower slot.
__device__ __forceinline__ bool comes_before(Real a, int slot, Real b, int other) {
    return a < b || (a == b && slot < other);
}

// distances (items, classes) = mean of the k smallest squared distances to the filled slots of each class; all zeros
// until every class that is not ignored has k of them, FLT_MAX for ignored classes. all (items, classes, slots): room
// for every distance, used where more slots are filled than a warp has lanes.
// Launch: one warp for an item and class. Memory: the cache once for each item, from cache where it fits; of few slots
// the lanes keep the distances, of more a warp reads its row of them again and again, from cache.
KERNEL(nearest_cached_distances)(const Real* __restrict__ x, const Real* __restrict__ cache,
                                 const Real* __restrict__ counts, Real* __restrict__ distances, Real* all,
                                 const Real* __restrict__ ignored, int items, int size, int classes, int slots, int k) {
    const bool ready = all_ready(counts, ignored, classes, k <= slots ? Real(k) : NEVER);
    const int lane = threadIdx.x % WARP;
    FOR_EACH_WARP(pair, items * classes) {
        const unsigned item = pair / classes, c = pair % classes;
        if (!ready || is_ignored(ignored, c)) {
            if (lane == 0) distances[pair] = ready ? NEVER : Real(0);
            continue;
        }
        const Real* from = x + item * size;
        const Real* stored = cache + c * slots * size;
        const int filled = min((int)counts[c], slots);
        Real total = 0;  // a slot is among the k smallest when fewer than k come before it
        if (filled <= WARP) {
            Real own = 0;
            stored_distances(from, stored, size, filled, [&own, lane](int slot, Real d) {
                if (slot == lane) own = d;
            });
            int smaller = 0;
            for (int other = 0; other < filled; ++other)
                smaller += comes_before(__shfl_sync(FULL_WARP, own, other), other, own, lane);
            if (lane < filled && smaller < k) total = own;
        } else {
            Real* own = all + pair * slots;
            stored_distances(from, stored, size, filled, [own, lane](int slot, Real d) {
                if (lane == 0) own[slot] = d;
            });
            __syncwarp();
            FOR_EACH_IN_WARP(slot, filled) {
                int smaller = 0;
                for (int other = 0; other < filled; ++other)
                    smaller += comes_before(own[other], other, own[slot], slot);
                if (smaller < k) total += own[slot];
            }
        }
        total = warp_sum(total);
        if (lane == 0) distances[pair] = total / Real(k);
        __syncwarp();
    }
}
