// Counter-based random numbers (netforge/device/random.py).
//
// Launch: one thread for eight elements, which are the eight 32-bit halves of one Philox block, low half first; any
// grid. Memory: the output once; where the array allows it neighbours write 32 bytes side by side, 16 each, so
// that no part of a sector goes out alone. position: in device memory, so that a captured launch draws new numbers each
// time; the key (seed, stream) never changes.
#include "common.cuh"
#include "pack.cuh"
#include "philox.cuh"

#define HALVES 8
#define TILE (WARP * HALVES)

// Half `half` of a block.
__device__ __forceinline__ unsigned half_of(const Block& block, int half) {
    return half % 2 ? block.word[half / 2] >> 32 : block.word[half / 2];
}

// Writes four values to a place at 16 bytes.
__device__ __forceinline__ void write_packs(Real* place, const Real* values) {
#pragma unroll
    for (int i = 0; i < HALVES / 2; i += LANES) {
        Pack pack;
#pragma unroll
        for (int j = 0; j < LANES; ++j) pack.value[j] = values[i + j];
        *reinterpret_cast<Pack*>(place + i) = pack;
    }
}

// Writes the eight values of each lane's block to their places among n; the whole warp calls this. A lane and its
// neighbour swap halves, and then write the block of the first of them together, and that of the second.
__device__ __forceinline__ void write_tile(Real* out, unsigned tile, int n, const Real* values) {
    const unsigned lane = threadIdx.x % WARP, first = tile * TILE + lane * HALVES;
    if (tile * TILE + TILE <= (unsigned)n && is_packed(out)) {
        const bool second = lane % 2;
        Real mine[HALVES / 2], given[HALVES / 2];
#pragma unroll
        for (int i = 0; i < HALVES / 2; ++i) {
            mine[i] = second ? values[i + HALVES / 2] : values[i];
            given[i] = __shfl_xor_sync(FULL_WARP, second ? values[i] : values[i + HALVES / 2], 1);
        }
        Real* place = out + tile * TILE + (lane - second) * HALVES + second * HALVES / 2;
        write_packs(place, second ? given : mine);
        write_packs(place + HALVES, second ? mine : given);
    } else {
#pragma unroll
        for (int i = 0; i < HALVES; ++i)
            if (first + i < (unsigned)n) out[first + i] = values[i];
    }
}

// Draws all of out, value(half) for each half of a block.
template <typename Value>
__device__ __forceinline__ void draw(Real* __restrict__ out, const Word* __restrict__ position, int n, Word seed,
                                     Word stream, Value value) {
    const Word place = position[0];
    FOR_EACH_WARP(tile, (unsigned(n) + TILE - 1) / TILE) {
        const Block block = philox(tile * WARP + threadIdx.x % WARP, place, seed, stream);
        Real values[HALVES];
#pragma unroll
        for (int i = 0; i < HALVES; ++i) values[i] = value(half_of(block, i));
        write_tile(out, tile, n, values);
    }
}

// out = k 2^-24, in [0, 1), of the upper 24 bits k of each half.
KERNEL(uniform)(Real* __restrict__ out, const Word* __restrict__ position, int n, Word seed, Word stream) {
    draw(out, position, n, seed, stream,
         [](unsigned half) { return Real(int(half >> 8)) * Real(1.0 / 16777216.0); });
}

// mask = value where k < threshold, else 0; for a share `keep` that is kept: threshold = ceil(keep 2^24), value = 1 /
// keep.
KERNEL(bernoulli)(Real* __restrict__ mask, const Word* __restrict__ position, int n, Word seed, Word stream,
                  int threshold, Real value) {
    draw(mask, position, n, seed, stream,
         [threshold, value](unsigned half) { return int(half >> 8) < threshold ? value : Real(0); });
}

// position += 1, after the last draw of an iteration. Launch: one block.
KERNEL(advance)(Word* position) {
    if (threadIdx.x == 0) position[0] += 1;
}
