// Elementwise activations (netforge/device/operations/neuron.py).
//
// Launch, unless said otherwise: one thread for AT_ONCE elements, any grid; 256 threads a block. Memory: each array
// once, coalesced; nothing is reused, so the copy bandwidth is the bound. Outputs may be the inputs' own arrays, hence
// no __restrict__.
#include "common.cuh"

KERNEL(relu_forward)(const Real* x, Real* y, int n, Real slope) {
    for_each_of(n, [=](int i, Real v) { y[i] = rectified(v, slope); }, x);
}

KERNEL(relu_backward)(const Real* x, const Real* dy, Real* dx, int n, Real slope) {
    for_each_of(n, [=](int i, Real v, Real d) { dx[i] = rectified_slope(d, v, slope); }, x, dy);
}

// y = the ReLU of a + b.
KERNEL(relu_of_sum_forward)(const Real* a, const Real* b, Real* y, int n, Real slope) {
    for_each_of(n, [=](int i, Real u, Real v) { y[i] = rectified(u + v, slope); }, a, b);
}

// da = db = the gradient of what was rectified, each unless it is null.
KERNEL(relu_of_sum_backward)(const Real* y, const Real* dy, Real* da, Real* db, int n, Real slope) {
    const auto share = [=](int i, Real v, Real d) {
        const Real dx = rectified_slope(d, v, slope);
        if (da) da[i] = dx;
        if (db) db[i] = dx;
    };
    for_each_of(n, share, y, dy);
}

// x (N, channels, inner); slopes: `slope_count` numbers, one for each channel or one for all.
KERNEL(prelu_forward)(const Real* x, const Real* slope, Real* y, int n, int channels, int inner, int slope_count) {
    const ChannelOf channel(slope_count == 1 ? 1 : channels, inner);
    for_each_of(n, [=](int i, Real v) { y[i] = v > 0 ? v : v * slope[channel(i)]; }, x);
}

KERNEL(prelu_backward)(const Real* x, const Real* slope, const Real* dy, Real* dx, int n, int channels, int inner,
                       int slope_count) {
    const ChannelOf channel(slope_count == 1 ? 1 : channels, inner);
    for_each_of(n, [=](int i, Real v, Real d) { dx[i] = v > 0 ? d : d * slope[channel(i)]; }, x, dy);
}

// 1 / (1 + exp(-x)) without overflow.
__device__ __forceinline__ Real sigmoid(Real x) { return Real(0.5) + Real(0.5) * tanh(Real(0.5) * x); }

KERNEL(sigmoid_forward)(const Real* x, Real* y, int n) {
    for_each_of(n, [=](int i, Real v) { y[i] = sigmoid(v); }, x);
}

KERNEL(sigmoid_backward)(const Real* y, const Real* dy, Real* dx, int n) {
    for_each_of(n, [=](int i, Real v, Real d) { dx[i] = d * ((Real(1) - v) * v); }, y, dy);
}

KERNEL(tanh_forward)(const Real* x, Real* y, int n) {
    for_each_of(n, [=](int i, Real v) { y[i] = tanh(v); }, x);
}

KERNEL(tanh_backward)(const Real* y, const Real* dy, Real* dx, int n) {
    for_each_of(n, [=](int i, Real v, Real d) { dx[i] = d * (Real(1) - v * v); }, y, dy);
}

KERNEL(elu_forward)(const Real* x, Real* y, int n, Real alpha) {
    for_each_of(n, [=](int i, Real v) { y[i] = v > 0 ? v : alpha * expm1(v); }, x);
}

KERNEL(elu_backward)(const Real* y, const Real* dy, Real* dx, int n, Real alpha) {
    for_each_of(n, [=](int i, Real v, Real d) { dx[i] = d * (v > 0 ? Real(1) : v + alpha); }, y, dy);
}

KERNEL(swish_forward)(const Real* x, Real* y, int n, Real beta) {
    for_each_of(n, [=](int i, Real v) { y[i] = v * sigmoid(beta * v); }, x);
}

KERNEL(swish_backward)(const Real* x, const Real* dy, Real* dx, int n, Real beta) {
    const auto slope = [=](int i, Real v, Real d) {
        const Real s = sigmoid(beta * v);
        dx[i] = d * (s * (Real(1) + beta * v * (Real(1) - s)));
    };
    for_each_of(n, slope, x, dy);
}

KERNEL(clip_forward)(const Real* x, Real* y, int n, Real low, Real high) {
    for_each_of(n, [=](int i, Real v) { y[i] = v < low ? low : v > high ? high : v; }, x);
}

KERNEL(clip_backward)(const Real* x, const Real* dy, Real* dx, int n, Real low, Real high) {
    for_each_of(n, [=](int i, Real v, Real d) { dx[i] = d * (v >= low && v <= high ? Real(1) : Real(0)); }, x, dy);
}

KERNEL(bnll_forward)(const Real* x, Real* y, int n) {
    for_each_of(n, [=](int i, Real v) { y[i] = (v > 0 ? v : Real(0)) + log1p(exp(-fabs(v))); }, x);
}

KERNEL(bnll_backward)(const Real* y, const Real* dy, Real* dx, int n) {
    for_each_of(n, [=](int i, Real v, Real d) { dx[i] = d * -expm1(-v); }, y, dy);
}

KERNEL(absval_forward)(const Real* x, Real* y, int n) {
    for_each_of(n, [=](int i, Real v) { y[i] = fabs(v); }, x);
}

KERNEL(absval_backward)(const Real* x, const Real* dy, Real* dx, int n) {
    // the sign of 0 is 0, that of NaN is NaN
    for_each_of(n, [=](int i, Real v, Real d) { dx[i] = d * (v > 0 ? Real(1) : v < 0 ? Real(-1) : v); }, x, dy);
}

KERNEL(threshold_forward)(const Real* x, Real* y, int n, Real threshold) {
    for_each_of(n, [=](int i, Real v) { y[i] = v > threshold ? Real(1) : Real(0); }, x);
}

// base ^ power; squares, and what needs no power at all, are common and cost nothing.
__device__ __forceinline__ Real power_of(Real base, Real power) {
    return power == 1 ? base : power == 2 ? base * base : pow(base, power);
}

KERNEL(power_forward)(const Real* x, Real* y, int n, Real power, Real scale, Real shift) {
    for_each_of(n, [=](int i, Real v) { y[i] = power_of(v * scale + shift, power); }, x);
}

KERNEL(power_backward)(const Real* x, const Real* dy, Real* dx, int n, Real power, Real scale, Real shift) {
    const Real factor = power * scale;
    const auto slope = [=](int i, Real v, Real d) {
        if (factor == 0) dx[i] = 0;
        else dx[i] = d * (power == 1 ? scale : factor * power_of(shift + scale * v, power - Real(1)));
    };
    for_each_of(n, slope, x, dy);
}

// log_base: the natural logarithm of the base, here and below.
KERNEL(exp_forward)(const Real* x, Real* y, int n, Real log_base, Real scale, Real shift) {
    const Real by = log_base * scale, plus = log_base * shift;
    for_each_of(n, [=](int i, Real v) { y[i] = exp(v * by + plus); }, x);
}

KERNEL(exp_backward)(const Real* y, const Real* dy, Real* dx, int n, Real log_base, Real scale) {
    const Real by = log_base * scale;
    for_each_of(n, [=](int i, Real v, Real d) { dx[i] = d * (v * by); }, y, dy);
}

KERNEL(log_forward)(const Real* x, Real* y, int n, Real log_base, Real scale, Real shift) {
    for_each_of(n, [=](int i, Real v) { y[i] = log(v * scale + shift) / log_base; }, x);
}

KERNEL(log_backward)(const Real* x, const Real* dy, Real* dx, int n, Real log_base, Real scale, Real shift) {
    const Real by = scale / log_base;
    for_each_of(n, [=](int i, Real v, Real d) { dx[i] = d * (by / (shift + scale * v)); }, x, dy);
}

// One step of an LSTM: n = items * hidden. gates (items, 4 hidden): input, forget, output, candidate before their
// nonlinearities, overwritten with the values after them; cont (items): 0 where a sequence starts.
// Launch: one thread an element.
KERNEL(lstm_unit_forward)(const Real* c_before, Real* gates, const Real* cont, Real* c, Real* h, int n, int hidden) {
    FOR_EACH(i, n) {
        const unsigned item = i / hidden;
        Real* gate = gates + item * 4 * hidden + i % hidden;
        const Real input = sigmoid(gate[0]), forget = sigmoid(gate[hidden]), output = sigmoid(gate[2 * hidden]);
        const Real candidate = tanh(gate[3 * hidden]);
        gate[0] = input;
        gate[hidden] = forget;
        gate[2 * hidden] = output;
        gate[3 * hidden] = candidate;
        const Real cell = cont[item] * forget * c_before[i] + input * candidate;
        c[i] = cell;
        h[i] = output * tanh(cell);
    }
}

KERNEL(lstm_unit_backward)(const Real* c_before, const Real* gates, const Real* cont, const Real* c, const Real* dc,
                           const Real* dh, Real* dc_before, Real* dgates, int n, int hidden) {
    FOR_EACH(i, n) {
        const unsigned item = i / hidden, place = item * 4 * hidden + i % hidden;
        const Real* gate = gates + place;
        Real* dgate = dgates + place;
        const Real input = gate[0], forget = gate[hidden], output = gate[2 * hidden], candidate = gate[3 * hidden];
        const Real tanh_c = tanh(c[i]), dh_i = dh[i];
        const Real total = dc[i] + dh_i * output * (Real(1) - tanh_c * tanh_c);
        const Real carried = cont[item] * total;
        dgate[0] = total * candidate * (input * (Real(1) - input));
        dgate[hidden] = carried * c_before[i] * (forget * (Real(1) - forget));
        dgate[2 * hidden] = dh_i * tanh_c * (output * (Real(1) - output));
        dgate[3 * hidden] = total * input * (Real(1) - candidate * candidate);
        dc_before[i] = carried * forget;
    }
}
