"""Pages of HTML that need nothing but themselves: no network, no library, one file to keep or to send.

Text that comes from data is escaped by type: every function here takes `str` as text and escapes it, and takes `Html`,
which only these functions make, as it is. A page is a heading and a grid of cards; it follows the system's light or
dark colours unless its button says otherwise, and is laid out for narrow and for wide windows.

    page("My run", card("Facts", facts([("seed", "1")])), card("Loss", line_chart([Series("loss", x, y)])))

Any element with a `data-tip` attribute shows its text beside the pointer, and when it has the focus.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from netforge.atomic import write_whole

_VOID = {"img", "br", "meta", "link", "input", "circle", "rect", "line", "path"}


class Html(str):
    """Markup that may stand in a page as it is; anything else is escaped."""

    __slots__ = ()


class Card(Html):
    """A box of a page's grid, which knows its heading."""

    heading: str


def markup(content: object) -> Html:
    """Content as markup: `Html` as it is, anything else as escaped text."""
    return content if isinstance(content, Html) else Html(html.escape(str(content)))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Several contents behind one another, with `between` (escaped) in the gaps."""
    return Html(markup(between).join(markup(part) for part in parts))


def element(tag: str, *children: object, **attributes: object) -> Html:
    """One element: `element("td", name, class_="right", data_tip=text)`.

    Attributes lose a trailing underscore and write others as hyphens; None and False leave one out, True gives it no
    value. Names of elements and attributes are the caller's own, never data.
    """
    words = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        words.append(name if value is True else f'{name}="{html.escape(str(value))}"')
    if tag in _VOID and not children:
        return Html(f"<{' '.join(words)}/>")
    return Html(f"<{' '.join(words)}>{join(children)}</{tag}>")


def json_script(value: object, **attributes: object) -> Html:
    """Data for a script of the page, as JSON inside <script>: nothing in it can end the element; NaN becomes null."""
    text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    safe = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return element("script", Html(safe), type="application/json", **attributes)


def card(title: str, *children: object, note: str = "", wide: bool | str = False) -> Card:
    """A box of the page's grid with a heading; `note` is a pale line below it.

    wide: True takes a whole row, "double" two columns where the window has that many.
    """
    head = [element("h2", title)]
    if note:
        head.append(element("p", note, class_="note"))
    names: dict[bool | str, str] = {False: "", True: "wide", "double": "double"}
    made = Card(element("section", *head, *children, class_=f"card {names[wide]}".rstrip()))
    made.heading = title
    return made


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Words and what they stand for, in two columns."""
    return element("dl", *(join([element("dt", word), element("dd", text)]) for word, text in pairs), class_="facts")


def scores(pairs: Iterable[tuple[str, object]]) -> Html:
    """The few numbers that matter most, large, each with its name below."""
    shown = (element("div", element("b", value), element("span", name)) for name, value in pairs)
    return element("div", *shown, class_="scores")


def table(headings: Sequence[object], rows: Iterable[Sequence[object]], right: Sequence[int] = ()) -> Html:
    """A table; the columns numbered in `right` are aligned to the right. It scrolls sideways where it is too wide."""

    def line(tag: str, cells: Sequence[object]) -> Html:
        sides = ("right" if number in right else None for number in range(len(cells)))
        return element("tr", *(element(tag, cell, class_=side) for cell, side in zip(cells, sides, strict=True)))

    body = element("tbody", *(line("td", row) for row in rows))
    return element("div", element("table", element("thead", line("th", headings)), body), class_="scroll")


def code(text: str) -> Html:
    """A word or a line of code inside other text."""
    return element("span", text, class_="code")


def code_block(text: str, *, wrap: bool = False) -> Html:
    """Code with a button that copies it; `wrap` breaks long lines."""
    copy = element("button", "Copy", type="button", data_copy=True)
    return element("div", element("pre", text, class_="wrap" if wrap else None, tabindex=0), copy, class_="block")


def details(summary: object, *children: object, open_: bool = False) -> Html:
    """Content that a click on its summary unfolds."""
    return element("details", element("summary", summary), *children, open=open_)


def picture(png: bytes, text: str, *, caption: str = "", tip: str | None = None) -> Html:
    """A PNG inside the page. text: what it shows, for those who cannot see it. tip: what it tells the pointer."""
    image = element("img", src=data_uri(png), alt=text)
    below = element("figcaption", caption) if caption else ""
    return element("figure", image, below, data_tip=tip)


def data_uri(png: bytes) -> str:
    """A PNG as the text of an `src` attribute, which needs no file and no network."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def swatch(colour: str) -> Html:
    """A small square of a colour, for legends."""
    return element("span", class_="swatch", style=f"background:{colour}")


def page(
    title: str,
    *content: object,
    subtitle: object = "",
    styles: str = "",
    scripts: Sequence[str] = (),
    asks_server: bool = False,
) -> str:
    """A whole page: a heading and cards. styles, scripts: code of the caller's own (never data) behind the page's.

    A content policy inside the page lets no script run but these, and forbids any access to the network; asks_server:
    the page may ask the server that it comes from. Scripts run when everything is laid out and find
    `netforge.tip(text, x, y)`, `netforge.hideTip()` and `netforge.wire(chart)`; each should stand in a function of its
    own.
    """
    scripts = [asset("page.js"), *scripts]
    head = [
        Html('<meta charset="utf-8"/>'),
        element("meta", http_equiv="Content-Security-Policy", content=content_policy(scripts, asks_server=asks_server)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Html(asset("page.css") + styles)),
    ]
    names = element("div", element("h1", title), element("div", subtitle, class_="subtitle") if subtitle else "")
    theme = element("button", "Colours", type="button", id="theme", aria_label="Light or dark colours")
    body = [
        element("header", names, theme),
        element("main", *content),
        element("div", id="tip", role="status"),
        *(element("script", Html(script)) for script in scripts),
    ]
    return f'<!doctype html>\n<html lang="en"><head>{join(head)}</head>\n<body>{join(body, chr(10))}</body></html>\n'


def content_policy(scripts: Sequence[str], *, asks_server: bool = False) -> str:
    """The Content-Security-Policy of a page: its styles, pictures inside it, and these scripts by their digests."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii") for script in scripts)
    rules = {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "script-src": " ".join(f"'sha256-{digest}'" for digest in digests),
        "img-src": "data:",
        "connect-src": "'self'" if asks_server else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {words}" for name, words in rules.items())


def write_page(path: str | Path, text: str) -> Path:
    """Write a page to a file, whole or not at all, and give its path.

    Raises DataError where the file cannot be written.
    """
    return write_whole(
        Path(path),
        lambda partial: partial.write_text(text, encoding="utf-8", errors="backslashreplace"),
        what="the page",
    )


@cache
def asset(name: str) -> str:
    """The text of a script or a style sheet that lies beside this module."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
