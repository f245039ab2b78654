"""A tiny VOCdevkit for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

Object = tuple[str, int, tuple[float, float, float, float]]
SETS = {(2007, "trainval"): ["000001", "000005"], (2012, "trainval"): ["2008_000002"], (2007, "test"): ["000004"]}
SIZE = (20, 40)  # height, width
THINGS: dict[str, list[Object]] = {
    "000001": [("dog", 0, (1, 1, 20, 10)), ("person", 1, (11, 6, 40, 20))],
    "000005": [("chair", 1, (31, 1, 40, 20))],
    "2008_000002": [("tvmonitor", 0, (1, 1, 8, 20)), ("cat", 0, (2.5, 1, 12.5, 20))],
    "000004": [],
}


def annotation(things: Sequence[Object], size: tuple[int, int] = SIZE) -> str:
    """An annotation as VOC writes it; every object has a part with a box of its own."""
    objects = "".join(
        f"<object><name>{name}</name><pose>Left</pose>\n<difficult>{difficult}</difficult><bndbox>"
        f"<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>"
        "<part><name>head</name><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></part>"
        "</object>\n"
        for name, difficult, box in things
    )
    return (
        "<annotation>\n<folder>VOC</folder><source><database>x</database></source>\n"
        f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>\n{objects}</annotation>\n"
    )


def write_image(folder: Path, image: str, things: Sequence[Object]) -> None:
    """A picture and its annotation; the picture is white inside of the last box and black elsewhere."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(SIZE, np.uint8)
    if things:
        xmin, ymin, xmax, ymax = (round(edge) for edge in things[-1][2])
        pixels[ymin - 1 : ymax, xmin - 1 : xmax] = 255
    Image.fromarray(pixels).convert("RGB").save(folder / "JPEGImages" / f"{image}.jpg", quality=100)
    (folder / "Annotations" / f"{image}.xml").write_text(annotation(things))


def write_devkit(folder: Path) -> Path:
    """VOCdevkit with both years, all parts."""
    for (year, part), images in SETS.items():
        root = folder / "VOCdevkit" / f"VOC{year}"
        for image in images:
            write_image(root, image, THINGS[image])
        (root / "ImageSets" / "Main" / f"{part}.txt").write_text("".join(f"{image}\n" for image in images))
        (root / "ImageSets" / "Main" / f"dog_{part}.txt").write_text("".join(f"{image} -1\n" for image in images))
    return folder
