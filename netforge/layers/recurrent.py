"""Recurrent layers over sequences that lie side by side in a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netforge.blob import Blob
from netforge.errors import SnapshotError
from netforge.layers.base import Layer, register_layer, slots


class Recurrent(Layer):
    """What RNN and LSTM share: T steps of N sequences, whose state carries over from one batch to the next.

    x (T, N, ...), cont (T, N): 0 where a sequence starts, which clears the state before that step, 1 elsewhere. An
    optional third bottom (N, ...) is seen at every step. With expose_hidden the state before the first step comes as
    further bottoms, and the state after the last leaves as further tops, (1, N, H) each; then nothing carries over.
    """

    bottoms = slots(
        "x (T, N, ...)", "cont (T, N)", optional=("static input (N, ...)", "state (1, N, H)", "second state")
    )
    tops = slots("h (T, N, H)", optional=("state (1, N, H)", "second state"))
    blocked_bottoms = (1,)
    replayable = True
    states = 1

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check the bottoms, make room for the state."""
        s = self.settings
        if not s.num_output:
            raise self.fail("num_output is missing", setting="recurrent_param", mend="give num_output, 1 or more")
        exposed = self.states if s.expose_hidden else 0
        if len(bottom) - exposed not in (2, 3) or len(top) != 1 + exposed:
            raise self.fail(
                f"{len(bottom)} bottoms and {len(top)} tops do not fit",
                mend=f"give x, cont and maybe a static input, then {exposed} states; {1 + exposed} tops",
            )
        self.static = len(bottom) - exposed == 3
        self.exposed = bool(exposed)
        self.hidden: int = s.num_output
        if len(bottom[0].shape) < 2:
            raise self.fail(f'"{bottom[0].name}" has shape {bottom[0].shape}', mend="give (T, N, ...)")
        self.inputs = math.prod(bottom[0].shape[2:])
        self.carried = [self.buffer(f"carried{i}") for i in range(self.states)]
        self.running = [self.buffer(f"running{i}") for i in range(self.states)]  # gradients on their way through time
        self.static_gates = self.buffer("static gates")  # the static input's share, the same at every step

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One output for each step and sequence."""
        x, cont = bottom[0].shape, bottom[1].shape
        if cont != x[:2] or math.prod(x[2:]) != self.inputs:
            raise self.fail(f'"{bottom[0].name}" {x} and "{bottom[1].name}" {cont} do not fit: (T, N, ...) and (T, N)')
        if self.static and bottom[2].shape[:1] != (x[1],):
            raise self.fail(f'static input "{bottom[2].name}" has shape {bottom[2].shape}, not ({x[1]}, ...)')
        top[0].reshape((*x[:2], self.hidden))
        for blob in [*self.carried, *self.running, *top[1:]]:
            blob.reshape((1, x[1], self.hidden))
        self.static_gates.reshape((x[1], self.gate_rows) if self.static else (0,))
        for blob in bottom[len(bottom) - self.states :] if self.exposed else ():
            if blob.count != x[1] * self.hidden:
                raise self.fail(f'state "{blob.name}" has shape {blob.shape}, not (1, {x[1]}, {self.hidden})')
        self.shape_buffers(*x[:2])

    def shape_buffers(self, steps: int, sequences: int) -> None:
        """Give the buffers for values of all steps their shapes."""
        raise self._lacks("shape_buffers")

    @property
    def gate_rows(self) -> int:
        """Rows of the weights that read the input: H for each gate."""
        return self.hidden

    def _start(self, bottom: list[Blob]) -> list[Any]:
        """The states before the first step, (N, H) each."""
        blobs = bottom[len(bottom) - self.states :] if self.exposed else self.carried
        return [blob.data.reshape(-1, self.hidden) for blob in blobs]

    def _start_diffs(self, propagate_down: Sequence[bool], bottom: list[Blob], diffs: Sequence[Any]) -> None:
        """Give the gradients of the first states to their bottoms."""
        first = len(bottom) - self.states
        for i, diff in enumerate(diffs) if self.exposed else ():
            if propagate_down[first + i]:
                self.ops.copy(diff, bottom[first + i].diff.reshape(-1, self.hidden))

    def _end(self, top: list[Blob], states: Sequence[Any]) -> None:
        """Keep the states after the last step, or give them out."""
        for blob, state in zip(top[1:] if self.exposed else self.carried, states, strict=True):
            self.ops.copy(state, blob.data.reshape(-1, self.hidden))

    def _end_diffs(self, top: list[Blob]) -> list[Any]:
        """The gradients of the states after the last step, (N, H) each, in buffers that the steps may work in."""
        for i, blob in enumerate(self.running):
            if self.exposed:
                self.ops.copy(top[1 + i].diff.reshape(blob.shape), blob.data)
            else:
                self.ops.fill(blob.data, 0.0)
        return [blob.data[0] for blob in self.running]

    def _mask(self, state: Any, cont: Any, out: Any) -> None:
        """out (N, H) = state, cleared where a sequence starts; cont (N,). out may be state."""
        view = (1, *state.shape)
        self.ops.scale_forward(state.reshape(view), cont, None, out.reshape(view))

    def _add_inputs(self, bottom: list[Blob], gates: Any) -> None:
        """gates (T, N, G) = x W^T + b, plus the static input's share."""
        steps, sequences, size = gates.shape
        flat = gates.reshape(steps * sequences, size)
        self.ops.matmul(bottom[0].data.reshape(-1, self.inputs), self.weights[0].data, flat, transpose_b=True)
        self.ops.bias_forward(flat, self.weights[1].data)
        if self.static:
            share = self.static_gates.data
            self.ops.matmul(bottom[2].data.reshape(sequences, -1), self.weights[2].data, share, transpose_b=True)
            self.ops.bias_forward(gates.reshape(steps, sequences * size), share.reshape(-1))

    def _input_gradients(self, dgates: Any, propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Gradients of what `_add_inputs` read: weights 0, 1 and that of the static input, and the bottoms."""
        steps, sequences, size = dgates.shape
        flat = dgates.reshape(steps * sequences, size)
        x = bottom[0].data.reshape(-1, self.inputs)
        if self.learns(0):
            self.ops.matmul(flat, x, self.weights[0].diff, transpose_a=True, accumulate=True)
        if self.learns(1):
            self.ops.bias_backward(flat, self.weights[1].diff)
        if propagate_down[0]:
            self.ops.matmul(flat, self.weights[0].data, bottom[0].diff.reshape(-1, self.inputs))
        if self.static:
            total, static = self.static_gates.data, bottom[2].data.reshape(sequences, -1)
            self.ops.fill(total, 0.0)
            self.ops.bias_backward(dgates.reshape(steps, sequences * size), total.reshape(-1))
            if self.learns(2):
                self.ops.matmul(total, static, self.weights[2].diff, transpose_a=True, accumulate=True)
            if propagate_down[2]:
                self.ops.matmul(total, self.weights[2].data, bottom[2].diff.reshape(sequences, -1))

    def _recurrent_gradient(self, dgates: Any, before: Any, index: int) -> None:
        """The gradient of weight `index`, which read the masked states `before` (T, N, H) at every step."""
        if self.learns(index):
            self.ops.matmul(
                dgates.reshape(-1, self.gate_rows),
                before.reshape(-1, self.hidden),
                self.weights[index].diff,
                transpose_a=True,
                accumulate=True,
            )

    def state(self) -> dict[str, Any]:
        """The carried states, besides the draws."""
        return {
            **super().state(),
            **{f"carried{i}": self.device.to_host(blob.data).copy() for i, blob in enumerate(self.carried)},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        super().restore(state)
        for i, blob in enumerate(self.carried):
            values = state[f"carried{i}"]
            if values.shape != blob.shape:
                raise self.fail(
                    f"the stored state has shape {values.shape}, the layer's is {blob.shape}",
                    error=SnapshotError,
                    mend="resume with the batch size that the state was written with",
                )
            blob.data[...] = self.device.from_host(values.astype(self.dtype))


@register_layer("LSTM", settings="recurrent_param")
class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates; Donahue et al. 2015).

    c = cont * f * c + i * g, h = o * tanh(c), with i, f, o = sigmoid and g = tanh of W_xc x + b_c + W_hc (cont * h).
    Weights: W_xc (4H, inputs), b_c (4H,), W_xc_static (4H, ...) with a static input, W_hc (4H, H); rows in the order
    i, f, o, g. States exposed by expose_hidden: h, then c.
    """

    states = 2

    @property
    def gate_rows(self) -> int:
        """Four gates."""
        return 4 * self.hidden

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare the weights."""
        super().setup(bottom, top)
        s, rows = self.settings, self.gate_rows
        self.add_weight((rows, self.inputs), s.weight_filler)
        self.add_weight((rows,), s.bias_filler)
        if self.static:
            self.add_weight((rows, math.prod(bottom[2].shape[1:])), s.weight_filler)
        self.add_weight((rows, self.hidden), s.weight_filler)
        self.gates, self.cells, self.before = (self.buffer(n) for n in ("gates", "cells", "before"))

    def shape_buffers(self, steps: int, sequences: int) -> None:
        """Gates and cells of all steps."""
        self.gates.reshape((steps, sequences, 4 * self.hidden))
        self.cells.reshape((steps + 1, sequences, self.hidden))
        self.before.reshape((steps, sequences, self.hidden))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Step by step."""
        gates, cells, before, h = self.gates.data, self.cells.data, self.before.data, top[0].data
        self._add_inputs(bottom, gates)
        recurrent, cont = self.weights[-1].data, bottom[1].data
        state, cell = self._start(bottom)
        self.ops.copy(cell, cells[0])
        for t in range(len(gates)):
            self._mask(state, cont[t], before[t])
            self.ops.matmul(before[t], recurrent, gates[t], transpose_b=True, accumulate=True)
            self.ops.lstm_unit_forward(cells[t], gates[t], cont[t], cells[t + 1], h[t])
            state = h[t]
        self._end(top, (state, cells[-1]))

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Through the steps of this batch, last to first."""
        gates, cells, dgates = self.gates.data, self.cells.data, self.gates.diff
        cont, recurrent = bottom[1].data, self.weights[-1].data
        dh, dc = self._end_diffs(top)
        for t in reversed(range(len(gates))):
            self.ops.weighted_sum([dh, top[0].diff[t]], (1.0, 1.0), dh)
            self.ops.lstm_unit_backward(cells[t], gates[t], cont[t], cells[t + 1], dc, dh, dc, dgates[t])
            self.ops.matmul(dgates[t], recurrent, dh)
            self._mask(dh, cont[t], dh)
        self._recurrent_gradient(dgates, self.before.data, len(self.weights) - 1)
        self._input_gradients(dgates, propagate_down, bottom)
        self._start_diffs(propagate_down, bottom, (dh, dc))


@register_layer("RNN", settings="recurrent_param")
class RNN(Recurrent):
    """h = tanh(W_xh x + b_h + W_hh (cont * h)), y = tanh(W_ho h + b_o) (after Elman 1990).

    Weights: W_xh (H, inputs), b_h (H,), W_xh_static (H, ...) with a static input, W_hh (H, H), W_ho (H, H), b_o (H,).
    """

    backward_reads_top = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare the weights."""
        super().setup(bottom, top)
        s, hidden = self.settings, self.hidden
        self.add_weight((hidden, self.inputs), s.weight_filler)
        self.add_weight((hidden,), s.bias_filler)
        if self.static:
            self.add_weight((hidden, math.prod(bottom[2].shape[1:])), s.weight_filler)
        self.add_weight((hidden, hidden), s.weight_filler)
        self.add_weight((hidden, hidden), s.weight_filler)
        self.add_weight((hidden,), s.bias_filler)
        self.steps, self.before, self.outputs = (self.buffer(n) for n in ("hidden", "before", "outputs"))

    def shape_buffers(self, steps: int, sequences: int) -> None:
        """Hidden values of all steps."""
        for blob in (self.steps, self.before, self.outputs):
            blob.reshape((steps, sequences, self.hidden))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Step by step, then the outputs of all steps at once."""
        hidden, before, cont = self.steps.data, self.before.data, bottom[1].data
        self._add_inputs(bottom, hidden)
        recurrent, output, bias = (blob.data for blob in self.weights[-3:])
        (state,) = self._start(bottom)
        for t in range(len(hidden)):
            self._mask(state, cont[t], before[t])
            self.ops.matmul(before[t], recurrent, hidden[t], transpose_b=True, accumulate=True)
            self.ops.tanh_forward(hidden[t], hidden[t])
            state = hidden[t]
        y = top[0].data.reshape(-1, self.hidden)
        self.ops.matmul(hidden.reshape(-1, self.hidden), output, y, transpose_b=True)
        self.ops.bias_forward(y, bias)
        self.ops.tanh_forward(y, y)
        self._end(top, (state,))

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Through the outputs at once, then through the steps, last to first."""
        hidden, cont, dhidden = self.steps.data, bottom[1].data, self.steps.diff
        index = len(self.weights) - 3
        recurrent, output = self.weights[index].data, self.weights[index + 1].data
        dy = self.outputs.diff
        self.ops.tanh_backward(top[0].data, top[0].diff, dy)
        flat_dy, flat_hidden = dy.reshape(-1, self.hidden), hidden.reshape(-1, self.hidden)
        if self.learns(index + 1):
            self.ops.matmul(flat_dy, flat_hidden, self.weights[index + 1].diff, transpose_a=True, accumulate=True)
        if self.learns(index + 2):
            self.ops.bias_backward(flat_dy, self.weights[index + 2].diff)
        self.ops.matmul(flat_dy, output, dhidden.reshape(-1, self.hidden))
        (carry,) = self._end_diffs(top)
        for t in reversed(range(len(hidden))):
            self.ops.weighted_sum([dhidden[t], carry], (1.0, 1.0), dhidden[t])
            self.ops.tanh_backward(hidden[t], dhidden[t], dhidden[t])
            self.ops.matmul(dhidden[t], recurrent, carry)
            self._mask(carry, cont[t], carry)
        self._recurrent_gradient(dhidden, self.before.data, index)
        self._input_gradients(dhidden, propagate_down, bottom)
        self._start_diffs(propagate_down, bottom, (carry,))
