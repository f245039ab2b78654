// Counter-based random numbers (netforge/device/random.py): Philox4x64-10 of Salmon et al., SC 2011, the same bits as
// NumPy's.
//
// Launch: one thread for eight elements, which are the eight 32-bit halves of one Philox block, low half first; any
// grid. Memory: the output once; 16 bytes a store where the array allows it. position: in device memory, so that a
// captured launch draws new numbers each time; the key (seed, stream) never changes.
#include "common.cuh"

#define HALVES 8
#define LANES (16 / sizeof(Real))

struct Block { Word word[4]; };
struct __align__(16) Pack { Real value[LANES]; };

__device__ __forceinline__ Block philox(Word counter, Word position, Word seed, Word stream) {
    Word c0 = counter, c1 = 0, c2 = position, c3 = 0;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const Word low0 = c0 * 0xD2E7470EE14C6C93ull, high0 = __umul64hi(c0, 0xD2E7470EE14C6C93ull);
        const Word low2 = c2 * 0xCA5A826395121157ull, high2 = __umul64hi(c2, 0xCA5A826395121157ull);
        c0 = high2 ^ c1 ^ seed;
        c2 = high0 ^ c3 ^ stream;
        c1 = low2;
        c3 = low0;
        seed += 0x9E3779B97F4A7C15ull;
        stream += 0xBB67AE8584CAA73Bull;
    }
    Block block = {{c0, c1, c2, c3}};
    return block;
}

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
