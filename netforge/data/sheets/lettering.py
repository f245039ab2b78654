"""Letters on pictures: Pillow's own font where it has all of a text, else one of the computer's fonts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

OWN = ""
"""Stands for the font that Pillow ships, which has the letters of English and little more."""
SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "segoeui.ttf",
    "arial.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "msyh.ttc",
    "YuGothM.ttc",
    "malgun.ttf",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "unifont.ttf",
)
"""Fonts of Linux, macOS and Windows, the widespread ones first; Pillow looks for them where the system keeps fonts."""
NO_LETTER = "\U0010ffff"  # no font has it
PROBE_SIZE = 24
Ink = tuple[int, int, int] | str


@dataclass(frozen=True)
class Lettering:
    """Writes lines of text in letters of one size, in pixels.

    Each text is written in the first font that has all of its letters. Letters that no font has, and those that cannot
    be seen, are written as their numbers ("\\u732b"): texts that differ look different.
    """

    size: int

    def getlength(self, text: str) -> float:
        """Width of a line in pixels."""
        name, shown = _choice(text)
        return float(_open(name, self.size).getlength(shown))

    def write(
        self, draw: ImageDraw, place: tuple[float, float], text: str, ink: Ink, *, anchor: str = "la", bold: int = 0
    ) -> None:
        """Draw a line. anchor: which of its points lies at `place`, in Pillow's words; bold: how much strokes grow."""
        name, shown = _choice(text)
        font = _open(name, self.size)
        draw.text(place, shown, ink, font=font, anchor=anchor, stroke_width=bold, stroke_fill=ink)

    def box(self, draw: ImageDraw, place: tuple[float, float], text: str) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the line that `write` would draw."""
        name, shown = _choice(text)
        found: tuple[float, float, float, float] = draw.textbbox(place, shown, font=_open(name, self.size))
        return found


@lru_cache(maxsize=4096)
def _choice(text: str) -> tuple[str, str]:
    """The font for a text, and the text with numbers in place of the letters that this font lacks."""
    best, lacking = OWN, _lacking(OWN, text)
    for name in SYSTEM_FONTS if lacking else ():
        if _open(name, PROBE_SIZE) is not None:
            lacks = _lacking(name, text)
            if len(lacks) < len(lacking):
                best, lacking = name, lacks
            if not lacking:
                break
    shown = (letter.encode("unicode_escape").decode() if letter in lacking else letter for letter in text)
    return best, "".join(shown)


def _lacking(name: str, text: str) -> frozenset[str]:
    return frozenset(letter for letter in set(text) if not _has(name, letter))


@lru_cache(maxsize=16384)
def _has(name: str, letter: str) -> bool:
    """Whether a font has a letter: it looks different from one that the font lacks."""
    if letter.isascii():
        return letter.isprintable()
    return letter.isprintable() and _look(name, letter) != _look(name, NO_LETTER)


def _look(name: str, letter: str) -> tuple[bytes, tuple[int, int]]:
    mask = _open(name, PROBE_SIZE).getmask(letter)
    return bytes(mask), mask.size


@lru_cache(maxsize=256)
def _open(name: str, size: int) -> Any:
    """A font in a size, as Pillow has it; None where the computer has none of this name."""
    from PIL import ImageFont

    if name == OWN:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None
