// Softmax, its losses and accuracy (netforge/device/operations/softmax.py). Scores (outer, classes, inner), labels
// (outer, inner) of whole numbers held as Real. ignore: a label that does not count; NaN, which equals nothing, where
// there is none. loss, divisor, scale and accuracy are arrays of one number.
#include "common.cuh"

#define SMALLEST_PROBABILITY Real(1.17549435e-38f)
#define SMALLEST_INFOGAIN Real(1e-20)

// A row of scores as a warp holds it: lane l keeps classes l, l + 32 ... in registers, as many as fit; the warp reads
// those beyond, which are few or none, again from cache.
#define HELD AT_ONCE
#define FOR_EACH_BEYOND(c, classes) \
    for (unsigned c = HELD * WARP + threadIdx.x % WARP; c < (unsigned)(classes); c += WARP)

// For inner = 1. Launch: one warp a row. Memory: x and y once, coalesced along classes; what lies beyond HELD * WARP
// classes once more from cache.
KERNEL(softmax_forward_rows)(const Real* x, Real* y, int outer, int classes) {
    FOR_EACH_WARP(o, outer) {
        const Real* scores = x + o * classes;
        Real* row = y + o * classes;
        const Places p = places(threadIdx.x % WARP, WARP, classes);
        Loaded<Real> held = load<false>(scores, p);
        Real most = lowest(), sum = 0;
#pragma unroll
        for (int k = 0; k < HELD; ++k)
            if (p.in[k]) most = larger(held.at[k], most);
        FOR_EACH_BEYOND(c, classes) most = larger(scores[c], most);
        most = warp_max(most);
#pragma unroll
        for (int k = 0; k < HELD; ++k) {
            held.at[k] = p.in[k] ? exp(held.at[k] - most) : Real(0);
            sum += held.at[k];
        }
        FOR_EACH_BEYOND(c, classes) {
            const Real value = exp(scores[c] - most);
            row[c] = value;
            sum += value;
        }
        sum = warp_sum(sum);
#pragma unroll
        for (int k = 0; k < HELD; ++k)
            if (p.in[k]) row[p.at[k]] = held.at[k] / sum;
        FOR_EACH_BEYOND(c, classes) row[c] /= sum;
    }
}

// For inner > 1. Launch: one thread for each of the outer * inner positions. Memory: as above, coalesced along inner.
KERNEL(softmax_forward)(const Real* x, Real* y, int outer, int classes, int inner) {
    FOR_EACH(position, outer * inner) {
        const unsigned first = position / inner * classes * inner + position % inner;
        Real most = lowest(), sum = 0;
        for (int c = 0; c < classes; ++c) most = larger(x[first + c * inner], most);
        for (int c = 0; c < classes; ++c) {
            const Real value = exp(x[first + c * inner] - most);
            y[first + c * inner] = value;
            sum += value;
        }
        for (int c = 0; c < classes; ++c) y[first + c * inner] /= sum;
    }
}

// dx = y * (dy - sum of dy * y over classes). For inner = 1; launch and memory as in softmax_forward_rows.
KERNEL(softmax_backward_rows)(const Real* y, const Real* dy, Real* dx, int outer, int classes) {
    FOR_EACH_WARP(o, outer) {
        const unsigned first = o * classes;
        const Places p = places(threadIdx.x % WARP, WARP, classes);
        const Loaded<Real> own = load<false>(y + first, p), own_dy = load<false>(dy + first, p);
        Real sum = 0;
#pragma unroll
        for (int k = 0; k < HELD; ++k) sum += own_dy.at[k] * own.at[k];
        FOR_EACH_BEYOND(c, classes) sum += dy[first + c] * y[first + c];
        sum = warp_sum(sum);
#pragma unroll
        for (int k = 0; k < HELD; ++k)
            if (p.in[k]) dx[first + p.at[k]] = (own_dy.at[k] - sum) * own.at[k];
        FOR_EACH_BEYOND(c, classes) dx[first + c] = (dy[first + c] - sum) * y[first + c];
    }
}

// The same for inner > 1; launch and memory as in softmax_forward.
KERNEL(softmax_backward)(const Real* y, const Real* dy, Real* dx, int outer, int classes, int inner) {
    FOR_EACH(position, outer * inner) {
        const unsigned first = position / inner * classes * inner + position % inner;
        Real sum = 0;
        for (int c = 0; c < classes; ++c) sum += dy[first + c * inner] * y[first + c * inner];
        for (int c = 0; c < classes; ++c) {
            const unsigned i = first + c * inner;
            dx[i] = (dy[i] - sum) * y[i];
        }
    }
}

// first_bad[0] = min(first_bad[0], flat index of the first label that is no whole number in [0, classes) nor `ignore`).
// Launch: one thread for AT_ONCE labels. Memory: labels once. The atomic minimum of integers is the same in any order,
// and is reached only by warps that hold a bad label.
KERNEL(check_labels)(const Real* __restrict__ labels, int* first_bad, int n, int classes, Real ignore) {
    int bad = 0x7fffffff;
    const auto check = [&](int i, Real label) {
        const bool right = label >= 0 && label < Real(classes) && label == floor(label);
        if (!right && label != ignore) bad = min(bad, i);
    };
    for_each_of(n, check, labels);
    bad = warp_min(bad);
    if (threadIdx.x % WARP == 0 && bad != 0x7fffffff) atomicMin(first_bad, bad);
}

// divisor[0] = the number of labels that count, at least 1. Launch: any grid, one block for up to 2^14 labels; then
// sum_parts with least = 1 where there were more. Memory: labels once. The sum is exact up to 2^24 labels a block.
KERNEL(count_labels)(const Real* __restrict__ labels, Real* divisor, Real* parts, int n, Real ignore) {
    int count = 0;
    for_each_of(n, [&](int, Real label) { count += label != ignore; }, labels);
    count = block_sum(count);
    finish_sum(Real(gridDim.x == 1 ? max(count, 1) : count), divisor, parts, Real(1), nullptr);
}

// The place of an element of scores (outer, classes, inner): its class, and that of its label.
struct Score {
    unsigned label, klass;
};
struct Scores {
    Divisor inner, classes;
    __device__ __forceinline__ Scores(int classes, int inner) : inner(inner), classes(classes) {}
    __device__ __forceinline__ Score operator()(unsigned i) const {
        const unsigned row = inner.quotient(i), item = classes.quotient(row);
        return {item * inner.by + (i - row * inner.by), row - item * classes.by};
    }
};

// loss[0] = -sum of log max(p[label], FLT_MIN) / divisor[0]. Launch: any grid, one thread for AT_ONCE labels; then
// sum_parts with factor -1 where it is larger than one block. Memory: labels once, and one p for each.
KERNEL(softmax_loss_forward)(const Real* __restrict__ p, const Real* __restrict__ labels, Real* loss, Real* parts,
                             const Real* divisor, int outer, int classes, int inner, Real ignore) {
    Real sum = 0;
    const Divisor width(inner);
    const auto cost = [&](unsigned i, Real label) {
        if (label == ignore || !is_class(label, classes)) return;
        const unsigned item = width.quotient(i), column = i - item * inner;
        const Real chosen = p[(item * classes + (unsigned)label) * inner + column];
        sum += log(chosen < SMALLEST_PROBABILITY ? SMALLEST_PROBABILITY : chosen);
    };
    for_each_of(outer * inner, cost, labels);
    finish_sum(block_sum(sum), loss, parts, Real(-1), divisor);
}

// dx = (p - onehot(label)) * scale[0] / divisor[0]; 0 at ignored labels. Launch: one thread for AT_ONCE of n
// elements. Memory: p and dx once, coalesced; a label is read for each of its classes, from cache.
KERNEL(softmax_loss_backward)(const Real* p, const Real* __restrict__ labels, Real* dx, const Real* scale,
                              const Real* divisor, int n, int classes, int inner, Real ignore) {
    const Real factor = scale[0] / divisor[0];
    const Scores scores(classes, inner);
    const auto gradient = [=](int i, Real value) {
        const Score score = scores(i);
        const Real label = labels[score.label];
        const bool own = score.klass == (unsigned)label;
        dx[i] = label == ignore ? Real(0) : (value - (own ? Real(1) : Real(0))) * factor;
    };
    for_each_of(n, gradient, p);
}

// body(item, labels[item]) for each of the items, a warp for each. The label of a warp's next item is under way while
// body works on this one, so that what a label points at is waited for once.
template <typename Body>
__device__ __forceinline__ void for_each_labelled_row(int items, const Real* __restrict__ labels, Body body) {
    const unsigned step = gridDim.x * blockDim.x / WARP;
    unsigned item = (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    if (item >= (unsigned)items) return;
    Real next = labels[item];
    for (; item < (unsigned)items; item += step) {
        const Real label = next;
        if (item + step < (unsigned)items) next = labels[item + step];
        body(item, label);
    }
}

// loss[0] = -sum over labels and classes of gains[label, c] * log max(p[c], 1e-20) / divisor[0]; gains (classes,
// classes). Launch: any grid, one thread for AT_ONCE of the n elements of p, or where inner is 1 a warp for a row; then
// sum_parts with factor -1 where it is larger than one block. Memory: p once, coalesced; gains from cache.
KERNEL(infogain_loss_forward)(const Real* __restrict__ p, const Real* __restrict__ labels,
                              const Real* __restrict__ gains, Real* loss, Real* parts, const Real* divisor, int n,
                              int classes, int inner, Real ignore) {
    Real sum = 0;
    const auto add = [&](int, Real value, Real gain) {
        sum += gain * log(value < SMALLEST_INFOGAIN ? SMALLEST_INFOGAIN : value);
    };
    if (inner == 1) {
        const Places own = places(threadIdx.x % WARP, WARP, classes);
        const auto cost = [&](unsigned item, Real label) {
            const Real* row = p + item * classes;
            const Loaded<Real> held = load<false>(row, own);
            if (label == ignore || !is_class(label, classes)) return;
            const Real* gain = gains + (unsigned)label * classes;
            const Loaded<Real> weights = load<false>(gain, own);
            use<false>(add, own, held, weights);
            FOR_EACH_BEYOND(c, classes) add(c, row[c], gain[c]);
        };
        for_each_labelled_row(n / max(classes, 1), labels, cost);
    } else {
        const Scores scores(classes, inner);
        const auto cost = [&](int i, Real value) {
            const Score score = scores(i);
            const Real label = labels[score.label];
            if (label == ignore || !is_class(label, classes)) return;
            add(i, value, gains[(unsigned)label * classes + score.klass]);
        };
        for_each_of(n, cost, p);
    }
    finish_sum(block_sum(sum), loss, parts, Real(-1), divisor);
}

// dx = (p * sum of gains[label] - gains[label]) * scale[0] / divisor[0]; 0 at ignored labels. gain_sums (classes): the
// sums of gains' rows. Launch and memory as in softmax_loss_backward.
KERNEL(infogain_loss_backward)(const Real* p, const Real* __restrict__ labels, const Real* __restrict__ gains,
                               const Real* __restrict__ gain_sums, Real* dx, const Real* scale, const Real* divisor,
                               int n, int classes, int inner, Real ignore) {
    const Real factor = scale[0] / divisor[0];
    const Scores scores(classes, inner);
    const auto gradient = [=](int i, Real value) {
        const Score score = scores(i);
        const Real label = labels[score.label];
        const unsigned row = label == ignore || !is_class(label, classes) ? 0 : (unsigned)label;
        const Real slope = (value * gain_sums[row] - gains[row * classes + score.klass]) * factor;
        dx[i] = label == ignore ? Real(0) : slope;
    };
    for_each_of(n, gradient, p);
}

// sums[r] = the sum of row r of x (rows, columns): gain_sums above. Launch: one warp a row. Memory: x once.
KERNEL(row_sums)(const Real* __restrict__ x, Real* sums, int rows, int columns) {
    FOR_EACH_WARP(r, rows) {
        Real sum = 0;
        FOR_EACH_IN_WARP(c, columns) sum += x[r * columns + c];
        sum = warp_sum(sum);
        if (threadIdx.x % WARP == 0) sums[r] = sum;
    }
}

#define IGNORED 0
#define WRONG 1
#define RIGHT 2

// verdict (outer * inner): whether an item counts, and whether fewer than top_k other classes score as high as its
// label's; an item with a NaN is wrong. first_nan[0] = min(first_nan[0], index of the first item that counts and has
// one).
// Launch: one warp an item. Memory: x once, coalesced where inner is 1.
KERNEL(accuracy_items)(const Real* __restrict__ x, const Real* __restrict__ labels, int* verdict, int* first_nan,
                       int outer, int classes, int inner, int top_k, Real ignore) {
    const Divisor width(inner);
    const Places p = places(threadIdx.x % WARP, WARP, inner == 1 ? classes : 0);
    const auto judge_item = [=](unsigned i, Real label) {
        const unsigned item = width.quotient(i);
        const Real* scores = x + item * classes * inner + (i - item * inner);
        const Loaded<Real> held = load<false>(scores, p);  // under way while the score of the label is read
        const bool known = is_class(label, classes), counts = label != ignore && known;
        int rivals = 0;
        bool nans = false;
        if (counts) {
            const Real own = scores[(unsigned)label * inner];
            const auto judge = [&](Real score) {
                rivals += score >= own;
                nans = nans || is_nan(score);
            };
#pragma unroll
            for (int k = 0; k < HELD; ++k)
                if (p.in[k]) judge(held.at[k]);
            if (inner == 1) FOR_EACH_BEYOND(c, classes) judge(scores[c]);
            else FOR_EACH_IN_WARP(c, classes) judge(scores[c * inner]);
        }
        rivals = warp_sum(rivals) - 1;
        nans = __any_sync(FULL_WARP, nans);
        if (threadIdx.x % WARP != 0) return;
        verdict[i] = label == ignore ? IGNORED : known && rivals < top_k && !nans ? RIGHT : WRONG;
        if (nans) atomicMin(first_nan, (int)i);
    };
    for_each_labelled_row(outer * inner, labels, judge_item);
}

// parts (2, blocks) = how many of a block's items count, and how many are right. Launch: any grid, one thread for
// AT_ONCE items. Memory: verdict once.
KERNEL(accuracy_parts)(const int* __restrict__ verdict, int* parts, int n) {
    int counted = 0, right = 0;
    const auto tally = [&](int, int found) {
        counted += found != IGNORED;
        right += found == RIGHT;
    };
    for_each_of(n, tally, verdict);
    counted = block_sum(counted);
    right = block_sum(right);
    if (threadIdx.x != 0) return;
    parts[blockIdx.x] = counted;
    parts[gridDim.x + blockIdx.x] = right;
}

// accuracy[0] = right items / items that count. Launch: one block, after accuracy_parts by `blocks` of them.
KERNEL(accuracy_forward)(const int* __restrict__ parts, Real* accuracy, int blocks) {
    int counted = 0, right = 0;
    const auto tally = [&](int, int some, int good) {
        counted += some;
        right += good;
    };
    for_each_of_block(blocks, tally, parts, parts + blocks);
    counted = block_sum(counted);
    right = block_sum(right);
    if (threadIdx.x == 0) accuracy[0] = Real(right) / Real(max(counted, 1));
}

// per_class[c] = right items / items of class c, 0 without any. Launch: one block a class. Memory: verdict and labels
// once for each class, from cache.
KERNEL(accuracy_per_class)(const int* __restrict__ verdict, const Real* __restrict__ labels, Real* per_class, int n,
                           int classes) {
    FOR_EACH_BLOCK(c, classes) {
        int counted = 0, right = 0;
        FOR_EACH_IN_BLOCK(i, n) {
            const bool member = labels[i] == Real(c);
            counted += member && verdict[i] != IGNORED;
            right += member && verdict[i] == RIGHT;
        }
        counted = block_sum(counted);
        right = block_sum(right);
        if (threadIdx.x == 0) per_class[c] = Real(right) / Real(max(counted, 1));
    }
}

// Hands over what a search among n elements found (check_labels, accuracy_items): report = {1 + first[0], its value} if
// that is below n and report holds nothing yet; values: null for 0. Then first[0] is ready for the next search.
// Launch: one block.
KERNEL(report_first)(int* first, Real* report, const Real* __restrict__ values, int n) {
    if (threadIdx.x != 0) return;
    const int index = first[0];
    if (index < n && report[0] == 0) {
        report[0] = Real(index) + Real(1);
        report[1] = values ? values[index] : Real(0);
    }
    first[0] = 0x7fffffff;
}
