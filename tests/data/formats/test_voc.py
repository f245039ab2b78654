"""PASCAL VOC: a tiny VOCdevkit is imported, its boxes move with the pixels, and what is damaged says where."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from netforge.data import Boxes, ImageDatabase, PictureForm, copy_images, import_voc0712, open_source
from netforge.data.formats.voc import CLASSES, read_annotation
from netforge.errors import DataError
from tests.data.devkit import SETS, SIZE, THINGS, annotation, write_devkit, write_image


def imported(*paths: Path, **options: object):
    form = options.pop("form", PictureForm(3, SIZE))
    with ImageDatabase() as database:
        return import_voc0712(database, paths, **({"name": "v", "form": form, "replace": True} | options))


def boxes_of(name: str) -> Boxes:
    with ImageDatabase() as database:
        return database.boxes(name)


def test_both_years_are_imported_with_their_boxes(tmp_path: Path) -> None:
    training, testing = imported(write_devkit(tmp_path)).sources
    assert (training.name, training.count, training.shape) == ("v.training", 3, (3, *SIZE))
    assert training.labels.tolist() == [CLASSES.index(name) for name in ("person", "chair", "cat")]
    assert (testing.name, testing.labels.tolist()) == ("v.testing", [0])
    boxes = boxes_of("v.training")
    assert boxes.image.tolist() == [0, 0, 1, 2, 2] and boxes.difficult.tolist() == [False, True, True, False, False]
    assert [CLASSES[label] for label in boxes.label] == ["dog", "person", "chair", "tvmonitor", "cat"]
    wanted = [[0, 0, 0.5, 0.5], [0.25, 0.25, 1, 1], [0.75, 0, 1, 1], [0, 0, 0.2, 1], [1.5 / 40, 0, 12.5 / 40, 1]]
    np.testing.assert_allclose(boxes.corners, wanted)
    assert len(boxes_of("v.testing")) == 0
    with ImageDatabase() as database:
        assert database.class_names(database.find("v.testing")) == dict(enumerate(CLASSES))
        assert database.origins("v.training")[1:] == [
            "VOC2007/JPEGImages/000005.jpg",
            "VOC2012/JPEGImages/2008_000002.jpg",
        ]
    np.testing.assert_array_equal(open_source("IMAGEDB", "v.testing").mean, open_source("IMAGEDB", "v.training").mean)


def test_archives_and_folders_at_any_height_are_the_same(tmp_path: Path) -> None:
    devkit = write_devkit(tmp_path / "all") / "VOCdevkit"
    archives = []
    for (year, part), images in SETS.items():
        archives.append(tmp_path / f"{part}{year}.tar")
        with tarfile.open(archives[-1], "w") as archive:
            names = [f"ImageSets/Main/{part}.txt"]
            names += [name for image in images for name in (f"JPEGImages/{image}.jpg", f"Annotations/{image}.xml")]
            for name in names:
                archive.add(devkit / f"VOC{year}" / name, f"VOCdevkit/VOC{year}/{name}")
    digests = set()
    for paths in (archives, [devkit], [devkit / "VOC2012", devkit / "VOC2007"], [tmp_path / "all"]):
        imported(*paths)
        with ImageDatabase() as database:
            stamps = [(info.stamp, info.label_stamp) for info in database.sources()]
            digests.add((*stamps, len(database.boxes("v.training"))))
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("size", "fit", "wanted"),
    [
        # 40 x 20 pixels to 20 x 20: the middle half is kept; the dog of 0..0.5 has its centre at the cut, the cat's out
        ((20, 20), "crop", {"person": [0, 0.25, 1, 1]}),
        (
            (20, 20),
            "pad",
            {"dog": [0, 0.25, 0.5, 0.5], "person": [0.25, 0.375, 1, 0.75], "chair": [0.75, 0.25, 1, 0.75]},
        ),
        ((60, 40), "stretch", {"dog": [0, 0, 0.5, 0.5], "person": [0.25, 0.25, 1, 1], "chair": [0.75, 0, 1, 1]}),
    ],
)
def test_boxes_move_with_the_pixels(tmp_path: Path, size: tuple[int, int], fit: str, wanted: dict) -> None:
    imported(write_devkit(tmp_path), form=PictureForm(3, size, fit), year=2007)
    boxes = boxes_of("v.training")
    found = {CLASSES[label]: corners for label, corners in zip(boxes.label, boxes.corners.tolist(), strict=True)}
    assert found.keys() == wanted.keys()
    for name, corners in wanted.items():
        np.testing.assert_allclose(found[name], corners)
    labels = open_source("IMAGEDB", "v.training").labels.tolist()
    assert labels == [CLASSES.index("person"), CLASSES.index("chair") if "chair" in wanted else 0]
    number = list(found).index("person")
    xmin, ymin, xmax, ymax = np.rint(boxes.corners[number] * [size[1], size[0], size[1], size[0]]).astype(int)
    picture = open_source("IMAGEDB", "v.training").images[0][0]
    assert picture[ymin + 1 : ymax - 1, xmin + 1 : xmax - 1].min() > 200
    picture = picture.copy()
    picture[max(ymin - 2, 0) : ymax + 2, max(xmin - 2, 0) : xmax + 2] = 0
    assert picture.max() < 60


def test_one_year_alone(tmp_path: Path) -> None:
    devkit = write_devkit(tmp_path) / "VOCdevkit"
    assert [(part.name, part.count) for part in imported(devkit, year=2012).sources] == [("v.training", 1)]
    assert [(part.name, part.count) for part in imported(devkit, year=2007).sources] == [
        ("v.training", 2),
        ("v.testing", 1),
    ]
    with pytest.raises(
        DataError, match=r"the part trainval of VOC2012 is missing. Name VOCtrainval_11-May-2012\.tar too"
    ):
        imported(devkit / "VOC2007")
    with pytest.raises(DataError, match="the part trainval of VOC2007 is there twice"):
        imported(devkit, devkit)
    with pytest.raises(DataError, match="differ in size"):
        imported(devkit, form=PictureForm(3))


def test_copies_keep_boxes_and_origins(tmp_path: Path) -> None:
    imported(write_devkit(tmp_path))
    with ImageDatabase() as database:
        copy_images(
            database, ["v.testing", "v.training"], "some", only_labels=f"0,{CLASSES.index('cat')}", rest="others"
        )
        some, others = database.boxes("some"), database.boxes("others")
        assert some.image.tolist() == [1, 1] and [CLASSES[label] for label in some.label] == ["tvmonitor", "cat"]
        assert others.image.tolist() == [0, 0, 1] and others.difficult.tolist() == [False, True, True]
        np.testing.assert_array_equal(others.corners, database.boxes("v.training").corners[:3])
        assert database.origins("others") == [f"VOC2007/JPEGImages/{image}.jpg" for image in ("000001", "000005")]
        names = database.class_names(database.find("some"))
        assert names == {label: CLASSES[label] for label in (0, CLASSES.index("cat"), CLASSES.index("tvmonitor"))}


def test_boxes_are_counted_by_the_images_in_use(tmp_path: Path) -> None:
    imported(write_devkit(tmp_path))
    with ImageDatabase() as database:
        with database.write() as writer:
            writer._connection.execute("UPDATE images SET active = 0 WHERE position = 0")
        assert database.boxes("v.training").image.tolist() == [0, 1, 1]
        assert database.origins("v.training")[0] == "VOC2007/JPEGImages/000005.jpg"
        with database.write() as writer:
            writer._connection.execute("UPDATE boxes SET xmin = 'x'")
        with pytest.raises(DataError, match="a box is damaged"):
            database.boxes("v.training")


def test_bad_images_are_named_and_left_out_on_request(tmp_path: Path) -> None:
    root = write_devkit(tmp_path) / "VOCdevkit" / "VOC2007"
    (root / "JPEGImages" / "000001.jpg").write_bytes(b"\xff\xd8\xff")
    (root / "Annotations" / "000005.xml").write_text(annotation(THINGS["000005"], (20, 41)))
    (root / "Annotations" / "000004.xml").unlink()
    with pytest.raises(DataError) as caught:
        imported(tmp_path)
    text = str(caught.value)
    assert "2 pictures cannot be read" in text and str(root / "JPEGImages" / "000001.jpg") in text
    assert f"{root / 'Annotations' / '000005.xml'}:3: the size is 41 x 20, and 000005.jpg has 40 x 20 pixels" in text
    write_image(root, "000005", THINGS["000005"])
    with pytest.raises(DataError, match=r"000004\.xml: there is no such file"):
        imported(tmp_path, skip_unreadable=True)
    with ImageDatabase() as database:
        assert database.sources() == []
    write_image(root, "000004", THINGS["000004"])
    done = imported(tmp_path, skip_unreadable=True)
    assert len(done.unreadable) == 1 and [part.count for part in done.sources] == [2, 1]
    assert boxes_of("v.training").image.tolist() == [0, 1, 1]


def test_a_bad_list_is_named(tmp_path: Path) -> None:
    write_devkit(tmp_path)
    listed = tmp_path / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "trainval.txt"
    for content, message in (
        (b"000001\n\n../000005\n", ":3: b'../000005' is no name of an image"),
        (b"000001\n\0\n", ":2: "),
        (b"\n", "the list of images is empty"),
        (b"000001\n000009\n", "there is no such file"),
    ):
        listed.write_bytes(content)
        with pytest.raises(DataError) as caught:
            imported(tmp_path)
        assert message in str(caught.value)
    with ImageDatabase() as database:
        assert database.sources() == []


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n<annotation>&b;</annotation>'
EXTERNAL = '\n<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>'
GOOD = annotation([("dog", 0, (1, 1, 20, 10))])


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (LAUGHS, 1, "declares a document type or entities"),
        (EXTERNAL, 2, "declares a document type or entities"),
        ("<annotation>&b;</annotation>", 1, "this is no XML: undefined entity"),
        (GOOD[:200], 5, "this is no XML: unclosed token"),
        ("", 1, "this is no XML: no element found"),
        (GOOD.replace("Left", "\0"), 4, "this is no XML: not well-formed"),
        ('<?xml version="1.0" encoding="latin-99"?><annotation/>', 0, "the text cannot be read: unknown encoding"),
        ('<?xml version="1.0" encoding="shift_jis"?><annotation/>', 0, "the text cannot be read: multi-byte"),
        ("<a>" * 100, 1, "elements lie more than 8 deep"),
        ("<html/>", 1, "the file is of kind <html>"),
        ("<annotation>\n</annotation>", 1, "<annotation> has no <size>"),
        (GOOD.replace("<width>40</width>", ""), 3, "<size> has no <width>"),
        (GOOD.replace("<width>40", "<width>0"), 3, "cannot have 0 x 20 pixels"),
        (GOOD.replace("<width>40", "<width>40.5"), 3, "cannot have 40.5 x 20 pixels"),
        (GOOD.replace("<name>dog", "<name>dgo"), 4, "'dgo' is no class of VOC. Did you mean \"dog\""),
        (GOOD.replace("<name>dog", "<name>background"), 4, "is no class of VOC"),
        (GOOD.replace("<difficult>0", "<difficult>2"), 4, "<difficult> is 2, expected 0 or 1"),
        (GOOD.replace("<xmin>1", "<xmin>nan"), 5, "<xmin> is 'nan', expected a number"),
        (GOOD.replace("<xmin>1", "<xmin>1e400"), 5, "expected a number"),
        (GOOD.replace("<xmin>1", "<xmin>"), 5, "<xmin> is '', expected a number"),
        (GOOD.replace("<xmin>1", "<xmin>1</xmin><xmin>2"), 5, "<bndbox> has 2 <xmin>, expected one"),
        (GOOD.replace("<xmin>1", "<xmin>21"), 5, "the box from 21, 1 to 20, 10 is turned round"),
        (GOOD.replace("<ymax>10", "<ymax>0"), 5, "is turned round"),
        (GOOD.replace("<xmin>1", "<xmin>-1"), 5, "leaves the picture of 40 x 20"),
        (GOOD.replace("<xmax>20", "<xmax>42"), 5, "leaves the picture of 40 x 20"),
        (
            GOOD.replace("<xmin>1<", "<xmin>0<").replace("<xmax>20", "<xmax>0"),
            5,
            "nothing of the box is on the picture",
        ),
    ],
)
def test_the_line_of_an_annotation_is_named(text: str, line: int, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_annotation(text.encode(), "x.xml")
    assert str(caught.value).startswith(f"x.xml:{line}:" if line else "x.xml:") and message in str(caught.value)


def test_annotations_at_the_edges() -> None:
    read = read_annotation(annotation([("dog", 0, (0, 0, 41, 21)), ("cat", 1, (40, 20, 40, 20))]).encode(), "x")
    np.testing.assert_allclose(read.corners, [[0, 0, 1, 1], [39 / 40, 19 / 20, 1, 1]])
    assert read.size == SIZE and read.difficult.tolist() == [False, True]
    plain = annotation([("dog", 0, (1, 1, 2, 2))]).replace("<difficult>0</difficult>", "")
    assert read_annotation(plain.encode(), "x").difficult.tolist() == [False]
    large = b"<annotation>" + b" " * 5_000_000
    with pytest.raises(DataError, match="this is no XML"):
        read_annotation(large, "x")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("image", [0, 3]),
        ("image", [-1, 0]),
        ("image", [1, 0]),
        ("corners", [[0, 0, 1, 1], [0, 0, np.nan, 1]]),
        ("corners", [[0, 0, 1, 1], [0.5, 0, 0.5, 1]]),
        ("corners", [[0, 0, 1, 1], [0, 0, 1, 1.1]]),
        ("corners", [[0, 0, 1, 1]]),
        ("label", [0, 1 << 25]),
    ],
)
def test_boxes_that_cannot_be(column: str, value: list) -> None:
    columns = {"image": [0, 1], "label": [1, 2], "corners": [[0, 0, 1, 1]] * 2, "difficult": [True, False]} | {
        column: value
    }
    types = {"image": np.int64, "label": np.int64, "corners": np.float64, "difficult": np.bool_}
    boxes = Boxes(**{name: np.array(columns[name], kind) for name, kind in types.items()})
    with pytest.raises(DataError, match='source "a"'):
        boxes.check("a", 3)
