"""What scikit-learn hands over, X and y, checked and made into what nets read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from netforge.data.formats.arrays import as_planes, image_layout
from netforge.data.source import Pixels
from netforge.data.sources.in_memory import as_pixels
from netforge.errors import DataError

IMAGE_AXES = (3, 4)


class InputError(DataError, ValueError):
    """X, y or a parameter of an estimator is not usable; a ValueError too, as scikit-learn expects."""


def read_x(estimator: Any, x: Any, *, reset: bool) -> npt.NDArray[Any]:
    """X as an array of numbers: features (n, F) float64, or images (n, H, W) or (n, H, W, C) of their own type.

    reset: whether `n_features_in_` and `feature_names_in_` are set by X, rather than X checked against them. Raises
    ValueError, as scikit-learn words it, for what is none of these, is empty, or holds NaN or infinity; InputError
    where images have another shape than those of `fit`.
    """
    axes = x.ndim if hasattr(x, "ndim") else np.asarray(x).ndim
    if axes > max(IMAGE_AXES):
        raise InputError(f"X has {axes} axes, expected 2 (features), 3 (grey images) or 4 (images with channels)")
    if axes not in IMAGE_AXES:
        if not reset and estimator.image_shape_ is not None:
            raise InputError(
                f"X has {axes} axes, but the estimator was fitted to images of shape {estimator.image_shape_}"
            )
        features: npt.NDArray[np.float64] = validate_data(estimator, x, dtype=np.float64, reset=reset)
        return features
    images: npt.NDArray[Any] = check_array(x, dtype="numeric", allow_nd=True)
    shape = images.shape[1:]
    if reset:
        estimator.n_features_in_ = int(np.prod(shape))
        return images
    if estimator.image_shape_ != shape:
        known = estimator.image_shape_ or f"{estimator.n_features_in_} features"
        raise InputError(f"X holds images of shape {shape}, but the estimator was fitted to {known}")
    return images


def as_images(values: npt.NDArray[Any]) -> Pixels:
    """Features or images as a source holds them, (n, C, H, W): F features are F channels of one pixel."""
    if values.ndim == 2:
        return values.astype(np.float32)[:, :, None, None]
    layout = image_layout(values.shape, values.dtype, "X", "NHWC")
    return as_pixels(as_planes(values, layout))
