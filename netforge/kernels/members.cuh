// The items of a batch that belong to one class. Include common.cuh first.
#define LISTED 1024  // as many as the largest block has threads

// use(list, count, before) for the items of class c in their order: `count` at a time, after `before` others. The whole
// block calls this, and calls `use` together. Memory: the labels once.
template <typename Use>
__device__ __forceinline__ void for_members(const Real* __restrict__ labels, int items, int columns, unsigned c,
                                            Use use) {
    __shared__ int list[LISTED], found[WARP];
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    int count = 0, before = 0;
    for (unsigned start = 0; start < (unsigned)items; start += blockDim.x) {
        const unsigned item = start + threadIdx.x;
        const bool member = item < (unsigned)items && labels[item * columns] == Real(c);
        const unsigned members = __ballot_sync(FULL_WARP, member);
        if (lane == 0) found[warp] = __popc(members);
        __syncthreads();
        int place = count + __popc(members & ((1u << lane) - 1));
        for (unsigned w = 0; w < warps; ++w) {
            count += found[w];
            place += w < warp ? found[w] : 0;
        }
        if (member) list[place] = item;
        __syncthreads();  // the list is there, and what each warp has found may be overwritten
        if (count + blockDim.x <= LISTED && start + blockDim.x < (unsigned)items) continue;
        use(list, count, before);
        __syncthreads();  // the list may be overwritten
        before += count;
        count = 0;
    }
}
