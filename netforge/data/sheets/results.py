"""Answers to the images of a source, as `netforge test-many --csv` writes them: which went wrong, and how far off."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from netforge.errors import DataError

COLUMNS = ("source", "image", "label", "class", "predicted_class", "right", "distance", "own_distance")
MAKE_ANEW = "write it anew: netforge test-many --csv FILE"


@dataclass(frozen=True)
class Answer:
    """What a net made of one image.

    image: its number in the source. name, answered: the names of its class, and of the one it was taken for. distance:
    to the nearest class. own_distance: to its own one, None where the net does not know that.
    """

    image: int
    label: int
    name: str
    answered: str
    right: bool
    distance: float
    own_distance: float | None

    @property
    def offence(self) -> float:
        """What answers are ordered by, the worst first: the distance to the own class, to the nearest one else."""
        return self.distance if self.own_distance is None else self.own_distance


def read_results(path: Path, source: str, count: int) -> list[Answer]:
    """The answers to images of a source of `count` images, in the order of the file.

    Raises DataError, with the line, where the file is none of test-many's, or was not written for this source.
    """
    answers, others = [], Counter[str]()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                found = f'there is no column "{missing[0]}"'
                raise DataError(found, where=f"{path}:1", mend=MAKE_ANEW)
            for row in reader:
                if row["source"] == source:
                    answers.append(_answer(row, count, f"{path}:{reader.line_num}"))
                else:
                    others[str(row["source"])] += 1
    except OSError as error:
        raise DataError(f"it cannot be read: {error.strerror}", where=str(path), mend="check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"it is no CSV file: {error}", where=str(path), mend=MAKE_ANEW) from None
    if not answers:
        named = ", ".join(f'"{name}"' for name, _ in others.most_common(5)) or "none"
        mend = "name the source that was tested, or test this one"
        raise DataError(f'it has no image of "{source}", but of {named}', where=str(path), mend=mend)
    return answers


def _answer(row: dict[str, str], count: int, where: str) -> Answer:
    try:
        own = float(row["own_distance"]) if row["own_distance"] else None
        image, label = int(row["image"]), int(row["label"])
        distance, right = float(row["distance"]), bool(int(row["right"]))
    except (TypeError, ValueError):
        raise DataError("a number in this line cannot be read", where=where, mend=MAKE_ANEW) from None
    if not 0 <= image < count:
        found = f"image {image} is not there, the source has {count:,} images in use"
        raise DataError(found, where=where, mend=MAKE_ANEW)
    return Answer(image, label, str(row["class"]), str(row["predicted_class"]), right, distance, own)


def furthest_first(answers: Iterable[Answer]) -> list[Answer]:
    """Answers by their offence, the worst first, and by number where it is the same."""
    return sorted(answers, key=lambda answer: (-answer.offence, answer.image))


def worst(answers: Iterable[Answer], most: int | None = None) -> list[Answer]:
    """Those furthest from their own class, the furthest first; classes that the net does not know are left out."""
    return furthest_first(answer for answer in answers if answer.own_distance is not None)[:most]


def confused(answers: Iterable[Answer], most: int) -> list[tuple[tuple[str, str], list[Answer]]]:
    """The pairs of a class and a wrong answer that came most often, with their images, the furthest off first."""
    pairs: dict[tuple[str, str], list[Answer]] = {}
    for answer in furthest_first(one for one in answers if not one.right):
        pairs.setdefault((answer.name, answer.answered), []).append(answer)
    return sorted(pairs.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:most]
