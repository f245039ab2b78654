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

// means (items, classes) = the mean of the k smallest squared distances to the stored items of each class, or of all
// where there are fewer; FLT_MAX for a class without. all (items, slots): room for every distance.
// Launch: one warp for an item and class. Memory: the ring once for each item, its labels once for each item and class,
// from cache; a pass over a class's distances for each of them.
KERNEL(nearest_means)(const Real* __restrict__ x, const Real* __restrict__ ring, const Real* __restrict__ labels,
                      const Real* __restrict__ cursor, Real* __restrict__ means, Real* all, int items, int size,
                      int classes, int slots, int k) {
    const int filled = (int)cursor[1];
    FOR_EACH_WARP(pair, items * classes) {
        const unsigned item = pair / classes, c = pair % classes;
        Real* own = all + item * slots;
        int members = 0;
        for (int slot = 0; slot < filled; ++slot) {
            if (labels[slot] != Real(c)) continue;
            Real sum = 0;
            FOR_EACH_IN_WARP(i, size) {
                const Real d = x[item * size + i] - ring[slot * size + i];
                sum += d * d;
            }
            sum = warp_sum(sum);
            if (threadIdx.x % WARP == 0) own[slot] = sum;
            ++members;
        }
        __syncwarp();
        Real total = 0;
        FOR_EACH_IN_WARP(slot, filled) {
            if (labels[slot] != Real(c)) continue;
            int smaller = 0;  // a slot is among the k smallest when fewer than k of its class come before it
            for (int other = 0; other < filled && smaller < k; ++other) {
                if (labels[other] != Real(c)) continue;
                smaller += own[other] < own[slot] || (own[other] == own[slot] && other < (int)slot);
            }
            if (smaller < k) total += own[slot];
        }
        total = warp_sum(total);
        if (threadIdx.x % WARP == 0) means[pair] = members ? total / Real(min(members, k)) : NEVER;
        __syncwarp();
    }
}

// Turns distances (items, classes) into scores: scaled over an item's classes to [0, 1] and taken from 1; 0 for FLT_MAX,
// 1 where all are equal. Launch: one warp an item. Memory: distances three times, from cache.
KERNEL(nearness)(Real* distances, int items, int classes) {
    FOR_EACH_WARP(item, items) {
        Real* own = distances + item * classes;
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
}
