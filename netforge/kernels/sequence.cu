// Caches of the newest items of each class, and draws from them (netforge/device/operations/sequence.py): x (items,
// size), labels (items), cache (classes, slots, size), counts (classes). A count below `slots` is the number of a
// class's items, from there on `slots` and the slot that is written next.
#include "common.cuh"
#include "pack.cuh"
#include "philox.cuh"

#define OTHER 0
#define SAME 1
#define ALTERNATING 2

__device__ __forceinline__ int items_of(Real count, int slots) { return min((int)count, slots); }

// A whole number in [0, limit) from 32 random bits; 0 where limit is not above 0.
__device__ __forceinline__ int draw_below(unsigned half, int limit) {
    return limit > 0 ? int((Word(half) * Word(limit)) >> 32) : 0;
}

// places = the slot that each item gets, -1 where a newer item of the batch takes it.
// Launch: one thread an item. Memory: the labels of the batch again and again, from cache.
KERNEL(sequence_places)(const Real* __restrict__ labels, const Real* __restrict__ counts, Real* __restrict__ places,
                        int items, int classes, int slots) {
    FOR_EACH(i, items) {
        const Real label = labels[i];
        int before = 0, after = 0;
        for (unsigned j = 0; j < (unsigned)items; ++j) {
            before += j < i && labels[j] == label;
            after += j > i && labels[j] == label;
        }
        const bool kept = after < slots && is_class(label, classes);
        places[i] = kept ? Real(((int)counts[(unsigned)label] + before) % slots) : Real(-1);
    }
}

template <typename T>
__device__ __forceinline__ void store(const T* __restrict__ x, const Real* __restrict__ labels,
                                      const Real* __restrict__ places, T* __restrict__ cache, int n, int size,
                                      int slots) {
    const Divisor columns(size);
    move_each<T>(n, [x](unsigned i) { return x[i]; }, [=](unsigned i, const T& value) {
        const unsigned item = columns.quotient(i);
        if (places[item] < 0) return;
        const unsigned slot = (unsigned)labels[item] * slots + (unsigned)places[item];
        cache[slot * size + i - item * size] = value;
    });
}

// Writes the items to their places. Launch: AT_ONCE elements a thread, n = items * size, 16 bytes at a time where
// places allow it. Memory: x once in and once out, coalesced along size.
KERNEL(sequence_store)(const Real* __restrict__ x, const Real* __restrict__ labels, const Real* __restrict__ places,
                       Real* __restrict__ cache, int n, int size, int slots) {
    if (size % LANES == 0 && is_packed(x) && is_packed(cache)) {
        store((const Pack*)x, labels, places, (Pack*)cache, n / LANES, size / LANES, slots);
    } else {
        store(x, labels, places, cache, n, size, slots);
    }
}

// Adds the batch's items to the counts. Launch: one warp a class. Memory: the labels once for each class, from cache.
KERNEL(sequence_count)(const Real* __restrict__ labels, Real* counts, int items, int classes, int slots) {
    FOR_EACH_WARP(c, classes) {
        int total = 0;
        FOR_EACH_IN_WARP(i, items) total += labels[i] == Real(c);
        total = warp_sum(total);
        if (threadIdx.x % WARP != 0) continue;
        total += (int)counts[c];
        counts[c] = Real(total < 2 * slots ? total : slots + total % slots);
    }
}

// Partner p of item i, for each of them: chosen (partners, items) = label * slots + slot, classes (items, 1 + partners)
// the classes of item and partners plus first_class. The first partner is of another class, of the SAME, or in turns;
// all others are of another one. first_missing[0] = min(it, index in classes of the first partner that there is none
// for).
// Launch: one thread a partner, n = items * partners. Memory: the counts once a thread, from cache.
KERNEL(sequence_choose)(const Real* __restrict__ labels, const Real* __restrict__ places,
                        const Real* __restrict__ counts, Real* __restrict__ chosen, Real* __restrict__ classes,
                        int* first_missing, const Word* __restrict__ position, int items, int partners, int class_count,
                        int slots, int first_class, int partner, Word seed, Word stream) {
    FOR_EACH(word, items * partners) {
        const unsigned item = word / partners, p = word % partners;
        if (!is_class(labels[item], class_count)) continue;
        const int own = (int)labels[item];
        const Word bits = philox(word / 4, position[0], seed, stream).word[word % 4];
        const bool same = p == 0 && (partner == SAME || (partner == ALTERNATING && item % 2 == 0));
        int label = own, excluded = slots, room = 0;
        bool missing;
        if (same) {
            const int place = (int)places[item];
            excluded = place < 0 ? slots : place;
            room = items_of(counts[own], slots) - (place >= 0);
            missing = room <= 0;
        } else {
            int others = -1;  // the class itself has items, and does not count
            for (int c = 0; c < class_count; ++c) others += counts[c] > 0;
            missing = others <= 0;
            int left = draw_below((unsigned)bits, others);
            for (int c = 0; c < class_count && !missing; ++c) {
                if (c == own || !(counts[c] > 0) || left-- > 0) continue;
                label = c;
                break;
            }
            room = items_of(counts[label], slots);
        }
        int slot = draw_below((unsigned)(bits >> 32), room);
        slot += slot >= excluded;
        const unsigned place = item * (1 + partners) + 1 + p;
        chosen[p * items + item] = Real(label * slots + (missing ? 0 : slot));
        classes[place] = Real(label + first_class);
        if (p == 0) classes[place - 1] = Real(own + first_class);
        if (missing) atomicMin(first_missing, (int)place);
    }
}
