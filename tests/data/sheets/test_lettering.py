"""Letters on pictures: every text can be told from others, whatever fonts the computer has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw

from netforge.data.sheets import lettering
from netforge.data.sheets.lettering import OWN, Lettering


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What was chosen with other fonts is forgotten, before and after."""
    lettering._choice.cache_clear()
    yield
    lettering._choice.cache_clear()


def drawn(text: str) -> np.ndarray:
    picture = Image.new("RGB", (400, 40), "white")
    Lettering(20).write(ImageDraw.Draw(picture), (5, 5), text, (0, 0, 0))
    return np.asarray(picture)


def test_english_is_written_in_the_same_font_everywhere() -> None:
    assert lettering._choice("cat 7 (grey)") == (OWN, "cat 7 (grey)")


def test_letters_that_no_font_has_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "SYSTEM_FONTS", ("no such font.ttf",))
    assert lettering._choice("Größe → 猫") == (OWN, r"Gr\xf6\xdfe \u2192 \u732b")
    assert (drawn("猫") != drawn("犬")).any()
    assert lettering._choice("two\nlines\x00")[1] == r"two\nlines\x00"


def test_a_font_of_the_system_steps_in_for_what_the_own_one_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {OWN: set("Gre"), "latin": set("Greöß"), "all": set("Greöß猫")}
    monkeypatch.setattr(lettering, "SYSTEM_FONTS", ("latin", "gone", "all"))
    monkeypatch.setattr(lettering, "_has", lambda name, letter: letter in known[name])
    monkeypatch.setattr(lettering, "_open", lambda name, size: known.get(name))
    assert lettering._choice("Gre") == (OWN, "Gre")
    assert lettering._choice("Größe") == ("latin", "Größe")
    assert lettering._choice("Größe 猫".replace(" ", "")) == ("all", "Größe猫")
    assert lettering._choice("犬ö")[0] == "latin" and lettering._choice("犬ö")[1] == r"\u72acö"


def test_the_box_is_where_the_letters_are() -> None:
    picture = Image.new("RGB", (200, 40), "white")
    letters, draw = Lettering(20), ImageDraw.Draw(picture)
    letters.write(draw, (5, 5), "Größe", (0, 0, 0))
    left, top, right, bottom = letters.box(draw, (5, 5), "Größe")
    rows, columns = np.nonzero(np.asarray(picture)[..., 0] < 200)
    assert left - 1 <= columns.min() and columns.max() <= right
    assert top - 1 <= rows.min() and rows.max() <= bottom
    assert letters.getlength("Größe") == pytest.approx(right - left, abs=4)
