"""Fillers: how weights start. Each is a function (FillerParameter, shape, generator) -> array."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.base import Device
from netforge.device.random import RandomStream
from netforge.errors import SettingsError
from netforge.registry import Registry
from netforge.schema import messages

Filler = Callable[[Any, tuple[int, ...], np.random.Generator], npt.NDArray[Any]]

FILLERS: Registry[Filler] = Registry("filler")


def make_fill(
    parameter: Any, shape: tuple[int, ...], stream: RandomStream, device: Device
) -> Callable[[Any], None] | None:
    """A function that fills a flat array of the device as `parameter` (FillerParameter) says; None for zeros.

    Raises UnknownNameError for an unknown filler type, SettingsError for settings that do not fit `shape`.
    """
    if parameter is None:
        return None
    filler = FILLERS[parameter.type]
    check_filler(parameter, shape)

    def fill(flat: Any) -> None:
        values = filler(parameter, shape, stream.generator(0))
        flat[: math.prod(shape)] = device.from_host(np.ascontiguousarray(values, flat.dtype).reshape(-1))

    return fill


def check_filler(parameter: Any, shape: tuple[int, ...]) -> None:
    """Raise SettingsError where a filler's settings contradict each other or the shape."""
    kind = FILLERS.canonical(parameter.type)
    if parameter.sparse != -1 and kind != "gaussian":
        raise SettingsError(f'"sparse" does not go with filler "{kind}"', mend='use type: "gaussian", or remove sparse')
    if kind == "bilinear" and (len(shape) != 4 or shape[2] != shape[3]):
        raise SettingsError(
            f'filler "bilinear" needs 4 axes with a square kernel, the weight has shape {shape}',
            mend="use it for the weights of a Deconvolution with equal kernel_h and kernel_w",
        )
    if kind == "uniform" and parameter.min > parameter.max:
        raise SettingsError(
            f"filler range is empty: min {parameter.min:g} is above max {parameter.max:g}",
            mend="exchange min and max",
        )
    if kind in ("xavier", "msra") and not math.prod(shape):
        raise SettingsError(
            f'filler "{kind}" cannot fill a weight of shape {shape}', mend="use another filler, or a shape without 0"
        )


def fan(parameter: Any, shape: tuple[int, ...]) -> float:
    """The number n that xavier and msra divide by.

    FAN_IN: inputs per output (count / shape[0]); FAN_OUT: count / shape[1] (count for one axis); AVERAGE: their mean.
    """
    count = math.prod(shape)
    fan_in = count / shape[0] if shape else 1
    fan_out = count / shape[1] if len(shape) > 1 else count
    norm = messages.FillerParameter.VarianceNorm.Name(parameter.variance_norm)
    return {"FAN_IN": fan_in, "FAN_OUT": fan_out, "AVERAGE": (fan_in + fan_out) / 2}[norm]


@FILLERS.register("constant")
def constant(parameter: Any, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    """Every element is `value`."""
    return np.full(shape, parameter.value)


@FILLERS.register("uniform")
def uniform(parameter: Any, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    """Uniform in [min, max)."""
    return generator.uniform(parameter.min, parameter.max, shape)


@FILLERS.register("gaussian")
def gaussian(parameter: Any, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    """Normal with `mean` and `std`; with `sparse` k each element is kept with probability k / shape[0], else zero."""
    values = generator.normal(parameter.mean, parameter.std, shape)
    if parameter.sparse >= 0:
        outputs = shape[0] if shape else 1
        values *= generator.random(shape) < parameter.sparse / outputs
    return values


@FILLERS.register("positive_unitball")
def positive_unitball(parameter: Any, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    """Uniform in [0, 1), then each row (one index of axis 0) divided by its sum."""
    rows: npt.NDArray[Any] = generator.random((shape[0] if shape else 1, math.prod(shape[1:])))
    rows /= rows.sum(axis=1, keepdims=True)
    return rows.reshape(shape)


@FILLERS.register("xavier", aliases=("glorot_uniform",))
def xavier(parameter: Any, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    """Uniform in +-sqrt(3 / n), n = `fan` (Glorot and Bengio 2010, with n as Caffe counts it)."""
    limit = math.sqrt(3 / fan(parameter, shape))
    return generator.uniform(-limit, limit, shape)


@FILLERS.register("msra", aliases=("he_normal",))
def msra(parameter: Any, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    """Normal with variance 2 / n, n = `fan` (He et al. 2015, equation 10)."""
    return generator.normal(0, math.sqrt(2 / fan(parameter, shape)), shape)


@FILLERS.register("bilinear")
def bilinear(parameter: Any, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    """The kernel of bilinear upsampling in every channel (Long et al. 2015, section 3.3)."""
    width = shape[3]
    factor = math.ceil(width / 2)
    centre = (width - 1) / (2 * factor)
    line = 1 - np.abs(np.arange(width) / factor - centre)
    return np.broadcast_to(np.outer(line, line), shape)
