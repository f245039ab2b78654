"""Values and channels of images: grey made colour, colour made grey, the order of channels, bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import ShapeError, counted

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# ITU-R BT.601 luma, the weights with which image libraries turn colour into grey.
LUMA = {"R": 0.299, "G": 0.587, "B": 0.114}


@dataclass(frozen=True)
class Recolour:
    """Makes images of `channels` channels out of those with `stored` ones, exactly once in the wanted order.

    stored: channels that images have: grey, color_order's three, those three and alpha, or anything that stays.
    channels: 1 or 3 to force grey or colour; None leaves them. order: of three stored channels, "RGB" or "BGR". wanted:
    of three that are given; None leaves them as they are stored.

    Raises ShapeError where images cannot be made so.
    """

    stored: int
    channels: int | None = None
    order: str = "RGB"
    wanted: str | None = None

    def __post_init__(self) -> None:
        if self.channels not in (None, self.stored) and self.stored not in (1, 3, 4):
            raise ShapeError(
                f"images with {counted(self.stored, 'channel')} cannot be turned into {self.channels}",
                mend="remove force_color and force_gray",
            )
        if self.given == 4 and self.wanted not in (None, self.order):
            raise ShapeError(
                f"color_order {self.wanted} needs images with 3 channels, these have 4: {self.order} and alpha",
                mend="write force_color: true, which leaves alpha out",
            )

    @property
    def given(self) -> int:
        """How many channels the images have afterwards."""
        return self.channels or self.stored

    @property
    def swaps(self) -> bool:
        """Whether the first and the third channel change places."""
        return self.given == 3 and self.stored >= 3 and self.wanted not in (None, self.order)

    @property
    def given_order(self) -> str:
        """The order of three channels afterwards."""
        return self.wanted or self.order

    def __call__(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The images (n, C, H, W), of the same type; grey is rounded where they are bytes."""
        if self.given == 3 and self.stored == 1:
            pixels = np.repeat(pixels, 3, axis=1)
        elif self.given == 3:
            pixels = pixels[:, :3]
        elif self.given == 1 and self.stored > 1:
            grey = luma(pixels[:, :3], self.order)
            pixels = to_bytes(grey) if pixels.dtype == np.uint8 else grey
        return pixels[:, ::-1] if self.swaps else pixels


def luma(pixels: npt.NDArray[Any], order: str) -> Floats:
    """The brightness (n, 1, H, W) of colours (n, 3, H, W) in the given order."""
    weights = np.array([LUMA[colour] for colour in order], np.float32)
    grey: Floats = np.einsum("nchw,c->nhw", pixels, weights)[:, None]
    return grey


def to_bytes(values: npt.NDArray[Any]) -> Bytes:
    """The nearest whole numbers from 0 to 255 (any shape); halves go to the even one."""
    return values if values.dtype == np.uint8 else np.rint(values).clip(0, 255).astype(np.uint8)
