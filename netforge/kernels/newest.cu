// The newest items of a stream, kept in a ring, and scores of classes by the nearest of them
// (netforge/device/operations/newest.py). A ring is (slots, size); cursor: the slot that is written next, and the
// number of slots that are filled.
#include "common.cuh"

#define NEVER Real(3.402823466e+38f)

// Writes the items of x into the slots from cursor[0] on, in order; of more than fit, the newest. Launch: one thread an
// element of x, n = items * size. Memory: x once in and once out, coalesced.
KERNEL(ring_store)(const Real* __restrict__ x, Real* ring, const Real* __restrict__ cursor, int n, int size,
                   int slots) {
    const unsigned first = (unsigned)cursor[0], items = n / size;
    FOR_EACH(i, n) {
        const unsigned item = i / size;
        if (item + slots >= items) ring[(first + item) % slots * size + i % size] = x[i];
    }
}

// Moves a cursor on, once all rings that share it have taken the items. Launch: one block.
KERNEL(ring_advance)(Real* cursor, int items, int slots) {
    if (threadIdx.x != 0) return;
    const unsigned next = (unsigned)cursor[0] + items, filled = (unsigned)cursor[1] + items;
    cursor[0] = Real(next % slots);
    cursor[1] = Real(filled < (unsigned)slots ? filled : (unsigned)slots);
}

// distances (items, slots) = squared distances to the stored items, of which cursor tells the number. Launch: one warp
// a distance. Memory: distances once; x and ring again and again from cache, coalesced along size.
KERNEL(stored_distances)(const Real* __restrict__ x, const Real* __restrict__ ring, const Real* __restrict__ cursor,
                         Real* __restrict__ distances, int items, int size, int slots) {
    const unsigned filled = (unsigned)cursor[1];
    FOR_EACH_WARP(pair, items * slots) {
        const unsigned item = pair / slots, slot = pair % slots;
        if (slot >= filled) continue;
        Real sum = 0;
        FOR_EACH_IN_WARP(i, size) {
            const Real d = x[item * size + i] - ring[slot * size + i];
            sum += d * d;
        }
        sum = warp_sum(sum);
        if (threadIdx.x % WARP == 0) distances[pair] = sum;
    }
}

#define CHUNK 256
struct Stored { Real distance, label; };

// chosen = 1 for slots whose distance is among the k smallest of their class: at ties those of the lower slots. The
// whole block calls this.
__device__ __forceinline__ void choose_nearest(const Real* __restrict__ distances, const Real* __restrict__ labels,
                                               Real* __restrict__ chosen, unsigned filled, int k) {
    __shared__ Stored others[CHUNK];
    for (unsigned start = 0; start < filled; start += blockDim.x) {
        const unsigned slot = start + threadIdx.x;
        const bool inside = slot < filled;
        const Real distance = inside ? distances[slot] : Real(0), label = inside ? labels[slot] : Real(-1);
        int before = 0;
        for (unsigned first = 0; first < filled; first += CHUNK) {
            const unsigned count = min(filled - first, CHUNK);
            __syncthreads();  // the chunk before has been used
            FOR_EACH_IN_BLOCK(i, count) others[i] = Stored{distances[first + i], labels[first + i]};
            __syncthreads();
#pragma unroll 4
            for (unsigned i = 0; i < count; ++i) {
                const Stored other = others[i];
                const bool nearer = other.distance < distance || (other.distance == distance && first + i < slot);
                before += other.label == label && nearer;
            }
        }
        if (inside) chosen[slot] = before < k ? Real(1) : Real(0);
    }
}

// Turns an item's distances (classes) into scores: scaled over the classes to [0, 1] and taken from 1; 0 for FLT_MAX, 1
// where all are equal. A whole warp calls this.
__device__ __forceinline__ void score(Real* own, int classes) {
    Real most = -NEVER, least = -NEVER;  // both as largest values: least of the negated distances
    FOR_EACH_IN_WARP(c, classes) {
        if (!(own[c] < NEVER)) continue;
        most = larger(own[c], most);
        least = larger(-own[c], least);
    }
    most = warp_max(most);
    least = -warp_max(least);
    const Real span = most - least;
    FOR_EACH_IN_WARP(c, classes) {
        const Real near = span > 0 ? Real(1) - (own[c] - least) / span : Real(1);
        own[c] = own[c] < NEVER ? near : Real(0);
    }
}

// scores (items, classes) from the means of the k smallest distances (items, slots) to the stored items of each class,
// or of all where there are fewer; 0 for a class without. chosen (items, slots): room to tell which count.
// Launch: one block an item. Memory: an item's distances and the labels again and again, in chunks of 256 from shared
// memory, and once for each class, from cache.
KERNEL(nearest_scores)(const Real* __restrict__ distances, const Real* __restrict__ labels,
                       const Real* __restrict__ cursor, Real* scores, Real* chosen, int items, int classes, int slots,
                       int k) {
    const unsigned filled = (unsigned)cursor[1];
    FOR_EACH_BLOCK(item, items) {
        const Real* own = distances + item * slots;
        Real* counts = chosen + item * slots;
        choose_nearest(own, labels, counts, filled, k);
        __syncthreads();
        for (int c = threadIdx.x / WARP; c < classes; c += blockDim.x / WARP) {
            Real total = 0, members = 0;
            FOR_EACH_IN_WARP(slot, filled) {
                const bool member = labels[slot] == Real(c) && counts[slot] != 0;
                total += member ? own[slot] : Real(0);
                members += member;
            }
            total = warp_sum(total);
            members = warp_sum(members);
            if (threadIdx.x % WARP == 0) scores[item * classes + c] = members > 0 ? total / members : NEVER;
        }
        __syncthreads();
        if (threadIdx.x < WARP) score(scores + item * classes, classes);
    }
}
