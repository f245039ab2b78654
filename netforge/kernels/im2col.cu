// Windows as columns and back (netforge/device/operations/convolution.py), for one to three spatial axes: axes that an
// image lacks have size, kernel, stride and dilation 1 and pad 0. The way of convolution where cuDNN is absent, and its
// oracle.
//
// x (items, channels, d, h, w); columns (items, channels * kernel_d * kernel_h * kernel_w, out_d, out_h, out_w).
#include "common.cuh"

// Launch: one thread for each window of each channel, n = items * channels * out_d * out_h * out_w. Memory: columns
// once, coalesced along out_w; x is read once from memory and again, for each kernel element, through the caches.
KERNEL(im2col)(const Real* __restrict__ x, Real* __restrict__ columns, int n, int d, int h, int w, int kernel_d,
               int kernel_h, int kernel_w, int out_d, int out_h, int out_w, int stride_d, int stride_h, int stride_w,
               int pad_d, int pad_h, int pad_w, int dilation_d, int dilation_h, int dilation_w) {
    const unsigned positions = out_d * out_h * out_w, kernel = kernel_d * kernel_h * kernel_w;
    FOR_EACH(i, n) {
        const int first_w = int(i % out_w) * stride_w - pad_w, first_h = int(i / out_w % out_h) * stride_h - pad_h;
        const int first_d = int(i / (out_w * out_h) % out_d) * stride_d - pad_d;
        const unsigned plane = i / positions;
        const Real* image = x + plane * (unsigned)(d * h * w);
        Real* column = columns + plane * kernel * positions + i % positions;
        for (int a = 0; a < kernel_d; ++a)
            for (int b = 0; b < kernel_h; ++b)
                for (int c = 0; c < kernel_w; ++c) {
                    const int at_d = first_d + a * dilation_d, at_h = first_h + b * dilation_h;
                    const int at_w = first_w + c * dilation_w;
                    const bool inside = at_d >= 0 && at_d < d && at_h >= 0 && at_h < h && at_w >= 0 && at_w < w;
                    *column = inside ? image[(at_d * h + at_h) * w + at_w] : Real(0);
                    column += positions;
                }
    }
}

// The window along one axis whose kernel element `k` lies on pixel `at`, or -1.
__device__ __forceinline__ int window_over(int at, int k, int out, int stride, int pad, int dilation) {
    const int start = at + pad - k * dilation;
    return start >= 0 && start % stride == 0 && start / stride < out ? start / stride : -1;
}

// Launch: one thread a pixel, n = items * channels * d * h * w; each gathers its sum in the order of kernel elements,
// so there are no atomics and x is written once. Memory: columns once through the caches, neighbouring pixels beside
// each other.
KERNEL(col2im)(const Real* __restrict__ columns, Real* __restrict__ x, int n, int d, int h, int w, int kernel_d,
               int kernel_h, int kernel_w, int out_d, int out_h, int out_w, int stride_d, int stride_h, int stride_w,
               int pad_d, int pad_h, int pad_w, int dilation_d, int dilation_h, int dilation_w) {
    const unsigned positions = out_d * out_h * out_w, kernel = kernel_d * kernel_h * kernel_w;
    FOR_EACH(i, n) {
        const int at_w = i % w, at_h = i / w % h, at_d = i / (w * h) % d;
        const Real* plane = columns + i / (w * h * d) * kernel * positions;
        Real sum = 0;
        for (int a = 0; a < kernel_d; ++a) {
            const int od = window_over(at_d, a, out_d, stride_d, pad_d, dilation_d);
            if (od < 0) continue;
            for (int b = 0; b < kernel_h; ++b) {
                const int oh = window_over(at_h, b, out_h, stride_h, pad_h, dilation_h);
                if (oh < 0) continue;
                for (int c = 0; c < kernel_w; ++c) {
                    const int ow = window_over(at_w, c, out_w, stride_w, pad_w, dilation_w);
                    if (ow < 0) continue;
                    const unsigned element = (a * kernel_h + b) * kernel_w + c;
                    sum += plane[element * positions + (od * out_h + oh) * out_w + ow];
                }
            }
        }
        x[i] = sum;
    }
}
