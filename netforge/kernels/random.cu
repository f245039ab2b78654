// Counter-based random numbers (netforge/device/random.py).
//
// Launch: one thread for eight elements, which are the eight 32-bit halves of one Philox block, low half first; any
// grid. Memory: the output once; 16 bytes a store where the array allows it. position: in device memory, so that a
// captured launch draws new numbers each time; the key (seed, stream) never changes.
#include "common.cuh"
#include "philox.cuh"

#define HALVES 8
#define LANES (16 / sizeof(Real))

struct __align__(16) Pack { Real value[LANES]; };

// The number k in [0, 2^24) of half `half` of a block.
__device__ __forceinline__ int upper_bits(const Block& block, int half) {
    return int((half % 2 ? block.word[half / 2] >> 40 : block.word[half / 2] >> 8) & 0xFFFFFF);
}

// Writes the eight values of a block to their places among n.
__device__ __forceinline__ void write_block(Real* out, unsigned first, int n, const Real* values) {
    Real* place = out + first;
    if (first + HALVES <= (unsigned)n && (size_t)place % sizeof(Pack) == 0) {
#pragma unroll
        for (int i = 0; i < HALVES; i += LANES) {
            Pack pack;
#pragma unroll
            for (int j = 0; j < LANES; ++j) pack.value[j] = values[i + j];
            *reinterpret_cast<Pack*>(place + i) = pack;
        }
    } else {
#pragma unroll
        for (int i = 0; i < HALVES; ++i)
            if (first + i < (unsigned)n) place[i] = values[i];
    }
}

// out = k 2^-24, in [0, 1).
KERNEL(uniform)(Real* __restrict__ out, const Word* __restrict__ position, int n, Word seed, Word stream) {
    FOR_EACH(b, (unsigned(n) + HALVES - 1) / HALVES) {
        const Block block = philox(b, position[0], seed, stream);
        Real values[HALVES];
#pragma unroll
        for (int i = 0; i < HALVES; ++i) values[i] = Real(upper_bits(block, i)) * Real(1.0 / 16777216.0);
        write_block(out, b * HALVES, n, values);
    }
}

// mask = value where k < threshold, else 0; for a share `keep` that is kept: threshold = ceil(keep 2^24), value = 1 /
// keep.
KERNEL(bernoulli)(Real* __restrict__ mask, const Word* __restrict__ position, int n, Word seed, Word stream,
                  int threshold, Real value) {
    FOR_EACH(b, (unsigned(n) + HALVES - 1) / HALVES) {
        const Block block = philox(b, position[0], seed, stream);
        Real values[HALVES];
#pragma unroll
        for (int i = 0; i < HALVES; ++i) values[i] = upper_bits(block, i) < threshold ? value : Real(0);
        write_block(mask, b * HALVES, n, values);
    }
}

// position += 1, after the last draw of an iteration. Launch: one block.
KERNEL(advance)(Word* position) {
    if (threadIdx.x == 0) position[0] += 1;
}
