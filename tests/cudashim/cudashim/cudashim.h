// The kernel's side of the stand-in for CUDA: put before a kernel's text, it makes that text C++17 for a CPU.
// Kept light, because it is parsed for every module. The other side is runtime.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <math.h>
#include <type_traits>
#include <utility>

// ---- the runtime's interface ----------------------------------------------------------------------------------------
struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct cudashim_launch { unsigned grid[3], block[3]; size_t shared_bytes; int order; unsigned seed; };
enum cudashim_vote { CUDASHIM_COUNT, CUDASHIM_AND, CUDASHIM_OR };
extern "C" {
extern uint3 cudashim_thread_index, cudashim_block_index;
extern dim3 cudashim_block_size, cudashim_grid_size;
int cudashim_run(const cudashim_launch* launch, void (*call)(void*), void* kernel);
int cudashim_barrier(int line, int site, int predicate, int vote);
void* cudashim_dynamic_shared();
void cudashim_exchange(unsigned mask, const void* value, void* out, size_t size, int source, const char* operation);
unsigned cudashim_ballot(unsigned mask, int predicate, const char* operation);
unsigned cudashim_lane();
unsigned cudashim_active_mask();
}

// ---- language -------------------------------------------------------------------------------------------------------
#define threadIdx cudashim_thread_index
#define blockIdx cudashim_block_index
#define blockDim cudashim_block_size
#define gridDim cudashim_grid_size
static constexpr int warpSize = 32;
#define __global__
#define __device__
#define __host__
#define __constant__
#define __shared__ static  // one block runs at a time
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__ __restrict

// ---- barriers and warps ---------------------------------------------------------------------------------------------
// __COUNTER__ tells two barriers of one line apart.
#define __syncthreads() ((void)cudashim_barrier(__LINE__, __COUNTER__, 0, CUDASHIM_COUNT))
#define __syncthreads_count(p) cudashim_barrier(__LINE__, __COUNTER__, (p) != 0, CUDASHIM_COUNT)
#define __syncthreads_and(p) cudashim_barrier(__LINE__, __COUNTER__, (p) != 0, CUDASHIM_AND)
#define __syncthreads_or(p) cudashim_barrier(__LINE__, __COUNTER__, (p) != 0, CUDASHIM_OR)
inline void __syncwarp(unsigned mask = 0xffffffffu) { cudashim_exchange(mask, nullptr, nullptr, 0, -1, "__syncwarp"); }
inline unsigned __activemask() { return cudashim_active_mask(); }
inline unsigned __ballot_sync(unsigned mask, int p) { return cudashim_ballot(mask, p != 0, "__ballot_sync"); }
inline int __any_sync(unsigned mask, int p) { return cudashim_ballot(mask, p != 0, "__any_sync") != 0; }
inline int __all_sync(unsigned mask, int p) { return cudashim_ballot(mask, p == 0, "__all_sync") == 0; }
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace cudashim {
template <class T> T exchange(unsigned mask, T value, int source, const char* operation) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "CUDA shuffles types of 4 and 8 bytes");
    T out = value;
    cudashim_exchange(mask, &value, &out, sizeof(T), source, operation);
    return out;
}
}
template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    int lane = (int)cudashim_lane();
    return cudashim::exchange(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), "__shfl_sync");
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    int lane = (int)cudashim_lane(), source = lane - (int)delta;
    return cudashim::exchange(mask, value, source < (lane & ~(width - 1)) ? lane : source, "__shfl_up_sync");
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    int lane = (int)cudashim_lane(), source = lane + (int)delta;
    return cudashim::exchange(mask, value, source > (lane | (width - 1)) ? lane : source, "__shfl_down_sync");
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    int lane = (int)cudashim_lane(), source = lane ^ bits;
    return cudashim::exchange(mask, value, source > (lane | (width - 1)) ? lane : source, "__shfl_xor_sync");
}

// ---- atomics: real ones, so that ThreadSanitizer can tell them from plain writes ------------------------------------
namespace cudashim {
template <class T> struct Same { using type = T; };
template <class T> using Plain = typename Same<T>::type;  // no deduction: atomicAdd(float*, 1) is allowed
template <class T, class Change> T atomic(T* place, Change change) {
    using Bits = typename std::conditional<sizeof(T) == 8, uint64_t, uint32_t>::type;
    Bits* bits = reinterpret_cast<Bits*>(place);
    Bits before = __atomic_load_n(bits, __ATOMIC_RELAXED), after;
    T old, changed;
    do {
        memcpy(&old, &before, sizeof old);
        changed = change(old);
        memcpy(&after, &changed, sizeof after);
    } while (!__atomic_compare_exchange_n(bits, &before, after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
}
#define CUDASHIM_ATOMIC(name, expression) \
    template <class T> T name(T* place, cudashim::Plain<T> v) { \
        return cudashim::atomic(place, [v](T a) { return T(expression); }); \
    }
CUDASHIM_ATOMIC(atomicAdd, a + v)
CUDASHIM_ATOMIC(atomicSub, a - v)
CUDASHIM_ATOMIC(atomicMax, a > v ? a : v)
CUDASHIM_ATOMIC(atomicMin, a < v ? a : v)
CUDASHIM_ATOMIC(atomicExch, ((void)a, v))
CUDASHIM_ATOMIC(atomicAnd, a & v)
CUDASHIM_ATOMIC(atomicOr, a | v)
CUDASHIM_ATOMIC(atomicXor, a ^ v)
template <class T> T atomicCAS(T* place, cudashim::Plain<T> expected, cudashim::Plain<T> v) {
    return cudashim::atomic(place, [expected, v](T a) { return a == expected ? v : a; });
}

// ---- device functions that <math.h> lacks ---------------------------------------------------------------------------
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline float rsqrt(float x) { return 1.f / sqrtf(x); }
inline double rsqrt(double x) { return 1. / sqrt(x); }
template <class T> T __ldg(const T* place) { return *place; }
inline int __float_as_int(float x) { int bits; memcpy(&bits, &x, 4); return bits; }
inline float __int_as_float(int bits) { float x; memcpy(&x, &bits, 4); return x; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((uint64_t)a * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
template <class A, class B> typename std::common_type<A, B>::type min(A a, B b) { return a < b ? a : b; }
template <class A, class B> typename std::common_type<A, B>::type max(A a, B b) { return a > b ? a : b; }

// ---- launching: argument types come from the kernel's own signature -------------------------------------------------
namespace cudashim {
// "f4": a 4-byte float; i, u: signed, unsigned; x: anything else; P: pointer to, C: pointer to const.
template <class T> struct Code {
    static void write(char*& out) {
        const char integer = std::is_signed<T>::value ? 'i' : 'u';
        *out++ = std::is_floating_point<T>::value ? 'f' : std::is_integral<T>::value ? integer : 'x';
        out += sprintf(out, "%zu", sizeof(T));
    }
};
template <class T> struct Code<T*> {
    static void write(char*& out) {
        *out++ = std::is_const<T>::value ? 'C' : 'P';
        Code<typename std::remove_cv<T>::type>::write(out);
    }
};
template <class... A> struct Bound {
    void (*kernel)(A...);
    void** arguments;
    template <size_t... I> void call(std::index_sequence<I...>) {
        kernel(*static_cast<typename std::decay<A>::type*>(arguments[I])...);
    }
    static void start(void* self) { static_cast<Bound*>(self)->call(std::index_sequence_for<A...>()); }
};
template <class... A> int run(void (*kernel)(A...), const cudashim_launch* launch, void** arguments) {
    Bound<A...> bound{kernel, arguments};
    return cudashim_run(launch, &Bound<A...>::start, &bound);
}
template <class... A> void write_signature(void (*)(A...), char* out) {
    ((Code<typename std::decay<A>::type>::write(out), *out++ = ','), ...);
    *out = 0;
}
}
#define CUDASHIM_EXPORT(name) \
    extern "C" int cudashim_run_##name(const cudashim_launch* launch, void** arguments) { \
        return cudashim::run(&name, launch, arguments); \
    } \
    extern "C" void cudashim_signature_##name(char* out) { cudashim::write_signature(&name, out); }
