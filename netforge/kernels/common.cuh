// What all kernels share. The loader (netforge/device/kernel_source.py) puts this text where it is included, behind
//   typedef float Real;                                             (or double)
//   #define KERNEL(name) extern "C" __global__ void name##_f32      (or _f64)
// so that each family is compiled once for a floating type, and no kernel of the float module computes in double.
//
// How every kernel is launched: blocks of whole warps, 32 to 1024 threads along x, and any grid along x (and y where a
// kernel says so); loops stride over the grid. Sizes are ints: no array holds 2^31 elements or more. Where a result is
// a sum, its order depends on the launch's shape and on nothing else, so that equal launches give equal bits.
typedef unsigned long long Word;

#define FULL_WARP 0xffffffffu
#define WARP 32

// Runs the statement behind it for i = 0 ... n - 1, spread over the whole grid; neighbours in i are neighbouring
// threads. (Unsigned: n is below 2^31 and so is the stride, so the last step cannot wrap around.)
#define FOR_EACH(i, n) \
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (unsigned)(n); i += gridDim.x * blockDim.x)

// The same for a block's own threads, and for whole warps of the grid.
#define FOR_EACH_IN_BLOCK(i, n) for (unsigned i = threadIdx.x; i < (unsigned)(n); i += blockDim.x)
#define FOR_EACH_IN_WARP(i, n) for (unsigned i = threadIdx.x % WARP; i < (unsigned)(n); i += WARP)
#define FOR_EACH_WARP(i, n) \
    for (unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) / WARP; i < (unsigned)(n); \
         i += gridDim.x * blockDim.x / WARP)
#define FOR_EACH_BLOCK(i, n) for (unsigned i = blockIdx.x; i < (unsigned)(n); i += gridDim.x)

__device__ __forceinline__ Real lowest() {
    return sizeof(Real) == sizeof(float) ? Real(-3.402823466e+38f) : Real(-1.7976931348623157e+308);
}
__device__ __forceinline__ bool is_nan(Real x) { return x != x; }
// Whether a label may serve as an index: one that may not is reported by check_labels and must read or write nothing.
__device__ __forceinline__ bool is_class(Real label, int classes) { return label >= 0 && label < Real(classes); }
__device__ __forceinline__ Real larger(Real a, Real b) { return a > b ? a : b; }

// What stands behind a normalised value: a factor and a bias of its channel, each where given, and a ReLU, whose slope
// below 0 is 1 where there is none. Passing forward and back, the same numbers give the same bits: fma says how they are
// rounded.
__device__ __forceinline__ Real scaled(Real value, const Real* factor, const Real* bias, unsigned channel) {
    const Real by = factor ? factor[channel] : Real(1);
    return bias ? fma(value, by, bias[channel]) : value * by;
}
// A slope of 0 turns neither minus infinity into NaN, nor NaN into 0.
__device__ __forceinline__ Real rectified(Real v, Real slope) {
    return v > 0 ? v : slope != 0 || is_nan(v) ? slope * v : Real(0);
}
__device__ __forceinline__ Real rectified_slope(Real d, Real v, Real slope) { return d * (v > 0 ? Real(1) : slope); }

// ---- several elements a thread --------------------------------------------------------------------------------------
// Memory answers after some hundred cycles, and a GPU is busy only while enough of it has been asked for: one number a
// thread is too little where a kernel reads one array. So a thread asks for AT_ONCE numbers before it uses the first.
#define AT_ONCE 4

// AT_ONCE places of an array, and which of them exist: the last one only where all do. And what lies there.
struct Places {
    unsigned at[AT_ONCE];
    bool in[AT_ONCE];
};
template <typename T> struct Loaded { T at[AT_ONCE]; };

// Places first, first + step ... below n.
__device__ __forceinline__ Places places(unsigned first, unsigned step, unsigned n) {
    Places p;
#pragma unroll
    for (int k = 0; k < AT_ONCE; ++k) {
        p.at[k] = first + k * step;
        p.in[k] = p.at[k] < n;
    }
    return p;
}
template <bool ALL, typename T> __device__ __forceinline__ Loaded<T> load(const T* x, const Places& p) {
    Loaded<T> values;
#pragma unroll
    for (int k = 0; k < AT_ONCE; ++k) values.at[k] = ALL || p.in[k] ? x[p.at[k]] : T(0);
    return values;
}
template <bool ALL, typename Body, typename... T>
__device__ __forceinline__ void use(Body& body, const Places& p, const Loaded<T>&... values) {
#pragma unroll
    for (int k = 0; k < AT_ONCE; ++k)
        if (ALL || p.in[k]) body(p.at[k], values.at[k]...);
}
// body(i, x[i]...) for each place i that exists.
template <typename Body, typename... T>
__device__ __forceinline__ void take(Body& body, const Places& p, const T*... x) {
    if (p.in[AT_ONCE - 1]) use<true>(body, p, load<true>(x, p)...);
    else use<false>(body, p, load<false>(x, p)...);
}

// body(i, x[i]...) for i = 0 ... n - 1, spread over the whole grid, over a block's own threads, or over the lanes of a
// warp. body may write to place i of the arrays that are read. Neighbours in i are neighbouring threads.
template <typename Body, typename... T>
__device__ __forceinline__ void for_each_of(int n, Body body, const T*... x) {
    const unsigned tile = AT_ONCE * blockDim.x;
    for (unsigned i = blockIdx.x * tile + threadIdx.x; i < (unsigned)n; i += gridDim.x * tile) {
        take(body, places(i, blockDim.x, n), x...);
    }
}
template <typename Body, typename... T>
__device__ __forceinline__ void for_each_of_block(int n, Body body, const T*... x) {
    for (unsigned i = threadIdx.x; i < (unsigned)n; i += AT_ONCE * blockDim.x) {
        take(body, places(i, blockDim.x, n), x...);
    }
}
template <typename Body, typename... T>
__device__ __forceinline__ void for_each_of_warp(int n, Body body, const T*... x) {
    for (unsigned i = threadIdx.x % WARP; i < (unsigned)n; i += AT_ONCE * WARP) {
        take(body, places(i, WARP, n), x...);
    }
}

// Division of numbers below 2^31 by one that stays the same, without dividing: a multiplication gives the quotient or
// one less, as floor((2^32 - 1) / by) is less than 1 + 1 / by below 2^32 / by.
struct Divisor {
    unsigned by, inverse;
    __device__ __forceinline__ explicit Divisor(int value) : by(max(value, 1)), inverse(0xffffffffu / by) {}
    __device__ __forceinline__ unsigned quotient(unsigned n) const {
        const unsigned least = __umulhi(n, inverse);
        return least + (n - least * by >= by);
    }
    __device__ __forceinline__ unsigned remainder(unsigned n) const { return n - quotient(n) * by; }
};

// The channel of an element of an array (outer, channels, inner).
struct ChannelOf {
    Divisor inner, channels;
    __device__ __forceinline__ ChannelOf(int channels, int inner) : inner(inner), channels(channels) {}
    __device__ __forceinline__ unsigned operator()(unsigned i) const { return channels.remainder(inner.quotient(i)); }
};

// ---- reductions; every lane or thread gets the result ---------------------------------------------------------------
template <typename T> __device__ __forceinline__ T warp_sum(T value) {
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) value += __shfl_xor_sync(FULL_WARP, value, lanes);
    return value;
}
__device__ __forceinline__ Real warp_max(Real value) {
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) value = larger(value, __shfl_xor_sync(FULL_WARP, value, lanes));
    return value;
}
__device__ __forceinline__ int warp_min(int value) {
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
        const int other = __shfl_xor_sync(FULL_WARP, value, lanes);
        value = other < value ? other : value;
    }
    return value;
}
// All threads of the block call this together.
template <typename T> __device__ __forceinline__ T block_sum(T value) {
    __shared__ T parts[WARP];
    const int lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    value = warp_sum(value);
    __syncthreads();  // the parts of the call before may still be being read
    if (lane == 0) parts[threadIdx.x / WARP] = value;
    __syncthreads();
    return warp_sum(lane < warps ? parts[lane] : T(0));
}
__device__ __forceinline__ Real block_max(Real value) {
    __shared__ Real parts[WARP];
    const int lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    value = warp_max(value);
    __syncthreads();
    if (lane == 0) parts[threadIdx.x / WARP] = value;
    __syncthreads();
    return warp_max(parts[lane < warps ? lane : 0]);
}

// The end of a sum over the whole grid. A launch of one block leaves out = total * factor / divisor[0]; a larger one
// leaves each block's total in parts (gridDim.x numbers) and wants `sum_parts` after it. divisor: null stands for 1.
__device__ __forceinline__ void finish_sum(Real total, Real* out, Real* parts, Real factor, const Real* divisor) {
    if (threadIdx.x != 0) return;
    if (gridDim.x > 1) parts[blockIdx.x] = total;
    else out[0] = total * factor / (divisor ? divisor[0] : Real(1));
}
