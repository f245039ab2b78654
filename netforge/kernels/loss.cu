// Losses between predictions and targets (netforge/device/operations/loss.py). loss, divisor and scale are arrays of
// one number.
//
// Launch, unless said otherwise: one thread for AT_ONCE elements, any grid; a forward kernel whose grid is larger than
// one block leaves its sum in parts and wants sum_parts (reduce.cu) after it, with the same factor and divisor. Memory:
// each array once, coalesced. `items` is the size of the first axis; it divides as at least 1.
#include "common.cuh"

#define SMALLEST_MULTINOMIAL Real(1e-20)

// difference = a - b; loss[0] = factor * sum of difference^2, factor = 1 / (2 items).
KERNEL(euclidean_loss_forward)(const Real* a, const Real* b, Real* difference, Real* loss, Real* parts, int n,
                               Real factor) {
    Real sum = 0;
    const auto cost = [&](int i, Real u, Real v) {
        const Real d = u - v;
        difference[i] = d;
        sum += d * d;
    };
    for_each_of(n, cost, a, b);
    finish_sum(block_sum(sum), loss, parts, factor, nullptr);
}

// dx = factor * scale[0] * difference, factor = sign / items.
KERNEL(euclidean_loss_backward)(const Real* difference, Real* dx, const Real* scale, int n, Real factor) {
    const Real step = scale[0] * factor;
    for_each_of(n, [=](int i, Real d) { dx[i] = d * step; }, difference);
}

// Whether element i of an array (items, classes) belongs to its item's label.
__device__ __forceinline__ bool is_own(unsigned i, const Divisor& classes, const Real* labels) {
    const unsigned item = classes.quotient(i);
    return i - item * classes.by == (unsigned)labels[item];
}

// margins = max(0, 1 - x) at the label's class, max(0, 1 + x) elsewhere; loss[0] = factor * sum of margins^norm,
// factor = 1 / items. x (items, classes), n elements.
KERNEL(hinge_loss_forward)(const Real* x, const Real* __restrict__ labels, Real* margins, Real* loss, Real* parts,
                           int n, int classes, int norm, Real factor) {
    const Divisor row(classes);
    Real sum = 0;
    const auto cost = [&](int i, Real v) {
        Real margin = Real(1) + (is_own(i, row, labels) ? -v : v);
        if (margin < 0) margin = 0;
        margins[i] = margin;
        sum += norm == 1 ? margin : margin * margin;
    };
    for_each_of(n, cost, x);
    finish_sum(block_sum(sum), loss, parts, factor, nullptr);
}

// dx = (margins > 0) or 2 margins, negated at the label's class, times factor * scale[0], factor = 1 / items.
KERNEL(hinge_loss_backward)(const Real* __restrict__ labels, const Real* margins, Real* dx, const Real* scale, int n,
                            int classes, int norm, Real factor) {
    const Real step = scale[0] * factor;
    const Divisor row(classes);
    const auto gradient = [=](int i, Real margin) {
        const Real slope = norm == 2 ? Real(2) * margin : margin > 0 ? Real(1) : margin;
        dx[i] = (is_own(i, row, labels) ? -slope : slope) * step;
    };
    for_each_of(n, gradient, margins);
}

// loss[0] = factor * sum of log max(p[label], 1e-20), factor = -1 / items. Launch: one thread for AT_ONCE
// items.
KERNEL(multinomial_loss_forward)(const Real* __restrict__ p, const Real* __restrict__ labels, Real* loss, Real* parts,
                                 int items, int classes, Real factor) {
    Real sum = 0;
    const auto cost = [&](unsigned i, Real label) {
        if (!is_class(label, classes)) return;
        const Real chosen = p[i * classes + (unsigned)label];
        sum += log(chosen < SMALLEST_MULTINOMIAL ? SMALLEST_MULTINOMIAL : chosen);
    };
    for_each_of(items, cost, labels);
    finish_sum(block_sum(sum), loss, parts, factor, nullptr);
}

// dx = factor * scale[0] / max(p, 1e-20) at the label's class, 0 elsewhere; factor = -1 / items. Launch: one thread an
// element. Memory: dx once, p at the labels only.
KERNEL(multinomial_loss_backward)(const Real* p, const Real* __restrict__ labels, Real* dx, const Real* scale, int n,
                                  int classes, Real factor) {
    const Divisor row(classes);
    FOR_EACH(i, n) {
        const bool own = is_own(i, row, labels);
        dx[i] = own ? factor * scale[0] / (p[i] < SMALLEST_MULTINOMIAL ? SMALLEST_MULTINOMIAL : p[i]) : Real(0);
    }
}

// Cross entropy of sigmoid(x) against targets, over divisor[0]; elements whose target, cut to a whole number, is
// `ignore` (NaN: none) do not count, here and below.
KERNEL(sigmoid_loss_forward)(const Real* __restrict__ x, const Real* __restrict__ targets, Real* loss, Real* parts,
                             const Real* divisor, int n, Real ignore) {
    Real sum = 0;
    const auto cost = [&](int, Real v, Real target) {
        if (trunc(target) != ignore) sum += (v > 0 ? v : Real(0)) - target * v + log1p(exp(-fabs(v)));
    };
    for_each_of(n, cost, x, targets);
    finish_sum(block_sum(sum), loss, parts, Real(1), divisor);
}

// dx = (sigmoid(x) - targets) * scale[0] / divisor[0].
KERNEL(sigmoid_loss_backward)(const Real* x, const Real* __restrict__ targets, Real* dx, const Real* scale,
                              const Real* divisor, int n, Real ignore) {
    const Real step = scale[0] / divisor[0];
    const auto gradient = [=](int i, Real v, Real target) {
        const Real value = Real(0.5) + Real(0.5) * tanh(Real(0.5) * v);
        dx[i] = trunc(target) != ignore ? (value - target) * step : Real(0);
    };
    for_each_of(n, gradient, x, targets);
}
