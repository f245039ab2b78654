"""Pages and charts: whole HTML, nothing in data can become markup or script."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from html.parser import HTMLParser
from pathlib import Path

import pytest

from netforge.errors import DataError
from netforge.inspect.axes import linear_axis, log_axis
from netforge.inspect.charts import MOST_POINTS, Series, bars, histogram, line_chart, thinned
from netforge.inspect.heat_map import heat_map
from netforge.inspect.page import card, code_block, element, facts, json_script, markup, page, scores, table, write_page

NASTY = "</script><script>alert(1)</script>&\"'<b>\u2028"
VOID = {"meta", "link", "img", "br"}


class Checked(HTMLParser):
    """Reads a page: every element must be closed, and ids must differ."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []
        ids = [attributes["id"] for _, attributes in self.seen if "id" in attributes]
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.seen)


def test_everything_from_data_is_escaped() -> None:
    chart = line_chart([Series(NASTY, [0, 1], [1.0, math.nan])], x=NASTY, label=NASTY)
    words = {"label": NASTY, "row_word": NASTY, "column_word": NASTY}
    cells = heat_map([[1, 0], [0, 2]], [NASTY, "b"], [NASTY, "b"], **words, marked=lambda i, j: i == j)
    rows = bars([(NASTY, 1.0)], tips=[NASTY])
    body = [facts([(NASTY, NASTY)]), scores([(NASTY, NASTY)]), table([NASTY], [[NASTY]]), code_block(NASTY)]
    plain = Checked(page("x", card("x", note="x")))
    found = Checked(page(NASTY, card(NASTY, *body, chart, cells, rows, note=NASTY), subtitle=NASTY))
    assert found.count("script") == plain.count("script") + 1  # the chart's data
    assert found.count("b") == 1  # of the score
    assert "alert(1)" not in "".join(text for tag, text in found.texts if tag == "script" and "const" in text)
    tips = [attributes["data-tip"] for _, attributes in found.seen if "data-tip" in attributes]
    assert any(tip and NASTY in tip for tip in tips)


def test_json_cannot_end_its_script() -> None:
    text = json_script({"a": NASTY, "b": [math.nan, math.inf, 1.5]})
    inside = text.removeprefix('<script type="application/json">').removesuffix("</script>")
    assert "<" not in inside
    assert json.loads(inside) == {"a": NASTY, "b": [None, None, 1.5]}


def test_a_page_reaches_for_nothing() -> None:
    text = page("x", card("x"))
    found = Checked(text)
    assert not [a for _, a in found.seen for key in ("src", "href") if not (a.get(key) or "data:").startswith("data:")]
    policy = next(a["content"] for _, a in found.seen if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'") and "connect-src 'none'" in policy
    assert "http://" not in text and "https://" not in text


def test_no_script_runs_but_those_of_the_page() -> None:
    text = page("x", card("x"), scripts=["let own = 1;"], asks_server=True)
    found = Checked(text)
    policy = next(a["content"] for _, a in found.seen if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and "connect-src 'self';" in policy
    rule = next(part for part in policy.split("; ") if part.startswith("script-src"))
    scripts = [inside for tag, inside in found.texts if tag == "script"]
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(digests) == 2
    assert rule.split()[1:] == [f"'sha256-{digest}'" for digest in digests]


def test_element() -> None:
    assert element("td", 'a"b', class_="right", data_tip='"', hidden=True, id=None) == (
        '<td class="right" data-tip="&quot;" hidden>a&quot;b</td>'
    )
    assert markup(element("i", "x")) == "<i>x</i>"


def test_write_page(tmp_path: Path) -> None:
    path = write_page(tmp_path / "new" / "a.html", "text \udcff")
    assert path.read_text(encoding="utf-8") == "text \\udcff"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.html"]
    with pytest.raises(DataError, match="cannot be written"):
        write_page(path / "below.html", "text")


def test_curves_break_where_values_are_not_finite() -> None:
    chart = line_chart([Series("a", [0, 1, 2, 3], [1.0, 2.0, math.nan, 4.0])])
    path = next(a["d"] for tag, a in Checked(chart).seen if tag == "path")
    assert path is not None
    assert (path.count("M"), path.count("L")) == (2, 1)


def test_scales() -> None:
    both = Checked(line_chart([Series("a", [0, 1], [100.0, 0.01])], log=True))
    assert [a["data-view"] for _, a in both.seen if "data-view" in a] == ["linear", "log"]
    assert next(a["data-shown"] for _, a in both.seen if "data-shown" in a) == "log"
    negative = Checked(line_chart([Series("a", [0, 1], [-1.0, 5.0])], log=True))
    assert [a["data-view"] for _, a in negative.seen if "data-view" in a] == ["linear"]


@pytest.mark.parametrize("y", [[], [0.0], [3.0, 3.0], [math.nan, math.inf], [1e300, -1e300], [0.0, 1e-300]])
def test_charts_of_odd_values(y: list[float]) -> None:
    text = line_chart([Series("a", list(range(len(y))), y)], log=True)
    Checked(text)
    assert "nan" not in text.replace("NaN", "nan").split("<script")[0]
    assert "inf" not in text.split("<script")[0]


def test_thinned_keeps_peaks_and_gaps() -> None:
    y = [1.0] * 20_000
    y[777], y[13_000], y[15_000] = 9.0, -9.0, math.nan
    kept = thinned(Series("a", list(range(len(y))), y))
    assert len(kept.x) <= 1.5 * MOST_POINTS
    assert {777, 13_000, 15_000, 0, 19_999} <= set(kept.x)
    assert list(kept.x) == sorted(kept.x)


def test_axes() -> None:
    axis = linear_axis([0.03, 0.97])
    assert (axis.low, axis.high, axis.ticks) == (0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1.0))
    assert axis.at(0.25, 0, 100) == 25
    logs = log_axis([0.002, 0.9])
    assert (logs.low, logs.high) == (0.001, 1)
    assert logs.at(0.01, 0, 300) == pytest.approx(100)
    assert log_axis([0.3, 0.4]).ticks == (0.2, 0.5)
    assert not logs.holds(0) and not logs.holds(math.nan)


@pytest.mark.parametrize("values", [(1e308, -1e308), (1.5e308, 1e308), (5e-324, 1.5e308), (5e-324, 1e-323), (1e308,)])
def test_axes_of_values_at_the_ends_of_what_floats_hold(values: tuple[float, ...]) -> None:
    for axis in (linear_axis(values), linear_axis(values, pad=False), log_axis(values)):
        assert all(map(math.isfinite, (axis.low, axis.high, *axis.ticks))) and axis.low < axis.high
        assert all(math.isfinite(axis.at(value, 0, 300)) for value in values if axis.holds(value))
    line_chart([Series("loss", range(len(values)), values)])


def test_heat_map_leaves_out_zeros_and_histograms_show_all() -> None:
    found = Checked(
        heat_map(
            [[3, 0], [1, 2]],
            ["a", "b"],
            ["a", "b"],
            label="counts",
            row_word="class",
            column_word="taken for",
            marked=lambda i, j: i == j,
        )
    )
    tips = [a["data-tip"] for tag, a in found.seen if tag == "rect" and "data-tip" in a]
    assert tips == ["a → a\n3", "b → a\n1", "b → b\n2"]
    counted = Checked(histogram([0, 1, 2], [5, 0]))
    assert [a["data-tip"] for tag, a in counted.seen if tag == "rect"] == ["0 to 1\n5", "1 to 2\n0"]
