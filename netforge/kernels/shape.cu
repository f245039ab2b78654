// Moving rows and columns, and picking elements by index (netforge/device/operations/shape.py). Indices are whole numbers held as
// Real.
#include "common.cuh"

// y[r, y_start + c] = x[r, x_start + c] for c below width; x has x_columns columns, y has y_columns. Launch: one thread
// an element, n = rows * width. Memory: both parts once, coalesced along the columns.
KERNEL(copy_columns)(const Real* __restrict__ x, Real* __restrict__ y, int n, int width, int x_start, int x_columns,
                     int y_start, int y_columns) {
    FOR_EACH(i, n) {
        const unsigned row = i / width, column = i % width;
        y[row * y_columns + y_start + column] = x[row * x_columns + x_start + column];
    }
}

// y = the window of x that `geometry` describes: for each axis the sizes of x, then those of y, then the offsets.
// Launch: one thread an element of y, n of them. Memory: the window and y once, coalesced along the last axis.
KERNEL(crop_forward)(const Real* __restrict__ x, Real* __restrict__ y, const int* __restrict__ geometry, int n,
                     int axes) {
    FOR_EACH(i, n) {
        unsigned rest = i, place = 0, stride = 1;
        for (int axis = axes - 1; axis >= 0; --axis) {
            const unsigned size = geometry[axes + axis];
            place += (rest % size + geometry[2 * axes + axis]) * stride;
            rest /= size;
            stride *= geometry[axis];
        }
        y[i] = x[place];
    }
}

// dx = dy in the window of crop_forward, 0 around it. Launch: one thread an element of dx, n of them. Memory: dy and dx
// once, coalesced along the last axis.
KERNEL(crop_backward)(const Real* __restrict__ dy, Real* __restrict__ dx, const int* __restrict__ geometry, int n,
                      int axes) {
    FOR_EACH(i, n) {
        unsigned rest = i, place = 0, stride = 1;
        bool inside = true;
        for (int axis = axes - 1; axis >= 0; --axis) {
            const unsigned size = geometry[axis], width = geometry[axes + axis];
            const unsigned at = rest % size - geometry[2 * axes + axis];  // wraps around before the window
            inside = inside && at < width;
            place += at * stride;
            rest /= size;
            stride *= width;
        }
        dx[i] = inside ? dy[place] : Real(0);
    }
}

// y (outer, tiles, block) = each block of x `tiles` times. Launch: one thread an element of y. Memory: y once, x once
// and from cache after that.
KERNEL(tile_forward)(const Real* __restrict__ x, Real* __restrict__ y, int n, int tiles, int block) {
    FOR_EACH(i, n) y[i] = x[i / block / tiles * block + i % block];
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

// y (n / size, size) = the rows of x (rows, size) that index names, zeros where there is no such row. Launch: one
// thread an element, n of them. Memory: x's rows and y once, coalesced along size.
KERNEL(gather_rows)(const Real* __restrict__ x, const Real* __restrict__ index, Real* __restrict__ y, int n, int rows,
                    int size) {
    FOR_EACH(i, n) {
        const Real row = index[i / size];
        y[i] = is_class(row, rows) ? x[(unsigned)row * (unsigned)size + i % size] : Real(0);
    }
}

// dx[index[i]] += dy[i], in the order of i, dx (targets, size). Launch: one block for each of the `rows` rows of dy;
// the block of an index's first row adds all of that index's rows, so there are no atomics. Memory: dy once, the touched rows of dx
// once in and out, and rows^2 / 2 reads of index at most, from cache.
KERNEL(scatter_add_rows)(const Real* __restrict__ dy, const Real* __restrict__ index, Real* dx, int rows, int size,
                         int targets) {
    FOR_EACH_BLOCK(row, rows) {
        const Real own = index[row];
        bool first = is_class(own, targets);
        for (unsigned earlier = 0; first && earlier < row; ++earlier) first = index[earlier] != own;
        if (!first) continue;
        Real* target = dx + (unsigned)own * (unsigned)size;
        FOR_EACH_IN_BLOCK(i, size) {
            Real sum = target[i];
            for (unsigned r = row; r < (unsigned)rows; ++r)
                if (index[r] == own) sum += dy[r * size + i];
            target[i] = sum;
        }
    }
}

// One input of an elementwise maximum: called for index 0, 1 ... in turn, the first of which starts y and winner; the
// later of equal inputs wins. Launch: one thread an element. Memory: x, y and winner once.
KERNEL(maximum_forward)(const Real* x, Real* y, int* winner, int n, int index) {
    FOR_EACH(i, n) {
        if (index == 0 || x[i] >= y[i]) {
            y[i] = x[i];
            winner[i] = index;
        }
    }
}

// dx = dy where `index` won, 0 elsewhere. Launch: one thread an element. Memory: each array once.
KERNEL(maximum_backward)(const Real* dy, const int* winner, Real* dx, int n, int index) {
    FOR_EACH(i, n) dx[i] = winner[i] == index ? dy[i] : dy[i] * Real(0);
}

// Whether element (a, i) comes before (b, j): the larger one first, of equals the larger index, NaN after all numbers.
__device__ __forceinline__ bool comes_before(Real a, int i, Real b, int j) {
    if (is_nan(a) != is_nan(b)) return is_nan(b);
    if (a > b || a < b) return a > b;
    return i > j;
}

// The k first elements along axis 1 of x (outer, classes, inner), in that order: indices, values (outer, k, inner).
// Launch: one warp for each of the outer * inner positions. Memory: x k times, mostly from cache; coalesced where inner
// is 1.
KERNEL(top_k)(const Real* __restrict__ x, Real* __restrict__ indices, Real* __restrict__ values, int outer, int classes,
              int inner, int k) {
    FOR_EACH_WARP(position, outer * inner) {
        const unsigned o = position / inner, p = position % inner;
        const Real* scores = x + o * classes * inner + p;
        Real last = 0;
        int last_index = -1;  // none yet
        for (int round = 0; round < k; ++round) {
            Real best = 0;
            int best_index = -1;
            FOR_EACH_IN_WARP(c, classes) {
                const Real score = scores[c * inner];
                const bool open = last_index < 0 || comes_before(last, last_index, score, c);
                if (open && (best_index < 0 || comes_before(score, c, best, best_index))) {
                    best = score;
                    best_index = c;
                }
            }
            for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
                const Real other = __shfl_xor_sync(FULL_WARP, best, lanes);
                const int other_index = __shfl_xor_sync(FULL_WARP, best_index, lanes);
                if (other_index >= 0 && (best_index < 0 || comes_before(other, other_index, best, best_index))) {
                    best = other;
                    best_index = other_index;
                }
            }
            last = best;
            last_index = best_index;
            if (threadIdx.x % WARP != 0) continue;
            indices[(o * k + round) * inner + p] = Real(best_index);
            values[(o * k + round) * inner + p] = best;
        }
    }
}
