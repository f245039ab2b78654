"""PASCAL VOC as it is distributed: its classes, its lists of images, and its annotations in XML.

Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 2010.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from netforge.data.formats.archive import Files
from netforge.data.store.boxes import Corners
from netforge.errors import DataError, Place, did_you_mean

# By label; 0 is the background, as in the label map of Caffe-SSD.
CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
LARGEST_ANNOTATION = 1 << 20
LARGEST_LIST = 1 << 24
MOST_DEPTH = 8
SLACK = 1.0  # pixels by which a box may stand out of its picture, and is cut
IMAGE_SET = re.compile(r"(?:(.*)/)?ImageSets/Main/(trainval|test)\.txt")
FOLDER = re.compile(r"VOC(2007|2012)")
NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{0,20})?")
MEND = "fetch the file again, or correct it"


@dataclass(frozen=True)
class VocSet:
    """One list of images: year and part, such as 2007 and "trainval"; the files, and the folder VOC2007 in them."""

    year: int
    part: str
    files: Files
    folder: str

    def ids(self) -> list[str]:
        """The names of the images, without folder and suffix, in the order of the list.

        Raises DataError, with the line, for what is no name of an image, and for an empty list.
        """
        name = f"{self.folder}ImageSets/Main/{self.part}.txt"
        ids = []
        for number, line in enumerate(self.files.read(name, LARGEST_LIST).split(b"\n"), 1):
            words = line.split()
            if words:
                if not re.fullmatch(rb"[\w-]{1,100}", words[0]):
                    place = Place(self.files.where(name), number)
                    raise DataError(f"{words[0][:80]!r} is no name of an image", where=place, mend=MEND)
                ids.append(words[0].decode("ascii"))
        if not ids:
            raise DataError("the list of images is empty", where=self.files.where(name), mend=MEND)
        return ids

    def picture(self, image: str) -> str:
        """The name of an image's file."""
        return f"{self.folder}JPEGImages/{image}.jpg"

    def annotation(self, image: str) -> Annotation:
        """What is on an image."""
        name = f"{self.folder}Annotations/{image}.xml"
        return read_annotation(self.files.read(name, LARGEST_ANNOTATION), self.files.where(name))


@dataclass(frozen=True)
class Annotation:
    """What is on a picture of `size`, (height, width).

    label: (n,) numbers of `CLASSES`. corners: (n, 4) xmin, ymin, xmax, ymax in shares of the picture's sides.
    difficult: (n,). size_place: where the size is said.
    """

    size: tuple[int, int]
    label: npt.NDArray[np.int64]
    corners: Corners
    difficult: npt.NDArray[np.bool_]
    size_place: Place


def find_sets(files: Files) -> list[VocSet]:
    """The lists of images in a folder or archive: VOCdevkit, a folder around it, or VOC2007 or VOC2012 itself."""
    found = []
    for name in files.names():
        match = IMAGE_SET.fullmatch(name)
        if match is None:
            continue
        folder = match[1]
        year = FOLDER.fullmatch(files.path.absolute().name if folder is None else folder.rpartition("/")[2])
        if year is not None:
            found.append(VocSet(int(year[1]), match[2], files, "" if folder is None else f"{folder}/"))
    return found


@dataclass
class _Element:
    """An XML element; children and text in the order of the file."""

    name: str
    line: int
    children: list[_Element] = field(default_factory=list)
    text: str = ""

    def all(self, name: str) -> list[_Element]:
        """The children of that name."""
        return [child for child in self.children if child.name == name]


def read_annotation(data: bytes, where: str) -> Annotation:
    """An annotation in VOC's XML.

    VOC counts pixels from 1, and both ends belong to a box: shares are (xmin - 1) / width and xmax / width. (Caffe-SSD
    divides all four as they are.) What stands out of the picture by up to a pixel is cut.

    where: the file, for messages. Raises DataError with the line where it is damaged, declares a document type or
    entities, lacks something, or a class is unknown or a box impossible.
    """
    root = _parsed(data, where)
    if root.name != "annotation":
        raise _error(where, root, f"the file is of kind <{root.name}>, expected <annotation>")
    size = _one(where, root, "size")
    width, height = (_number(where, size, side) for side in ("width", "height"))
    if not (width >= 1 and height >= 1 and width.is_integer() and height.is_integer()):
        raise _error(where, size, f"a picture cannot have {width:g} x {height:g} pixels")
    objects = root.all("object")
    return Annotation(
        (int(height), int(width)),
        np.array([_label(where, thing) for thing in objects], np.int64),
        np.array([_corners(where, thing, width, height) for thing in objects], np.float64).reshape(-1, 4),
        np.array([bool(thing.all("difficult")) and _flag(where, thing) for thing in objects], np.bool_),
        Place(where, size.line),
    )


def _label(where: str, thing: _Element) -> int:
    name = _one(where, thing, "name")
    if name.text not in CLASSES[1:]:
        close = did_you_mean(name.text, CLASSES[1:])
        raise _error(where, name, f"{name.text[:80]!r} is no class of VOC", close or "correct it")
    return CLASSES.index(name.text)


def _flag(where: str, thing: _Element) -> bool:
    value = _number(where, thing, "difficult")
    if value not in (0, 1):
        raise _error(where, thing, f"<difficult> is {value:g}, expected 0 or 1")
    return value == 1


def _corners(where: str, thing: _Element, width: float, height: float) -> tuple[float, float, float, float]:
    box = _one(where, thing, "bndbox")
    xmin, ymin, xmax, ymax = (_number(where, box, side) for side in ("xmin", "ymin", "xmax", "ymax"))
    if xmax < xmin or ymax < ymin:
        raise _error(where, box, f"the box from {xmin:g}, {ymin:g} to {xmax:g}, {ymax:g} is turned round")
    if min(xmin, ymin) < 1 - SLACK or xmax > width + SLACK or ymax > height + SLACK:
        found = f"the box from {xmin:g}, {ymin:g} to {xmax:g}, {ymax:g} leaves the picture of {width:g} x {height:g}"
        raise _error(where, box, found)
    left, above = max(0.0, xmin - 1), max(0.0, ymin - 1)
    right, below = min(width, xmax), min(height, ymax)
    if not (left < right and above < below):
        raise _error(where, box, "nothing of the box is on the picture")
    return left / width, above / height, right / width, below / height


def _number(where: str, parent: _Element, name: str) -> float:
    element = _one(where, parent, name)
    if NUMBER.fullmatch(element.text) is None:
        raise _error(where, element, f"<{name}> is {element.text[:80]!r}, expected a number")
    return float(element.text)


def _one(where: str, parent: _Element, name: str) -> _Element:
    """The only child of that name."""
    found = parent.all(name)
    if len(found) != 1:
        raise _error(where, parent, f"<{parent.name}> has {len(found) or 'no'} <{name}>, expected one")
    return found[0]


def _error(where: str, element: _Element, found: str, mend: str = MEND) -> DataError:
    return DataError(found, where=Place(where, element.line), mend=mend)


def _parsed(data: bytes, where: str) -> _Element:
    """The root element of an XML file; nothing outside of the file is looked at, and nothing in it is expanded."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    top = _Element("", 0)
    open_elements = [top]

    def refuse(*_declaration: object) -> NoReturn:
        place = Place(where, parser.CurrentLineNumber)
        raise DataError("the file declares a document type or entities", where=place, mend=MEND)

    def start(name: str, _attributes: object) -> None:
        if len(open_elements) > MOST_DEPTH:
            place = Place(where, parser.CurrentLineNumber)
            raise DataError(f"elements lie more than {MOST_DEPTH} deep in each other", where=place, mend=MEND)
        element = _Element(name, parser.CurrentLineNumber)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_name: str) -> None:
        element = open_elements.pop()
        element.text = element.text.strip()

    def text(part: str) -> None:
        open_elements[-1].text += part

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        place = Place(where, error.lineno, error.offset + 1)
        raise DataError(f"this is no XML: {expat.ErrorString(error.code)}", where=place, mend=MEND) from None
    except (LookupError, ValueError) as error:  # of an encoding that Python does not know, or expat does not take
        raise DataError(f"the text cannot be read: {error}", where=where, mend=MEND) from None
    return top.children[0]
