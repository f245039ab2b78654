// Philox4x64-10 of Salmon et al., SC 2011, the same bits as NumPy's: block number `counter` of draw `position` of a
// stream, as netforge/device/random.py counts them. Include common.cuh first.
struct Block { Word word[4]; };

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
