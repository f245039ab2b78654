"""Other ways to make the batches that `tests.benchmarks.data` reads: what its figures are compared with.

Both take images from an array in memory in random order and crop, mirror and scale them one by one, as scripts do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Recipe:
    """Images (n, 1, H, W) of bytes with labels (n,); what is taken off, (1, H, W); crop 0: neither crop nor mirror."""

    images: np.ndarray
    labels: np.ndarray
    mean: np.ndarray
    scale: float
    crop: int
    size: int = 64


def numpy_loop(recipe: Recipe) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches made by a loop over their images."""
    rng = np.random.default_rng(0)
    side, scale = recipe.crop or recipe.images.shape[2], np.float32(recipe.scale)
    spare = recipe.images.shape[2] - side
    while True:
        order = rng.permutation(len(recipe.images))
        for start in range(0, len(order) - recipe.size + 1, recipe.size):
            numbers = order[start : start + recipe.size]
            batch = np.empty((recipe.size, 1, side, side), np.float32)
            for out, number in zip(batch, numbers, strict=True):
                image = recipe.images[number]
                if recipe.crop:
                    y, x, flip = rng.integers(0, (spare + 1, spare + 1, 2))
                    window = slice(y, y + side), slice(x, x + side)
                    values = image[:, *window] - recipe.mean[:, *window]
                    image = values[:, :, ::-1] if flip else values
                np.multiply(image, scale, out=out)
            yield batch, recipe.labels[numbers]


class TorchImages:
    """The same for PyTorch's DataLoader, image by image."""

    def __init__(self, recipe: Recipe) -> None:
        import torch

        self._torch = torch
        self._images, self._mean = torch.from_numpy(recipe.images.copy()), torch.from_numpy(recipe.mean.copy())
        self._labels = torch.from_numpy(recipe.labels.copy())
        self._scale, self._side = recipe.scale, recipe.crop
        self._spare = recipe.images.shape[2] - recipe.crop

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, number: int):
        image = self._images[number]
        if self._side:
            y, x, flip = self._torch.randint(0, self._spare + 1, (3,)).tolist()
            window = slice(y, y + self._side), slice(x, x + self._side)
            image = image[:, *window] - self._mean[:, *window]
            image = image.flip(2) if flip % 2 else image
        return image * self._scale, self._labels[number]


def data_loader(recipe: Recipe, workers: int) -> Iterator[object]:
    """Batches of PyTorch's DataLoader, shuffled anew each epoch. workers: processes beside this one."""
    from torch.utils.data import DataLoader

    loader = DataLoader(
        TorchImages(recipe), recipe.size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    while True:
        yield from loader


def peers(recipe: Recipe) -> dict[str, Callable[[], Iterator[object]]]:
    """Name and batches of each peer that is at hand."""
    found: dict[str, Callable[[], Iterator[object]]] = {"NumPy loop": lambda: numpy_loop(recipe)}
    try:
        import torch
    except ImportError:
        return found
    name = f"PyTorch {torch.__version__} DataLoader"
    found[f"{name}, in this process"] = lambda: data_loader(recipe, 0)
    found[f"{name}, 2 processes"] = lambda: data_loader(recipe, 2)
    return found
