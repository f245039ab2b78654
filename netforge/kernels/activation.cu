// Elementwise activations (netforge/device/operations/neuron.py).
//
// Launch: one thread an element, any grid; 256 threads a block. Memory: each array once, coalesced; nothing is reused,
// so the copy bandwidth is the bound. Outputs may be the inputs' own arrays, hence no __restrict__.
#include "common.cuh"

KERNEL(relu_forward)(const Real* x, Real* y, int n, Real slope) {
    FOR_EACH(i, n) {
        const Real v = x[i];
        // a slope of 0 must not turn minus infinity into NaN, nor NaN into 0
        y[i] = v > 0 ? v : slope != 0 || is_nan(v) ? slope * v : Real(0);
    }
}

KERNEL(relu_backward)(const Real* x, const Real* dy, Real* dx, int n, Real slope) {
    FOR_EACH(i, n) dx[i] = dy[i] * (x[i] > 0 ? Real(1) : slope);
}

// x (N, channels, inner); slopes: `slope_count` numbers, one for each channel or one for all.
KERNEL(prelu_forward)(const Real* x, const Real* slope, Real* y, int n, int channels, int inner, int slope_count) {
    FOR_EACH(i, n) {
        const Real v = x[i];
        y[i] = v > 0 ? v : v * slope[slope_count == 1 ? 0 : i / inner % channels];
    }
}

KERNEL(prelu_backward)(const Real* x, const Real* slope, const Real* dy, Real* dx, int n, int channels, int inner,
                       int slope_count) {
    FOR_EACH(i, n) dx[i] = x[i] > 0 ? dy[i] : dy[i] * slope[slope_count == 1 ? 0 : i / inner % channels];
}

// 1 / (1 + exp(-x)) without overflow.
__device__ __forceinline__ Real sigmoid(Real x) { return Real(0.5) + Real(0.5) * tanh(Real(0.5) * x); }

KERNEL(sigmoid_forward)(const Real* x, Real* y, int n) {
    FOR_EACH(i, n) y[i] = sigmoid(x[i]);
}

KERNEL(sigmoid_backward)(const Real* y, const Real* dy, Real* dx, int n) {
    FOR_EACH(i, n) dx[i] = dy[i] * ((Real(1) - y[i]) * y[i]);
}

KERNEL(tanh_forward)(const Real* x, Real* y, int n) {
    FOR_EACH(i, n) y[i] = tanh(x[i]);
}

KERNEL(tanh_backward)(const Real* y, const Real* dy, Real* dx, int n) {
    FOR_EACH(i, n) dx[i] = dy[i] * (Real(1) - y[i] * y[i]);
}

KERNEL(elu_forward)(const Real* x, Real* y, int n, Real alpha) {
    FOR_EACH(i, n) y[i] = x[i] > 0 ? x[i] : alpha * expm1(x[i]);
}

KERNEL(elu_backward)(const Real* y, const Real* dy, Real* dx, int n, Real alpha) {
    FOR_EACH(i, n) dx[i] = dy[i] * (y[i] > 0 ? Real(1) : y[i] + alpha);
}

KERNEL(swish_forward)(const Real* x, Real* y, int n, Real beta) {
    FOR_EACH(i, n) y[i] = x[i] * sigmoid(beta * x[i]);
}

KERNEL(swish_backward)(const Real* x, const Real* dy, Real* dx, int n, Real beta) {
    FOR_EACH(i, n) {
        const Real s = sigmoid(beta * x[i]);
        dx[i] = dy[i] * (s * (Real(1) + beta * x[i] * (Real(1) - s)));
    }
}

KERNEL(clip_forward)(const Real* x, Real* y, int n, Real low, Real high) {
    FOR_EACH(i, n) y[i] = x[i] < low ? low : x[i] > high ? high : x[i];
}

KERNEL(clip_backward)(const Real* x, const Real* dy, Real* dx, int n, Real low, Real high) {
    FOR_EACH(i, n) dx[i] = dy[i] * (x[i] >= low && x[i] <= high ? Real(1) : Real(0));
}

KERNEL(bnll_forward)(const Real* x, Real* y, int n) {
    FOR_EACH(i, n) y[i] = (x[i] > 0 ? x[i] : Real(0)) + log1p(exp(-fabs(x[i])));
}

KERNEL(bnll_backward)(const Real* y, const Real* dy, Real* dx, int n) {
    FOR_EACH(i, n) dx[i] = dy[i] * -expm1(-y[i]);
}

KERNEL(absval_forward)(const Real* x, Real* y, int n) {
    FOR_EACH(i, n) y[i] = fabs(x[i]);
}

KERNEL(absval_backward)(const Real* x, const Real* dy, Real* dx, int n) {
    // the sign of 0 is 0, that of NaN is NaN
    FOR_EACH(i, n) dx[i] = dy[i] * (x[i] > 0 ? Real(1) : x[i] < 0 ? Real(-1) : x[i]);
}

KERNEL(threshold_forward)(const Real* x, Real* y, int n, Real threshold) {
    FOR_EACH(i, n) y[i] = x[i] > threshold ? Real(1) : Real(0);
}

KERNEL(power_forward)(const Real* x, Real* y, int n, Real power, Real scale, Real shift) {
    FOR_EACH(i, n) {
        const Real base = x[i] * scale + shift;
        y[i] = power == 1 ? base : pow(base, power);
    }
}

KERNEL(power_backward)(const Real* x, const Real* dy, Real* dx, int n, Real power, Real scale, Real shift) {
    const Real factor = power * scale;
    FOR_EACH(i, n) {
        if (factor == 0) dx[i] = 0;
        else dx[i] = dy[i] * (power == 1 ? scale : factor * pow(shift + scale * x[i], power - Real(1)));
    }
}

// log_base: the natural logarithm of the base, here and below.
KERNEL(exp_forward)(const Real* x, Real* y, int n, Real log_base, Real scale, Real shift) {
    FOR_EACH(i, n) y[i] = exp(x[i] * (log_base * scale) + log_base * shift);
}

KERNEL(exp_backward)(const Real* y, const Real* dy, Real* dx, int n, Real log_base, Real scale) {
    FOR_EACH(i, n) dx[i] = dy[i] * (y[i] * (log_base * scale));
}

KERNEL(log_forward)(const Real* x, Real* y, int n, Real log_base, Real scale, Real shift) {
    FOR_EACH(i, n) y[i] = log(x[i] * scale + shift) / log_base;
}

KERNEL(log_backward)(const Real* x, const Real* dy, Real* dx, int n, Real log_base, Real scale, Real shift) {
    FOR_EACH(i, n) dx[i] = dy[i] * ((scale / log_base) / (shift + scale * x[i]));
}

// One step of an LSTM: n = items * hidden. gates (items, 4 hidden): input, forget, output, candidate before their
// nonlinearities, overwritten with the values after them; cont (items): 0 where a sequence starts.
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
