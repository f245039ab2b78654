// Max and average pooling over two spatial axes (netforge/device/operations/pooling.py), with Caffe's rules at borders.
//
// Launch: any grid of 256 threads a block. Forward: one thread a window, whose numbers are all under way at once where
// its size is known here. Backward: one thread a pixel, or for the usual windows one for each square of stride * stride
// pixels, which the same few windows reach. It gathers instead of scattering with atomics, so that every pixel is
// written once, by one thread, in a fixed order. Memory: what is written once, coalesced (two neighbours a thread where
// places allow it); what is read once, and again through the caches where windows overlap.
#include "common.cuh"
#include "planes.cuh"

// How windows lie over an image. Made of constants it unrolls the loops over a window.
struct Window { int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w; };

__device__ __forceinline__ bool is_square(const Window& w, int kernel, int stride) {
    return w.kernel_h == kernel && w.kernel_w == kernel && w.stride_h == stride && w.stride_w == stride;
}

// Calls body<KERNEL, STRIDE>(...) for the windows that most nets have, and others(...) for the rest.
#define BY_WINDOW(window, body, others, ...) \
    if (is_square(window, 3, 2)) body<3, 2>(__VA_ARGS__, window); \
    else if (is_square(window, 2, 2)) body<2, 2>(__VA_ARGS__, window); \
    else if (is_square(window, 3, 1)) body<3, 1>(__VA_ARGS__, window); \
    else others(__VA_ARGS__, window)

// The sizes of an image and of what it is pooled to.
struct Sizes {
    int height, width, out_height, out_width;
    __device__ __forceinline__ unsigned pixels() const { return height * width; }
    __device__ __forceinline__ unsigned windows() const { return out_height * out_width; }
};

__device__ __forceinline__ bool has_pixel(const Sizes& s, int row, int column) {
    return (unsigned)row < (unsigned)s.height && (unsigned)column < (unsigned)s.width;
}
__device__ __forceinline__ bool has_window(const Sizes& s, int row, int column) {
    return (unsigned)row < (unsigned)s.out_height && (unsigned)column < (unsigned)s.out_width;
}

// Whether a window that starts at (top, left) holds any pixel.
__device__ __forceinline__ bool meets_image(const Sizes& s, const Window& w, int top, int left) {
    return top + w.kernel_h > 0 && left + w.kernel_w > 0 && top < s.height && left < s.width;
}

// The windows [first, last) along an axis of `out` windows that contain pixel `at`.
__device__ __forceinline__ int first_window(int at, int kernel, const Divisor& stride, int pad) {
    return at + pad < kernel ? 0 : int(stride.quotient(at + pad - kernel)) + 1;
}
__device__ __forceinline__ int last_window(int at, const Divisor& stride, int pad, int out) {
    return min(int(stride.quotient(at + pad)) + 1, out);
}

// What a window's sum is divided by: its area within the padded image, at least 1.
__device__ __forceinline__ Real window_area(int row, int column, const Sizes& s, const Window& w) {
    const int top = row * w.stride_h - w.pad_h, left = column * w.stride_w - w.pad_w;
    const int rows = min(w.kernel_h, s.height + w.pad_h - top), columns = min(w.kernel_w, s.width + w.pad_w - left);
    return Real(max(max(rows, 0) * max(columns, 0), 1));
}

// One over a window's area. Small windows have few areas, and need no division.
__device__ __forceinline__ Real one_over(int length) {
    return length >= 3 ? Real(1.0 / 3.0) : length == 2 ? Real(0.5) : Real(1);
}
__device__ __forceinline__ Real window_share(int row, int column, const Sizes& s, const Window& w) {
    if (w.kernel_h > 3 || w.kernel_w > 3) return Real(1) / window_area(row, column, s, w);
    const int below = s.height + w.pad_h + w.pad_h - row * w.stride_h;
    const int beside = s.width + w.pad_w + w.pad_w - column * w.stride_w;
    return one_over(min(w.kernel_h, below)) * one_over(min(w.kernel_w, beside));
}

// ---- forward --------------------------------------------------------------------------------------------------------
__device__ __forceinline__ void max_of_windows(const Real* __restrict__ x, Real* __restrict__ y, int* __restrict__ mask,
                                               int planes, const Sizes& s, const Window& w) {
    const Planes place(s.out_height, s.out_width);
    FOR_EACH(i, planes * s.windows()) {
        const Place at = place(i);
        const Real* plane = x + at.plane * s.pixels();
        const int top = at.row * w.stride_h - w.pad_h, left = at.column * w.stride_w - w.pad_w;
        Real best = lowest();
        int where = -1;
#pragma unroll
        for (int a = 0; a < w.kernel_h; ++a)
#pragma unroll
            for (int b = 0; b < w.kernel_w; ++b) {
                const int pixel = clamped(top + a, s.height) * s.width + clamped(left + b, s.width);
                const Real value = plane[pixel];  // outside again that of the border, which changes nothing
                if (value > best) {
                    best = value;
                    where = pixel;
                }
            }
        if (!meets_image(s, w, top, left)) {
            best = lowest();
            where = -1;
        }
        y[i] = best;
        mask[i] = where;
    }
}
template <int KERNEL, int STRIDE>
__device__ __forceinline__ void max_of_squares(const Real* __restrict__ x, Real* __restrict__ y, int* __restrict__ mask,
                                               int planes, const Sizes& s, const Window& w) {
    max_of_windows(x, y, mask, planes, s, Window{KERNEL, KERNEL, STRIDE, STRIDE, w.pad_h, w.pad_w});
}

__device__ __forceinline__ void average_of_windows(const Real* __restrict__ x, Real* __restrict__ y, int planes,
                                                   const Sizes& s, const Window& w) {
    const Planes place(s.out_height, s.out_width);
    FOR_EACH(i, planes * s.windows()) {
        const Place at = place(i);
        const Real* plane = x + at.plane * s.pixels();
        const int top = at.row * w.stride_h - w.pad_h, left = at.column * w.stride_w - w.pad_w;
        Real sum = 0;
#pragma unroll
        for (int a = 0; a < w.kernel_h; ++a)
#pragma unroll
            for (int b = 0; b < w.kernel_w; ++b) {
                const Real value = plane[clamped(top + a, s.height) * s.width + clamped(left + b, s.width)];
                sum += has_pixel(s, top + a, left + b) ? value : Real(0);
            }
        y[i] = sum / window_area(at.row, at.column, s, w);
    }
}
template <int KERNEL, int STRIDE>
__device__ __forceinline__ void average_of_squares(const Real* __restrict__ x, Real* __restrict__ y, int planes,
                                                   const Sizes& s, const Window& w) {
    average_of_windows(x, y, planes, s, Window{KERNEL, KERNEL, STRIDE, STRIDE, w.pad_h, w.pad_w});
}

// y = the window's largest value, mask = its index within the plane; the first of equals wins, NaN never does, and a
// window without any number above the lowest one leaves that number and mask -1.
KERNEL(pool_max_forward)(const Real* __restrict__ x, Real* __restrict__ y, int* __restrict__ mask, int planes,
                         int height, int width, int out_height, int out_width, int kernel_h, int kernel_w, int stride_h,
                         int stride_w, int pad_h, int pad_w) {
    const Sizes s = {height, width, out_height, out_width};
    const Window w = {kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w};
    BY_WINDOW(w, max_of_squares, max_of_windows, x, y, mask, planes, s);
}

KERNEL(pool_average_forward)(const Real* __restrict__ x, Real* __restrict__ y, int planes, int height, int width,
                             int out_height, int out_width, int kernel_h, int kernel_w, int stride_h, int stride_w,
                             int pad_h, int pad_w) {
    const Sizes s = {height, width, out_height, out_width};
    const Window w = {kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w};
    BY_WINDOW(w, average_of_squares, average_of_windows, x, y, planes, s);
}

// ---- backward -------------------------------------------------------------------------------------------------------
// What a window passes on to a pixel that it holds. Load tells all that it needs of a window at once, so that the loads
// for several windows are under way together.
struct OfMaximum {
    const Real* __restrict__ dy;
    const int* __restrict__ mask;
    struct Load { Real slope; int winner; };
    __device__ __forceinline__ Load load(unsigned window, int, int, const Sizes&, const Window&) const {
        return {dy[window], mask[window]};
    }
    static __device__ __forceinline__ Load nothing() { return {Real(0), -1}; }
    static __device__ __forceinline__ bool reaches(const Load& load, int pixel) { return load.winner == pixel; }
};
struct OfAverage {
    const Real* __restrict__ dy;
    struct Load { Real slope; };
    __device__ __forceinline__ Load load(unsigned window, int row, int column, const Sizes& s, const Window& w) const {
        return {dy[window] * window_share(row, column, s, w)};
    }
    static __device__ __forceinline__ Load nothing() { return {Real(0)}; }
    static __device__ __forceinline__ bool reaches(const Load&, int) { return true; }
};

// One thread a pixel.
template <typename Of>
__device__ __forceinline__ void windows_backward(const Of& of, Real* __restrict__ dx, int planes, const Sizes& s,
                                                 const Window& w) {
    const Planes place(s.height, s.width);
    const Divisor stride_h(w.stride_h), stride_w(w.stride_w);
    FOR_EACH(i, planes * s.pixels()) {
        const Place at = place(i);
        const int pixel = at.row * s.width + at.column;
        const int last_row = last_window(at.row, stride_h, w.pad_h, s.out_height);
        const int last_column = last_window(at.column, stride_w, w.pad_w, s.out_width);
        const int first_column = first_window(at.column, w.kernel_w, stride_w, w.pad_w);
        Real sum = 0;
        for (int row = first_window(at.row, w.kernel_h, stride_h, w.pad_h); row < last_row; ++row)
            for (int column = first_column; column < last_column; ++column) {
                const unsigned window = at.plane * s.windows() + row * s.out_width + column;
                const auto load = of.load(window, row, column, s, w);
                if (of.reaches(load, pixel)) sum += load.slope;
            }
        dx[i] = sum;
    }
}

struct __align__(2 * sizeof(Real)) Pair { Real left, right; };

// One thread for STRIDE * STRIDE pixels, the first of them the first one of a window (which may lie beyond the last):
// REACH windows along each axis hold some of them.
template <int KERNEL, int STRIDE, typename Of>
__device__ __forceinline__ void squares_backward(const Of& of, Real* __restrict__ dx, int planes, const Sizes& s,
                                                 const Window& given) {
    constexpr int REACH = (KERNEL - 1) / STRIDE + 1;
    const Window w = {KERNEL, KERNEL, STRIDE, STRIDE, given.pad_h, given.pad_w};
    const int first_row = w.pad_h / STRIDE, first_column = w.pad_w / STRIDE;  // those before lie in the padding
    const int rows = (s.height - 1 + w.pad_h) / STRIDE + 1 - first_row;
    const int columns = (s.width - 1 + w.pad_w) / STRIDE + 1 - first_column;
    const bool in_pairs = STRIDE == 2 && s.width % 2 == 0 && w.pad_w % 2 == 0 && (size_t)dx % sizeof(Pair) == 0;
    const Planes place(rows, columns);
    FOR_EACH(i, planes * rows * columns) {
        const Place at = place(i);
        const int last_row = first_row + at.row, last_column = first_column + at.column;  // of the windows that reach
        typename Of::Load loads[REACH][REACH];
#pragma unroll
        for (int a = 0; a < REACH; ++a)
#pragma unroll
            for (int b = 0; b < REACH; ++b) {
                const int row = last_row - (REACH - 1) + a, column = last_column - (REACH - 1) + b;
                const int own_row = clamped(row, s.out_height), own_column = clamped(column, s.out_width);
                const unsigned window = at.plane * s.windows() + own_row * s.out_width + own_column;
                const auto load = of.load(window, own_row, own_column, s, w);
                loads[a][b] = has_window(s, row, column) ? load : of.nothing();
            }
        const int top = last_row * STRIDE - w.pad_h, left = last_column * STRIDE - w.pad_w;
#pragma unroll
        for (int h = 0; h < STRIDE; ++h) {
            Real sums[STRIDE];
#pragma unroll
            for (int v = 0; v < STRIDE; ++v) {
                const int pixel = (top + h) * s.width + left + v;
                sums[v] = 0;
#pragma unroll
                for (int a = 0; a < REACH; ++a)
#pragma unroll
                    for (int b = 0; b < REACH; ++b) {
                        const int in_row = h + (REACH - 1 - a) * STRIDE, in_column = v + (REACH - 1 - b) * STRIDE;
                        const bool holds = in_row < KERNEL && in_column < KERNEL;
                        if (holds && of.reaches(loads[a][b], pixel)) sums[v] += loads[a][b].slope;
                    }
            }
            const unsigned out = at.plane * s.pixels() + (top + h) * s.width + left;
            if (in_pairs) {
                if (has_pixel(s, top + h, left)) *reinterpret_cast<Pair*>(dx + out) = Pair{sums[0], sums[STRIDE - 1]};
            } else {
#pragma unroll
                for (int v = 0; v < STRIDE; ++v)
                    if (has_pixel(s, top + h, left + v)) dx[out + v] = sums[v];
            }
        }
    }
}

// dx = the sum of dy over the windows whose mask names the pixel.
KERNEL(pool_max_backward)(const Real* __restrict__ dy, const int* __restrict__ mask, Real* __restrict__ dx, int planes,
                          int height, int width, int out_height, int out_width, int kernel_h, int kernel_w,
                          int stride_h, int stride_w, int pad_h, int pad_w) {
    const Sizes s = {height, width, out_height, out_width};
    const Window w = {kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w};
    const OfMaximum of = {dy, mask};
    BY_WINDOW(w, squares_backward, windows_backward, of, dx, planes, s);
}

// dx = the sum of dy over area of all windows that contain the pixel.
KERNEL(pool_average_backward)(const Real* __restrict__ dy, Real* __restrict__ dx, int planes, int height, int width,
                              int out_height, int out_width, int kernel_h, int kernel_w, int stride_h, int stride_w,
                              int pad_h, int pad_w) {
    const Sizes s = {height, width, out_height, out_width};
    const Window w = {kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w};
    const OfAverage of = {dy};
    BY_WINDOW(w, squares_backward, windows_backward, of, dx, planes, s);
}
