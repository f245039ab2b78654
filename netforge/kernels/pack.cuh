// Moving elements, 16 bytes at a time where all places allow it. Include common.cuh first.
#define LANES (16 / (int)sizeof(Real))

struct __align__(16) Pack { Real value[LANES]; };

// Whether an array that is seen as packs starts at one.
__device__ __forceinline__ bool is_packed(const Real* array) { return (size_t)array % sizeof(Pack) == 0; }

// to(i, from(i)) for i = 0 ... n - 1, AT_ONCE of them under way at once, spread over the whole grid. T: the elements,
// numbers or packs. Neighbours in i are neighbouring threads.
template <typename T, typename From, typename To>
__device__ __forceinline__ void move_each(int n, From from, To to) {
    const unsigned tile = AT_ONCE * blockDim.x;
    for (unsigned first = blockIdx.x * tile + threadIdx.x; first < (unsigned)n; first += gridDim.x * tile) {
        const Places p = places(first, blockDim.x, n);
        if (p.in[AT_ONCE - 1]) {
            T values[AT_ONCE];
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) values[k] = from(p.at[k]);
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) to(p.at[k], values[k]);
        } else {
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k)
                if (p.in[k]) to(p.at[k], from(p.at[k]));
        }
    }
}
// y[i] = from(i).
template <typename T, typename From> __device__ __forceinline__ void move_to(T* __restrict__ y, int n, From from) {
    move_each<T>(n, from, [y](unsigned i, const T& value) { y[i] = value; });
}
