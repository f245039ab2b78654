// The largest elements along an axis (netforge/device/operations/shape.py).
#include "common.cuh"

#define HELD 4  // elements that a lane can keep

// An element and where it stands. NaN comes after all numbers: as the lowest of them with an index below all others.
struct Element { Real value; int index; };

#define NAN_INDEX (1 << 30)
__device__ __forceinline__ Real minus_infinity() { return lowest() * 2; }
__device__ __forceinline__ Element nothing() { return {minus_infinity(), -2 * NAN_INDEX}; }
__device__ __forceinline__ Element element_of(Real value, int index) {
    const bool number = !is_nan(value);
    return {number ? value : minus_infinity(), number ? index : index - NAN_INDEX};
}

// The larger one comes first, of equals that with the larger index.
__device__ __forceinline__ bool comes_before(const Element& a, const Element& b) {
    return a.value > b.value || (a.value == b.value && a.index > b.index);
}
__device__ __forceinline__ Element first_of(const Element& a, const Element& b) { return comes_before(b, a) ? b : a; }

// Every lane gets the first of all lanes' elements. Values are compared first; most often one lane alone has the largest,
// and only indices of equal values have to be compared too.
__device__ __forceinline__ Element warp_first(const Element& own) {
    const Real most = warp_max(own.value);
    const bool equal = own.value == most;
    const unsigned winners = __ballot_sync(FULL_WARP, equal);
    if ((winners & (winners - 1)) == 0) return {most, __shfl_sync(FULL_WARP, own.index, __ffs(winners) - 1)};
    return {most, ~warp_min(equal ? ~own.index : 0x7fffffff)};  // ~ turns the order of all ints around
}

__device__ __forceinline__ void order(Element& a, Element& b) {
    const bool swap = comes_before(b, a);
    const Element first = swap ? b : a;
    b = swap ? a : b;
    a = first;
}

// Few enough scores for the lanes to keep them: each lane puts its own in order and gives the first away when it wins.
struct HeldScores {
    Element own[HELD];
    __device__ __forceinline__ HeldScores(const Real* __restrict__ scores, int classes, int inner) {
#pragma unroll
        for (int i = 0; i < HELD; ++i) {
            const int c = threadIdx.x % WARP + i * WARP;
            const Real score = scores[min(c, classes - 1) * inner];
            own[i] = c < classes ? element_of(score, c) : nothing();
        }
        order(own[0], own[1]);
        order(own[2], own[3]);
        order(own[0], own[2]);
        order(own[1], own[3]);
        order(own[1], own[2]);
    }
    __device__ __forceinline__ Element next() {
        const Element best = warp_first(own[0]);
        if (best.index == own[0].index) {
#pragma unroll
            for (int i = 1; i < HELD; ++i) own[i - 1] = own[i];
            own[HELD - 1] = nothing();
        }
        return best;
    }
};

// Any number of scores, which are read again for each that is wanted.
struct ReadScores {
    const Real* __restrict__ scores;
    int classes, inner;
    Element last;
    __device__ __forceinline__ ReadScores(const Real* __restrict__ scores, int classes, int inner)
        : scores(scores), classes(classes), inner(inner), last{-minus_infinity(), 2 * (NAN_INDEX - 1)} {}
    __device__ __forceinline__ Element next() {
        Element best = nothing();
        FOR_EACH_IN_WARP(c, classes) {
            const Element own = element_of(scores[c * inner], c);
            if (comes_before(last, own)) best = first_of(best, own);
        }
        return last = warp_first(best);
    }
};

template <typename Scores>
__device__ __forceinline__ void write_first(const Real* __restrict__ x, Real* __restrict__ indices,
                                            Real* __restrict__ values, int outer, int classes, int inner, int k) {
    const int lane = threadIdx.x % WARP;
    FOR_EACH_WARP(position, outer * inner) {
        const unsigned o = position / inner, p = position % inner;
        const Real* scores = x + o * classes * inner + p;
        Scores left(scores, classes, inner);
        int kept = 0;  // a lane keeps every 32nd index, so that they are written together
        for (int round = 0; round < k; ++round) {
            const int found = left.next().index;
            if (round % WARP == lane) kept = found < 0 ? found + NAN_INDEX : found;
            if (round % WARP != WARP - 1 && round != k - 1) continue;
            const int rank = round - round % WARP + lane;
            if (rank > round) continue;
            const unsigned place = (o * k + rank) * inner + p;
            indices[place] = Real(kept);
            values[place] = scores[kept * inner];
        }
    }
}

// The k first elements along axis 1 of x (outer, classes, inner), the larger one first, of equals the larger index, NaN
// after all numbers: indices, values (outer, k, inner).
// Launch: one warp for each of the outer * inner positions. Memory: x once where a warp's lanes can keep the classes,
// else k times, mostly from cache; coalesced where inner is 1.
KERNEL(top_k)(const Real* __restrict__ x, Real* __restrict__ indices, Real* __restrict__ values, int outer, int classes,
              int inner, int k) {
    if (classes <= HELD * WARP) write_first<HeldScores>(x, indices, values, outer, classes, inner, k);
    else write_first<ReadScores>(x, indices, values, outer, classes, inner, k);
}
