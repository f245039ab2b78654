"""Queries mean the images that the same words mean in Python, and say where they are wrong."""

from __future__ import annotations

import fnmatch
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netforge.data import ImageDatabase, open_images
from netforge.data.labels.query import ALL_IMAGES, among, parse
from netforge.data.labels.query_scanner import LONGEST_TEXT
from netforge.data.store.tables import CREATE
from netforge.errors import DataError, UnknownNameError
from tests.data.helpers import array_source, datum, fill_database, write_lmdb

CLASSES = {0: "zero", 1: "cat", 2: "a dog", 3: 'the "3"', 5: "and"}
SOURCE = 2


@dataclass(frozen=True)
class Image:
    id: int
    index: int | None
    original: int
    label: int
    auto: bool
    boost: int
    active: bool
    group: int | None
    origin: str | None

    @property
    def class_name(self) -> str | None:
        return CLASSES.get(self.label)


def make_images() -> list[Image]:
    rng = np.random.default_rng(3)
    images, index = [], 0
    for i in range(120):
        active = bool(rng.random() < 0.8)
        original = int(rng.integers(-1, 6))
        images.append(
            Image(
                i,
                index if active else None,
                original,
                int(rng.integers(-1, 6)) if rng.random() < 0.3 else original,
                bool(rng.random() < 0.3),
                int(rng.integers(0, 3)),
                active,
                int(rng.integers(-2, 4)) if rng.random() < 0.7 else None,
                f"{['left', 'right'][i % 2]}/{i}_x.png" if rng.random() < 0.8 else None,
            )
        )
        index += active
    return images


IMAGES = make_images()


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    """The images as source 2, between two other sources."""
    opened = sqlite3.connect(":memory:")
    opened.executescript(CREATE)
    for source in (1, SOURCE, 3):
        opened.execute("INSERT INTO sources VALUES (?, ?, 1, 1, 1, 'uint8', 'RGB', 1, '', '', '')", (source, source))
        opened.executemany(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (source, i.id, i.original, i.label, i.auto, i.boost, i.active, i.group, i.origin)
                for i in (IMAGES if source == SOURCE else IMAGES[:50])
            ),
        )
    opened.executemany("INSERT INTO classes VALUES (?, ?, ?)", ((SOURCE, *row) for row in CLASSES.items()))
    opened.execute("INSERT INTO classes VALUES (1, 4, 'cat')")
    yield opened
    opened.close()


Meaning = Callable[[Image], bool]
OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def compare(word: str, operator: str, value: int) -> tuple[str, Meaning]:
    def meaning(image: Image) -> bool:
        found = getattr(image, word)
        return operator == "!=" if found is None else OPERATORS[operator](found, value)

    return f"{word} {operator} {value}", meaning


def listed(word: str, ranges: list[tuple[int, int]], negative: bool, closed: bool) -> tuple[str, Meaning]:
    text = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)
    text = f"{word}{' NOT' * negative} in {'(' * closed}{text}{')' * closed}"
    values = {v for a, b in ranges for v in range(a, b + 1)}
    return text, lambda image: (getattr(image, word) in values) != negative


def quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark * 2) + mark


def of_class(name: str, operator: str, mark: str) -> tuple[str, Meaning]:
    return f"class {operator} {quoted(name, mark)}", lambda i: (i.class_name == name) == (operator != "!=")


def of_classes(names: list[str], negative: bool) -> tuple[str, Meaning]:
    text = f"class{' not' * negative} in {','.join(quoted(n, chr(34)) for n in names)}"
    return text, lambda image: (image.class_name in names) != negative


def like(word: str, pattern: str, negative: bool) -> tuple[str, Meaning]:
    shell = pattern.replace("%", "*").replace("_", "?").lower()

    def meaning(image: Image) -> bool:
        found = image.class_name if word == "class" else image.origin
        return (found is not None and fnmatch.fnmatchcase(found.lower(), shell)) != negative

    return f"{word}{' not' * negative} like '{pattern}'", meaning


FLAGS: dict[str, Meaning] = {
    "auto": lambda i: i.auto,
    "active": lambda i: i.active,
    "disabled": lambda i: not i.active,
    "changed": lambda i: i.label != i.original,
    "auto = 1": lambda i: i.auto,
    "Auto!=true": lambda i: not i.auto,
    "active == false": lambda i: not i.active,
}
WORDS = ["label", "auto", "class", "in", "like", "not", "and", "or", "(", ")", ",", "=", "<", "3", "1-2", "'x'", '"']
numbers = st.sampled_from(["id", "index", "label", "original", "boost", "group"])
spans = st.lists(
    st.tuples(st.integers(-3, 40), st.integers(0, 90)).map(lambda t: (t[0], t[0] + t[1])), min_size=1, max_size=4
)
conditions = st.one_of(
    st.sampled_from(sorted(FLAGS)).map(lambda text: (text, FLAGS[text])),
    st.builds(compare, numbers, st.sampled_from(sorted(OPERATORS)), st.integers(-3, 60)),
    st.builds(listed, numbers, spans, st.booleans(), st.booleans()),
    st.builds(
        of_class, st.sampled_from(sorted(CLASSES.values())), st.sampled_from(["=", "!=", "=="]), st.sampled_from("\"'")
    ),
    st.builds(of_classes, st.lists(st.sampled_from(sorted(CLASSES.values())), min_size=1, max_size=3), st.booleans()),
    st.builds(
        like,
        st.sampled_from(["class", "origin"]),
        st.sampled_from(["%", "LEFT%", "%_x.p%", "%o%", "cat", "_"]),
        st.booleans(),
    ),
)


def joined(parts: list[tuple[str, Meaning]], word: str) -> tuple[str, Meaning]:
    together = any if word == "or" else all
    return f" {word} ".join(f"({text})" for text, _ in parts), lambda i: together(meaning(i) for _, meaning in parts)


def negated(part: tuple[str, Meaning]) -> tuple[str, Meaning]:
    return f"not ({part[0]})", lambda i: not part[1](i)


queries = st.recursive(
    conditions | conditions.map(lambda part: (f"not {part[0]}", lambda i: not part[1](i))),
    lambda inner: (
        st.builds(joined, st.lists(inner, min_size=2, max_size=3), st.sampled_from(["and", "or", "AND"]))
        | inner.map(negated)
    ),
    max_leaves=8,
)


@given(query=queries)
def test_a_query_means_what_its_words_mean(connection: sqlite3.Connection, query: tuple[str, Meaning]) -> None:
    text, meaning = query
    parsed = parse(text)
    wanted = [i for i in IMAGES if meaning(i)]
    assert parsed.positions(connection, SOURCE).tolist() == [i.id for i in wanted]
    assert parsed.indices(connection, SOURCE).tolist() == [i.index for i in wanted if i.active]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("label = 1 or label = 2 and auto", lambda i: i.label == 1 or (i.label == 2 and i.auto)),
        ("not auto and active", lambda i: not i.auto and i.active),
        ("not not auto", lambda i: i.auto),
        (" label=1\n", lambda i: i.label == 1),
        ("class = cat or class in 'a dog', zero", lambda i: i.class_name in ("cat", "a dog", "zero")),
        ('origin = "left/0_x.png"', lambda i: i.origin == "left/0_x.png"),
        ("label in -1", lambda i: i.label == -1),
        (" or ".join(f"id = {i}" for i in range(1500)), lambda i: True),
        ("id in " + ",".join(f"{2 * i}" for i in range(3000)), lambda i: i.id % 2 == 0),
        ("id in " + ",".join(f"{200 * i}-{200 * i + 99}" for i in range(1200)), lambda i: i.id < 100),
    ],
)
def test_precedence_and_length(connection: sqlite3.Connection, text: str, meaning: Meaning) -> None:
    assert parse(text).positions(connection, SOURCE).tolist() == [i.id for i in IMAGES if meaning(i)]


def test_values_never_become_sql(connection: sqlite3.Connection) -> None:
    evil = "x' OR 1) --"
    query = parse(f'origin = "{evil}" or origin like "{evil}" or origin in "{evil}"')
    assert evil not in query.rows and not len(query.positions(connection, SOURCE))


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("lable = 3", 1, '"lable" is no word of a query'),
        ("auto and lable", 10, '"lable" is no word of a query'),
        ("label", 6, 'expected =, !=, <, <=, >, >= or "in", found the end'),
        ("label = cat", 9, 'expected a whole number, found "cat"'),
        ("label = 3.5", 9, 'expected a whole number, found "3.5"'),
        ("label = 3 3", 11, 'expected "and", "or" or the end, found "3"'),
        ("label = 3 && auto", 11, 'found "&&"'),
        ("(label = 3", 11, 'expected "and", "or" or ")", found the end'),
        ("label = 3)", 10, 'found ")"'),
        ("", 1, "expected a word such as label, auto or class, found the end"),
        ("and", 1, 'found "and"'),
        ("auto or", 8, "found the end"),
        ("label in 9-1", 10, 'the range "9-1" ends before it begins'),
        ("label in 1,", 12, "expected a whole number or a range such as 0-9, found the end"),
        ("label in (1", 12, 'expected a comma or ")"'),
        ("class in (cat", 14, 'expected a comma or ")"'),
        ("label in " + "9" * 19, 10, "expected a whole number or a range"),
        ("label = " + "9" * 19, 9, "expected a whole number"),
        ("auto = maybe", 8, 'expected 0 or 1, found "maybe"'),
        ("class < 3", 7, 'expected =, !=, "like" or "in", found "<"'),
        ("class = ", 9, "expected a text in quotation marks, found the end"),
        ('class = "cat', 9, "expected a text in quotation marks"),
        ("origin = not", 10, "expected a text in quotation marks"),
        ("origin not = 3", 8, 'expected =, !=, "like" or "in", found "not"'),
        ("(" * 60, 51, "parentheses are nested more than 50 deep"),
    ],
)
def test_faults_are_told_with_their_column(text: str, column: int, message: str) -> None:
    with pytest.raises((DataError, UnknownNameError)) as caught:
        parse(text)
    assert message in caught.value.found and str(caught.value.where).endswith(f"', column {column}")
    if "is no word" in message:
        assert '"label"' in str(caught.value.mend)


def test_a_long_query_is_refused_and_shortened_in_messages() -> None:
    with pytest.raises(DataError, match=r"a query has 20,001 characters, at most 20,000 are read"):
        parse(" " * (LONGEST_TEXT + 1))
    with pytest.raises(DataError) as caught:
        parse("auto or " * 2000)
    assert "..." in str(caught.value.where) and len(str(caught.value.where)) < 120


@given(text=st.text(max_size=40) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_no_text_makes_anything_but_a_query_or_an_error(connection: sqlite3.Connection, text: str) -> None:
    try:
        parse(text).positions(connection, SOURCE)
    except (DataError, UnknownNameError) as error:
        assert error.found


def test_a_class_must_be_there(connection: sqlite3.Connection) -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse('auto and class = "catt"').positions(connection, SOURCE)
    assert str(caught.value).startswith('query \'auto and class = "catt"\', column 18: no class is named "catt"')
    assert 'Did you mean "cat"?' in str(caught.value)
    assert parse("class like catt").positions(connection, SOURCE).tolist() == []


def test_lists_of_numbers(connection: sqlite3.Connection) -> None:
    assert among("id", "1, 5,9-11").positions(connection, SOURCE).tolist() == [1, 5, 9, 10, 11]
    wanted = [i.id for i in IMAGES if i.index in (0, 3)]
    assert among("index", "0,3").positions(connection, SOURCE).tolist() == wanted
    for text, count in (("1,1,1", 1), ("5-9,7-8,1", 6), ("0-9,5-19", 20), ("-3--1", 3), ("3,0-100,99-101", 102)):
        assert among("id", text).listed == count
    for text in ("1 or auto", "", "a", "3-1"):
        with pytest.raises(DataError, match="column"):
            among("id", text)


def test_further_conditions(connection: sqlite3.Connection) -> None:
    narrow = parse("label = 1 or label = 2").restricted("auto", "auto")
    assert narrow.text == "(label = 1 or label = 2) and auto"
    assert narrow.positions(connection, SOURCE).tolist() == [i.id for i in IMAGES if i.label in (1, 2) and i.auto]
    assert ALL_IMAGES.restricted("auto", "auto").text == "auto" and parse(narrow) is narrow


def test_images_are_opened_by_a_query(tmp_path: Path) -> None:
    source = array_source(40)
    fill_database("a", source)
    opened = open_images("a", "label in 1-2 and index >= 20")
    assert [opened.origin(i) for i in range(3)] == [("a", 21), ("a", 22), ("a", 25)]
    np.testing.assert_array_equal(opened.read(np.array([0, 2]))[0], source.images[[21, 25]])
    assert open_images("a", None).count == 40 and open_images("digits.testing", "label = 3").count > 10
    with ImageDatabase() as database:
        assert database.positions("a", "class = one").tolist() == list(range(1, 40, 4))
        with pytest.raises(UnknownNameError, match='no source "b"'):
            database.indices("b", "label = 1")
    with pytest.raises(DataError, match="a: no image in use meets the query 'label = 9'"):
        open_images("a", "label = 9")
    folder = write_lmdb(tmp_path / "db", {b"0": datum(np.zeros((1, 4, 4), np.uint8))})
    assert open_images(str(folder), None).count == 1
    with pytest.raises(DataError, match="only sources of the image database can be asked by a query"):
        open_images(str(folder), "label = 0")
