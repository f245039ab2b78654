// Right kernels, and kernels with one mistake each that the stand-in has to find.
extern "C" __global__ void reverse_block(float* out) {
    __shared__ float s[64];
    s[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = s[63 - threadIdx.x];
}
extern "C" __global__ void missing_barrier(float* out) {
    __shared__ float s[64];
    s[threadIdx.x] = threadIdx.x;
    out[threadIdx.x] = s[63 - threadIdx.x];
}
extern "C" __global__ void divergent_barrier(float* x) {
    if (threadIdx.x < 16) __syncthreads();
    else { x[0] = 1; __syncthreads(); }
}
extern "C" __global__ void barrier_after_return(float* x) {
    if (threadIdx.x == 3) return;
    __syncthreads();
    x[0] = 1;
}
extern "C" __global__ void waits_for_a_waiting_lane(float* x) {
    if (threadIdx.x == 0) x[0] = __shfl_sync(0xffffffffu, 1.f, 1);
    else __syncthreads();
}
extern "C" __global__ void lane_outside_its_mask(int* x) { x[threadIdx.x] = __shfl_sync(1u, 1, 0); }
extern "C" __global__ void shuffles_from_an_absent_lane(float* x) {
    x[threadIdx.x] = __shfl_down_sync((1u << blockDim.x) - 1, 1.f, 2);
}
extern "C" __global__ void past_the_end(float* x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= n) x[i] = 1;
}
extern "C" __global__ void past_dynamic_shared(float* x) {
    extern __shared__ float s[];
    s[threadIdx.x + 1] = 1;
    __syncthreads();
    x[threadIdx.x] = s[threadIdx.x];
}
extern "C" __global__ void past_static_shared(int* x) {
    __shared__ int s[8];
    s[threadIdx.x] = 1;
    __syncthreads();
    x[0] = s[threadIdx.x];
}
extern "C" __global__ void overflow(int* x, int n) { x[0] = 2147483647 + n; }
extern "C" __global__ void plain_sum(float* x) { x[0] += 1; }
extern "C" __global__ void atomic_sum(float* x) { atomicAdd(x, 1.f); }

// What warps and blocks can do, for comparison with the same in NumPy.
extern "C" __global__ void vote(const int* x, unsigned* ballots, int* counts) {
    const unsigned yes = __ballot_sync(0xffffffffu, x[threadIdx.x] > 0);
    const int all = __syncthreads_count(x[threadIdx.x] > 0), any = __syncthreads_or(x[threadIdx.x] > 0);
    if (threadIdx.x % 32 == 0) ballots[threadIdx.x / 32] = yes;
    if (threadIdx.x == 0) {
        counts[0] = all;
        counts[1] = any;
    }
}
extern "C" __global__ void neighbours(const double* x, double* up, double* swapped) {
    up[threadIdx.x] = __shfl_up_sync(0xffffffffu, x[threadIdx.x], 1);
    swapped[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
}
extern "C" __global__ void half_warps(int* out) {
    const unsigned mask = threadIdx.x < 16 ? 0xffffu : 0xffff0000u;
    int sum = threadIdx.x;
    for (int lanes = 8; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(mask, sum, lanes, 16);
    out[threadIdx.x] = sum;
}
extern "C" __global__ void places(int* out) {
    const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    const int i = block * (blockDim.x * blockDim.y * blockDim.z) + thread;
    out[i] = i;
}
extern "C" __global__ void scaled(const float* x, float* y, float factor, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) y[i] = factor * x[i];
}
