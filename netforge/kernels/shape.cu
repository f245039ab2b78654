// Moving rows and columns, and picking elements by index (netforge/device/operations/shape.py). Indices are whole
// numbers held as Real.
//
// What only moves does so 16 bytes at a time where sizes and places are multiples of that, else number by number, a
// thread AT_ONCE of them at a time.
#include "common.cuh"
#include "pack.cuh"
#include "planes.cuh"

template <typename T>
__device__ __forceinline__ void copy_parts(const T* __restrict__ x, T* __restrict__ y, int n, int width, int x_start,
                                           int x_columns, int y_start, int y_columns) {
    const Divisor columns(width);
    const auto from = [=](unsigned i) {
        const unsigned row = columns.quotient(i);
        return x[row * x_columns + x_start + i - row * width];
    };
    move_each<T>(n, from, [=](unsigned i, const T& value) {
        const unsigned row = columns.quotient(i);
        y[row * y_columns + y_start + i - row * width] = value;
    });
}

// y[r, y_start + c] = x[r, x_start + c] for c below width; x has x_columns columns, y has y_columns; n = rows * width.
// Memory: both parts once, coalesced along the columns.
KERNEL(copy_columns)(const Real* __restrict__ x, Real* __restrict__ y, int n, int width, int x_start, int x_columns,
                     int y_start, int y_columns) {
    const bool whole = (width | x_start | x_columns | y_start | y_columns) % LANES == 0;
    if (whole && is_packed(x) && is_packed(y)) {
        copy_parts((const Pack*)x, (Pack*)y, n / LANES, width / LANES, x_start / LANES, x_columns / LANES,
                   y_start / LANES, y_columns / LANES);
    } else {
        copy_parts(x, y, n, width, x_start, x_columns, y_start, y_columns);
    }
}

// A window of an array with three axes or more: geometry holds the sizes of the whole, those of the window, and its
// offsets. lanes: numbers of an element along the last axis.
struct Crop {
    const int* __restrict__ geometry;
    int axes, lanes;
    __device__ __forceinline__ int whole(int axis) const { return size(geometry[axis], axis); }
    __device__ __forceinline__ int part(int axis) const { return size(geometry[axes + axis], axis); }
    __device__ __forceinline__ int offset(int axis) const { return size(geometry[2 * axes + axis], axis); }
    __device__ __forceinline__ int size(int numbers, int axis) const {
        return axis == axes - 1 ? numbers / lanes : numbers;
    }
    __device__ __forceinline__ bool is_empty() const {
        bool empty = false;
        for (int axis = 0; axis < axes; ++axis) empty = empty || part(axis) == 0;
        return empty;
    }
    // The plane of the whole in which a plane of the window lies; a plane is all but the last two axes.
    __device__ __forceinline__ unsigned plane_of_whole(unsigned plane) const {
        unsigned place = 0, stride = 1;
#pragma unroll 1
        for (int axis = axes - 3; axis > 0; --axis) {
            place += (plane % part(axis) + offset(axis)) * stride;
            plane /= part(axis);
            stride *= whole(axis);
        }
        return place + (plane + offset(0)) * stride;
    }
    // The plane of the window in which a plane of the whole lies, if it is inside.
    __device__ __forceinline__ unsigned plane_of_part(unsigned plane, bool& inside) const {
        unsigned place = 0, stride = 1;
#pragma unroll 1
        for (int axis = axes - 3; axis >= 0; --axis) {
            const unsigned at = (axis > 0 ? plane % whole(axis) : plane) - offset(axis);  // wraps around before it
            inside = inside && at < (unsigned)part(axis);
            place += at * stride;
            if (axis > 0) plane /= whole(axis);
            stride *= part(axis);
        }
        return place;
    }
};

template <typename T>
__device__ __forceinline__ void crop(const T* __restrict__ x, T* __restrict__ y, int n, const Crop& c) {
    const int h = c.axes - 2, w = c.axes - 1, height = c.whole(h), width = c.whole(w), top = c.offset(h);
    const int left = c.offset(w), front = c.offset(0);
    const bool simple = c.axes == 3;
    const Planes place(c.part(h), c.part(w));
    move_to(y, n, [=](unsigned i) {
        const Place at = place(i);
        const unsigned plane = simple ? at.plane + front : c.plane_of_whole(at.plane);
        return x[(plane * height + at.row + top) * width + at.column + left];
    });
}

template <typename T>
__device__ __forceinline__ void uncrop(const T* __restrict__ dy, T* __restrict__ dx, int n, const Crop& c) {
    const int h = c.axes - 2, w = c.axes - 1, height = c.part(h), width = c.part(w), top = c.offset(h);
    const int left = c.offset(w), front = c.offset(0), depth = c.part(0);
    if (c.is_empty()) {
        move_to(dx, n, [](unsigned) { return T(); });
        return;
    }
    const bool simple = c.axes == 3;
    const Planes place(c.whole(h), c.whole(w));
    move_to(dx, n, [=](unsigned i) {
        const Place at = place(i);
        const unsigned row = at.row - top, column = at.column - left;  // wrap around before the window
        unsigned plane = at.plane - front;
        bool inside = plane < (unsigned)depth;
        if (!simple) {
            inside = true;
            plane = c.plane_of_part(at.plane, inside);
        }
        inside = inside & (row < (unsigned)height) & (column < (unsigned)width);
        const unsigned place = (plane * height + row) * width + column;
        const T value = dy[inside ? place : 0u];  // some number, so that loads wait for no branch
        return inside ? value : T();
    });
}

// Whether an axis of whole size, part and offset can be seen as packs.
__device__ __forceinline__ bool crops_packs(const int* geometry, int axes) {
    return (geometry[axes - 1] | geometry[2 * axes - 1] | geometry[3 * axes - 1]) % LANES == 0;
}

// y (n elements) = the window of x that `geometry` describes. Memory: the window and y once, coalesced along the last
// axis.
KERNEL(crop_forward)(const Real* __restrict__ x, Real* __restrict__ y, const int* __restrict__ geometry, int n,
                     int axes) {
    if (crops_packs(geometry, axes) && is_packed(x) && is_packed(y)) {
        crop((const Pack*)x, (Pack*)y, n / LANES, Crop{geometry, axes, LANES});
    } else {
        crop(x, y, n, Crop{geometry, axes, 1});
    }
}

// dx (n elements) = dy in the window of crop_forward, 0 around it. Memory: dy and dx once, coalesced along the last
// axis.
KERNEL(crop_backward)(const Real* __restrict__ dy, Real* __restrict__ dx, const int* __restrict__ geometry, int n,
                      int axes) {
    if (crops_packs(geometry, axes) && is_packed(dy) && is_packed(dx)) {
        uncrop((const Pack*)dy, (Pack*)dx, n / LANES, Crop{geometry, axes, LANES});
    } else {
        uncrop(dy, dx, n, Crop{geometry, axes, 1});
    }
}

template <typename T>
__device__ __forceinline__ void repeat(const T* __restrict__ x, T* __restrict__ y, int n, int tiles, int block) {
    const Planes place(tiles, block);
    move_to(y, n, [=](unsigned i) {
        const Place at = place(i);
        return x[at.plane * block + at.column];
    });
}

// y (outer, tiles, block) = each block of x `tiles` times. Memory: y once, x once and from cache after that.
KERNEL(tile_forward)(const Real* __restrict__ x, Real* __restrict__ y, int n, int tiles, int block) {
    if (block % LANES == 0 && is_packed(x) && is_packed(y)) {
        repeat((const Pack*)x, (Pack*)y, n / LANES, tiles, block / LANES);
    } else {
        repeat(x, y, n, tiles, block);
    }
}

// dx = the sum over the tiles, in their order. Launch: one thread an element of dx. Memory: dy and dx once.
KERNEL(tile_backward)(const Real* __restrict__ dy, Real* __restrict__ dx, int n, int tiles, int block) {
    FOR_EACH(i, n) {
        const Real* first = dy + i / block * tiles * block + i % block;
        Real sum = 0;
        for (int tile = 0; tile < tiles; ++tile) sum += first[tile * block];
        dx[i] = sum;
    }
}

template <typename T>
__device__ __forceinline__ void gather(const T* __restrict__ x, const Real* __restrict__ index, T* __restrict__ y,
                                       int n, int rows, int size) {
    const Divisor columns(size);
    if (rows > 0) {
        move_to(y, n, [=](unsigned i) {
            const unsigned line = columns.quotient(i);
            const Real row = index[line];
            const Real least = larger(row, Real(0));
            const Real own = least < Real(rows) ? least : Real(0);  // some row, so that loads wait for no branch
            const T value = x[(unsigned)own * size + i - line * size];
            return row == own ? value : T();
        });
    } else {
        move_to(y, n, [](unsigned) { return T(); });
    }
}

// y (n / size, size) = the rows of x (rows, size) that index names, zeros where there is no such row. Memory: x's rows
// and y once, coalesced along size; the index from cache.
KERNEL(gather_rows)(const Real* __restrict__ x, const Real* __restrict__ index, Real* __restrict__ y, int n, int rows,
                    int size) {
    if (size % LANES == 0 && is_packed(x) && is_packed(y)) {
        gather((const Pack*)x, index, (Pack*)y, n / LANES, rows, size / LANES);
    } else {
        gather(x, index, y, n, rows, size);
    }
}

#define COLUMNS 4  // that a lane adds up at a time

// dx[index[i]] += dy[i], in the order of i, dx (targets, size). Launch: one warp for each of the `rows` rows of dy and
// each 32 * COLUMNS of its columns, of which there are `parts`. The warp of an index's first row adds all of that
// index's rows, so there are no atomics. Memory: dy once, the touched rows of dx once in and out; each warp reads the
// index once at most, 32 numbers at a time, from cache.
KERNEL(scatter_add_rows)(const Real* __restrict__ dy, const Real* __restrict__ index, Real* __restrict__ dx, int rows,
                         int size, int targets, int parts) {
    const unsigned lane = threadIdx.x % WARP;
    FOR_EACH_WARP(warp, rows * parts) {
        const unsigned row = warp / parts, start = warp % parts * WARP * COLUMNS + lane;
        const Real own = index[row];
        bool first = is_class(own, targets);
        for (unsigned r = 0; first && r < row; r += WARP)
            first = !__any_sync(FULL_WARP, r + lane < row && index[r + lane] == own);
        if (!first) continue;
        Real* target = dx + (unsigned)own * (unsigned)size;
        Real sums[COLUMNS];
#pragma unroll
        for (int c = 0; c < COLUMNS; ++c) {
            const unsigned column = start + c * WARP;
            sums[c] = column < (unsigned)size ? target[column] : Real(0);
        }
        for (unsigned r = row; r < (unsigned)rows; r += WARP) {
            unsigned equal = __ballot_sync(FULL_WARP, r + lane < (unsigned)rows && index[r + lane] == own);
            for (; equal; equal &= equal - 1) {
                const Real* from = dy + (r + __ffs(equal) - 1) * size;
#pragma unroll
                for (int c = 0; c < COLUMNS; ++c) {
                    const unsigned column = start + c * WARP;
                    if (column < (unsigned)size) sums[c] += from[column];
                }
            }
        }
#pragma unroll
        for (int c = 0; c < COLUMNS; ++c) {
            const unsigned column = start + c * WARP;
            if (column < (unsigned)size) target[column] = sums[c];
        }
    }
}

// The larger of two inputs, of equal ones the later: winner is 0 or 1. Memory: each array once.
KERNEL(maximum_of_two)(const Real* x, const Real* later, Real* y, int* winner, int n) {
    for_each_of(
        n,
        [=](unsigned i, Real a, Real b) {
            y[i] = b >= a ? b : a;
            winner[i] = b >= a;
        },
        x, later);
}

// One more input of an elementwise maximum, with its index: index 0 starts y and winner, of equal inputs the later one
// wins. Memory: x and y once in; what x wins once out.
KERNEL(maximum_forward)(const Real* x, Real* y, int* winner, int n, int index) {
    for_each_of(
        n,
        [=](unsigned i, Real value, Real most) {
            if (index == 0 || value >= most) {
                y[i] = value;
                winner[i] = index;
            }
        },
        x, y);
}

// dx = dy where `index` won, 0 elsewhere. Launch: one thread an element. Memory: each array once.
KERNEL(maximum_backward)(const Real* dy, const int* winner, Real* dx, int n, int index) {
    FOR_EACH(i, n) dx[i] = winner[i] == index ? dy[i] : dy[i] * Real(0);
}
