// Windows as columns and back (netforge/device/operations/convolution.py), for one to three spatial axes: axes that an
// image lacks have size, kernel, stride and dilation 1 and pad 0. The way of convolution where cuDNN is absent, and its
// oracle.
//
// x (items, channels, d, h, w); columns (items, channels * kernel_d * kernel_h * kernel_w, out_d, out_h, out_w).
#include "common.cuh"
#include "planes.cuh"

// How windows lie over an image. Made of constants its kernel unrolls the loops over a window.
struct Axes { int d, h, w; };
struct Windows { Axes image, kernel, out, stride, pad, dilation; };

// A square window of 3 * 3 pixels of an image with two axes, as most nets have them.
__device__ __forceinline__ bool is_usual(const Windows& g) {
    return g.image.d == 1 && g.out.d == 1 && g.kernel.d == 1 && g.kernel.h == 3 && g.kernel.w == 3;
}
__device__ __forceinline__ Windows usual(const Windows& g) {
    return {
        {1, g.image.h, g.image.w}, {1, 3, 3},
        {1, g.out.h, g.out.w},     {1, g.stride.h, g.stride.w},
        {0, g.pad.h, g.pad.w},     {1, g.dilation.h, g.dilation.w},
    };
}
// Such windows side by side.
__device__ __forceinline__ bool is_dense(const Windows& g) {
    return is_usual(g) && g.stride.h == 1 && g.stride.w == 1 && g.dilation.h == 1 && g.dilation.w == 1;
}
__device__ __forceinline__ Windows dense(const Windows& g) {
    return {
        {1, g.image.h, g.image.w}, {1, 3, 3}, {1, g.out.h, g.out.w}, {1, 1, 1}, {0, g.pad.h, g.pad.w}, {1, 1, 1},
    };
}

__device__ __forceinline__ void windows_to_columns(const Real* __restrict__ x, Real* __restrict__ columns, int n,
                                                   const Windows& g) {
    const unsigned area = g.out.h * g.out.w, positions = g.out.d * area, kernel = g.kernel.d * g.kernel.h * g.kernel.w;
    const Planes place(g.out.h, g.out.w);
    const Divisor depth(g.out.d);
    FOR_EACH(i, n) {
        const Place at = place(i);
        const unsigned plane = g.out.d == 1 ? at.plane : depth.quotient(at.plane), slice = at.plane - plane * g.out.d;
        const int first_d = (int)slice * g.stride.d - g.pad.d, first_h = (int)at.row * g.stride.h - g.pad.h;
        const int first_w = (int)at.column * g.stride.w - g.pad.w;
        const Real* image = x + plane * (unsigned)(g.image.d * g.image.h * g.image.w);
        Real* column = columns + plane * kernel * positions + (i - plane * positions);
#pragma unroll
        for (int a = 0; a < g.kernel.d; ++a)
#pragma unroll
            for (int b = 0; b < g.kernel.h; ++b)
#pragma unroll
                for (int c = 0; c < g.kernel.w; ++c) {
                    const int d = first_d + a * g.dilation.d, h = first_h + b * g.dilation.h;
                    const int w = first_w + c * g.dilation.w;
                    const int own_d = clamped(d, g.image.d), own_h = clamped(h, g.image.h);
                    const int own_w = clamped(w, g.image.w);
                    const Real value = image[(own_d * g.image.h + own_h) * g.image.w + own_w];
                    const bool inside = d == own_d && h == own_h && w == own_w;
                    column[((a * g.kernel.h + b) * g.kernel.w + c) * positions] = inside ? value : Real(0);
                }
    }
}

// Launch: one thread for each window of each channel, n = items * channels * out_d * out_h * out_w. Memory: columns
// once, coalesced along out_w; x is read once from memory and again, for each kernel element, through the caches.
KERNEL(im2col)(const Real* __restrict__ x, Real* __restrict__ columns, int n, int d, int h, int w, int kernel_d,
               int kernel_h, int kernel_w, int out_d, int out_h, int out_w, int stride_d, int stride_h, int stride_w,
               int pad_d, int pad_h, int pad_w, int dilation_d, int dilation_h, int dilation_w) {
    const Windows g = {
        {d, h, w},             {kernel_d, kernel_h, kernel_w},
        {out_d, out_h, out_w}, {stride_d, stride_h, stride_w},
        {pad_d, pad_h, pad_w}, {dilation_d, dilation_h, dilation_w},
    };
    if (is_usual(g)) windows_to_columns(x, columns, n, usual(g));
    else windows_to_columns(x, columns, n, g);
}

// The window along one axis whose kernel element `k` lies on pixel `at`, or -1.
__device__ __forceinline__ int window_over(int at, int k, int out, const Divisor& stride, int pad, int dilation) {
    const int start = at + pad - k * dilation, window = stride.by == 1 ? start : stride.quotient(max(start, 0));
    return (start >= 0) & (window < out) & (window * (int)stride.by == start) ? window : -1;
}

__device__ __forceinline__ void columns_to_pixels(const Real* __restrict__ columns, Real* __restrict__ x, int n,
                                                  const Windows& g) {
    const unsigned positions = g.out.d * g.out.h * g.out.w, kernel = g.kernel.d * g.kernel.h * g.kernel.w;
    const Planes place(g.image.h, g.image.w);
    const Divisor depth(g.image.d), stride_d(g.stride.d), stride_h(g.stride.h), stride_w(g.stride.w);
    FOR_EACH(i, n) {
        const Place at = place(i);
        const unsigned plane = g.image.d == 1 ? at.plane : depth.quotient(at.plane);
        const unsigned slice = at.plane - plane * g.image.d;
        const Real* from = columns + plane * kernel * positions;
        Real sum = 0;
#pragma unroll
        for (int a = 0; a < g.kernel.d; ++a) {
            const int d = window_over(slice, a, g.out.d, stride_d, g.pad.d, g.dilation.d);
#pragma unroll
            for (int b = 0; b < g.kernel.h; ++b) {
                const int h = window_over(at.row, b, g.out.h, stride_h, g.pad.h, g.dilation.h);
#pragma unroll
                for (int c = 0; c < g.kernel.w; ++c) {
                    const int w = window_over(at.column, c, g.out.w, stride_w, g.pad.w, g.dilation.w);
                    const unsigned element = (a * g.kernel.h + b) * g.kernel.w + c;
                    const unsigned position = (max(d, 0) * g.out.h + max(h, 0)) * g.out.w + max(w, 0);
                    const Real value = from[element * positions + position];
                    sum += (d | h | w) >= 0 ? value : Real(0);  // below 0 where there is no such window
                }
            }
        }
        x[i] = sum;
    }
}

// Launch: one thread a pixel, n = items * channels * d * h * w; each gathers its sum in the order of kernel elements,
// so there are no atomics and x is written once. Memory: columns once through the caches, neighbouring pixels beside
// each other.
KERNEL(col2im)(const Real* __restrict__ columns, Real* __restrict__ x, int n, int d, int h, int w, int kernel_d,
               int kernel_h, int kernel_w, int out_d, int out_h, int out_w, int stride_d, int stride_h, int stride_w,
               int pad_d, int pad_h, int pad_w, int dilation_d, int dilation_h, int dilation_w) {
    const Windows g = {
        {d, h, w},             {kernel_d, kernel_h, kernel_w},
        {out_d, out_h, out_w}, {stride_d, stride_h, stride_w},
        {pad_d, pad_h, pad_w}, {dilation_d, dilation_h, dilation_w},
    };
    if (is_dense(g)) columns_to_pixels(columns, x, n, dense(g));
    else columns_to_pixels(columns, x, n, g);
}
