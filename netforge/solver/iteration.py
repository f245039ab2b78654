"""What happens between two updates: gradients of some passes are summed, clipped and turned into an update."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from netforge.device.operations import update as ops
from netforge.net import Net
from netforge.solver import debug
from netforge.solver.rules import Buffers, UpdateRule


class Iteration:
    """The steps of one training iteration: iter_size times `run_pass`, then `update`.

    net: to train. rule: turns gradients into updates. settings: a SolverParameter.

    On a device that records graphs (`netforge.net.replay`) an iteration is one launch for each pass: the update belongs
    to the last one. Only where the loss is read, the host comes in between.
    """

    def __init__(self, net: Net, rule: UpdateRule, settings: Any) -> None:
        self.net, self.rule, self.settings = net, rule, settings
        self._written: dict[int, float] = {}
        if self.debugs and settings.display > 0:
            net.replay.refuse("debug_info reads every blob")

    @property
    def debugs(self) -> bool:
        """Whether what happens in the net is described where the loss is displayed."""
        return bool(self.settings.debug_info or self.net.definition.message.debug_info)

    @property
    def execution(self) -> str:
        """How iterations run: "one CUDA graph", or "eager: ..." with the reason and the layer at fault."""
        obstacle, passes = self.net.replay.obstacle, self.settings.iter_size
        if obstacle is not None:
            return f"eager: {obstacle}"
        return "one CUDA graph" if passes == 1 else f"{passes} CUDA graphs, one a pass"

    @cached_property
    def buffers(self) -> Buffers:
        """The flat arrays that an update works on; made when they are first needed."""
        net, device = self.net, self.net.device
        flat = net.flat_weights
        segments = tuple(ops.Segment(e.offset, e.size, e.lr_mult, e.decay_mult) for e in net.learnable)
        histories = [device.zeros(flat.data.shape, flat.data.dtype) for _ in range(self.rule.histories)]
        control = np.zeros(ops.CONTROL_SIZE)
        control[ops.SCALE] = 1.0 / self.settings.iter_size
        return Buffers(flat.data, flat.diff, histories, segments, device.from_host(control))

    def start(self, rate: float, finished: int) -> None:
        """Hand the device what changes from one iteration to the next. finished: iterations before this one."""
        numbers = {ops.RATE: rate, ops.CORRECTION: self.rule.correction(finished)}
        for place, number in numbers.items():
            if number != self._written.get(place):  # each write is a launch
                self.buffers.control[place] = self._written[place] = number

    def run_pass(
        self, number: int, read_loss: Callable[[], float] | None = None, lines: list[str] | None = None
    ) -> float:
        """Add the gradients of pass `number` (from 0); returns its loss, or 0 where it is not read.

        read_loss: reads the loss behind the forward pass, and raises where it is not finite; the update is left to
        `update` then, so that the gradients can be looked at before. lines: what debug_info prints is added to them.
        """
        first = (self.net.clear_weight_diffs,) if number == 0 else ()
        if read_loss is not None and lines is not None:
            return self._traced_pass(first, read_loss, lines)
        self.net.feed_pass()
        compute, backward, run = self.net.compute_pass, self.net.backward_pass, self.net.replay.run
        if read_loss is None:
            last = (self._apply,) if number == self.settings.iter_size - 1 else ()
            run(*first, compute, backward, *last)
            return 0.0
        run(*first, compute)
        loss = read_loss()
        run(backward)
        return loss

    def update(self) -> None:
        """Update the weights, where the loss was read and the last pass has left it to this."""
        self.net.replay.run(self._apply)

    def _traced_pass(
        self, first: tuple[Callable[[], None], ...], read_loss: Callable[[], float], lines: list[str]
    ) -> float:
        for step in first:
            step()
        lines += debug.traced_forward(self.net)
        loss = read_loss()
        lines += debug.traced_backward(self.net)
        return loss

    def _apply(self) -> None:
        """Clip the sum of gradients if wanted, and update the weights."""
        device_ops, buffers, threshold = self.net.device.ops, self.buffers, self.settings.clip_gradients
        if threshold >= 0:
            device_ops.clip_gradients(
                buffers.diffs,
                buffers.segments,
                buffers.control,
                threshold=threshold,
                iter_size=self.settings.iter_size,
            )
        self.rule.apply(device_ops, buffers)
