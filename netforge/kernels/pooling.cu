// Max and average pooling over two spatial axes (netforge/device/operations/pooling.py), with Caffe's rules at borders.
//
// Launch: one thread an element of the array that is written, any grid; 256 threads a block. Memory: the output once,
// coalesced; overlapping windows are read again through the caches. The gradients gather over the windows that can hold
// a pixel instead of scattering with atomics: every pixel is written once, by one thread, in a fixed order.
#include "common.cuh"

// The windows [first, last) along an axis of `out` windows that contain pixel `at`.
__device__ __forceinline__ int first_window(int at, int kernel, int stride, int pad) {
    return at + pad < kernel ? 0 : (at + pad - kernel) / stride + 1;
}
__device__ __forceinline__ int last_window(int at, int stride, int pad, int out) {
    return min((at + pad) / stride + 1, out);
}

// y = the window's largest value, mask = its index within the plane; the first of equals wins, NaN never does, and a
// window without any number above the lowest one leaves that number and mask -1. n = planes * out_height * out_width.
KERNEL(pool_max_forward)(const Real* __restrict__ x, Real* __restrict__ y, int* __restrict__ mask, int n, int height,
                         int width, int out_height, int out_width, int kernel_h, int kernel_w, int stride_h,
                         int stride_w, int pad_h, int pad_w) {
    FOR_EACH(i, n) {
        const int column = i % out_width, row = i / out_width % out_height;
        const Real* plane = x + i / (out_width * out_height) * (unsigned)(height * width);
        const int top = row * stride_h - pad_h, left = column * stride_w - pad_w;
        const int bottom = min(top + kernel_h, height), right = min(left + kernel_w, width);
        Real best = lowest();
        int where = -1;
        for (int h = max(top, 0); h < bottom; ++h)
            for (int w = max(left, 0); w < right; ++w) {
                const Real value = plane[h * width + w];
                if (value > best) {
                    best = value;
                    where = h * width + w;
                }
            }
        y[i] = best;
        mask[i] = where;
    }
}

// dx = the sum of dy over the windows whose mask names the pixel. n = planes * height * width.
KERNEL(pool_max_backward)(const Real* __restrict__ dy, const int* __restrict__ mask, Real* __restrict__ dx, int n,
                          int height, int width, int out_height, int out_width, int kernel_h, int kernel_w,
                          int stride_h, int stride_w, int pad_h, int pad_w) {
    FOR_EACH(i, n) {
        const int w = i % width, h = i / width % height, pixel = h * width + w;
        const unsigned plane = i / (width * height) * (unsigned)(out_height * out_width);
        const int last_row = last_window(h, stride_h, pad_h, out_height);
        const int last_column = last_window(w, stride_w, pad_w, out_width);
        Real sum = 0;
        for (int row = first_window(h, kernel_h, stride_h, pad_h); row < last_row; ++row)
            for (int column = first_window(w, kernel_w, stride_w, pad_w); column < last_column; ++column) {
                const unsigned window = plane + row * out_width + column;
                if (mask[window] == pixel) sum += dy[window];
            }
        dx[i] = sum;
    }
}

// What a window's sum is divided by: its area within the padded image, at least 1.
__device__ __forceinline__ Real window_area(int top, int left, int height, int width, int kernel_h, int kernel_w,
                                            int pad_h, int pad_w) {
    const int rows = min(top + kernel_h, height + pad_h) - top, columns = min(left + kernel_w, width + pad_w) - left;
    return Real(max(max(rows, 0) * max(columns, 0), 1));
}

KERNEL(pool_average_forward)(const Real* __restrict__ x, Real* __restrict__ y, int n, int height, int width,
                             int out_height, int out_width, int kernel_h, int kernel_w, int stride_h, int stride_w,
                             int pad_h, int pad_w) {
    FOR_EACH(i, n) {
        const int column = i % out_width, row = i / out_width % out_height;
        const Real* plane = x + i / (out_width * out_height) * (unsigned)(height * width);
        const int top = row * stride_h - pad_h, left = column * stride_w - pad_w;
        const int bottom = min(top + kernel_h, height), right = min(left + kernel_w, width);
        Real sum = 0;
        for (int h = max(top, 0); h < bottom; ++h)
            for (int w = max(left, 0); w < right; ++w) sum += plane[h * width + w];
        y[i] = sum / window_area(top, left, height, width, kernel_h, kernel_w, pad_h, pad_w);
    }
}

KERNEL(pool_average_backward)(const Real* __restrict__ dy, Real* __restrict__ dx, int n, int height, int width,
                              int out_height, int out_width, int kernel_h, int kernel_w, int stride_h, int stride_w,
                              int pad_h, int pad_w) {
    FOR_EACH(i, n) {
        const int w = i % width, h = i / width % height;
        const Real* plane = dy + i / (width * height) * (unsigned)(out_height * out_width);
        const int last_row = last_window(h, stride_h, pad_h, out_height);
        const int last_column = last_window(w, stride_w, pad_w, out_width);
        Real sum = 0;
        for (int row = first_window(h, kernel_h, stride_h, pad_h); row < last_row; ++row)
            for (int column = first_window(w, kernel_w, stride_w, pad_w); column < last_column; ++column) {
                const int top = row * stride_h - pad_h, left = column * stride_w - pad_w;
                sum += plane[row * out_width + column] /
                       window_area(top, left, height, width, kernel_h, kernel_w, pad_h, pad_w);
            }
        dx[i] = sum;
    }
}
