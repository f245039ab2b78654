"""ImageData: which pictures come in which batch, how paths are found, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netforge.data.transforms.distortion import Distortion, DistortionRanges
from netforge.data.transforms.resizing import Resizing, Size
from netforge.device.random import RandomStream
from netforge.errors import NetforgeError
from netforge.net import Net
from netforge.schema import parse_net

COUNT, HEIGHT, WIDTH = 7, 5, 6
PIXELS = np.random.default_rng(4).integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), np.uint8)
BGR = PIXELS[..., ::-1].transpose(0, 3, 1, 2)
LABELS = [i % 3 for i in range(COUNT)]


def layer(settings: str = "batch_size: 3", transform: str = "", tops: str = 'top: "data" top: "label"') -> str:
    return (
        f'layer {{ name: "i" type: "ImageData" {tops}\n'
        f"  transform_param {{ {transform} }}\n"
        f'  image_data_param {{ source: "list.txt" {settings} }}\n}}'
    )


def batches(text: str, count: int, phase: str = "TRAIN", seed: int = 5, start: int = 0, **options) -> list[np.ndarray]:
    """Data and labels of some batches, one behind the other."""
    found: dict[str, list[np.ndarray]] = {}
    with Net(parse_net(text), phase, seed=seed, **options) as net:
        net.layers[0].random.position = start
        for _ in range(count):
            net.forward()
            for name, blob in net.blobs.items():
                found.setdefault(name, []).append(blob.data.copy())
    return [np.concatenate(parts) for parts in found.values()]


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven pictures in the current folder, one with blanks in its name, and their list."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "img").mkdir()
    for i, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / "img" / f"no {i}.png")
    write_list("img/")
    return tmp_path


def write_list(prefix: str, name: str = "list.txt") -> None:
    Path(name).write_text("".join(f"{prefix}no {i}.png {label}\n" for i, label in enumerate(LABELS)))


def test_pictures_in_order_again_and_again() -> None:
    data, labels = batches(layer(), 5)
    order = np.arange(15) % COUNT
    np.testing.assert_array_equal(data, BGR[order])
    np.testing.assert_array_equal(labels, np.array(LABELS)[order])
    (data,) = batches(layer("", tops='top: "data"'), 2)
    np.testing.assert_array_equal(data, BGR[:2])


def test_shuffled_pictures_have_another_order_in_every_epoch() -> None:
    data, labels = batches(layer("batch_size: 7 shuffle: true"), 6)
    orders = [[int((image == BGR).all((1, 2, 3)).argmax()) for image in data[k : k + 7]] for k in range(0, 42, 7)]
    assert all(sorted(order) == list(range(COUNT)) for order in orders) and len({*map(tuple, orders)}) == 6
    np.testing.assert_array_equal(labels, np.array(LABELS)[np.concatenate(orders)])
    again, _ = batches(layer("batch_size: 7 shuffle: true"), 2, start=4)
    np.testing.assert_array_equal(again, data[28:])


def test_rand_skip_starts_at_one_of_the_first_pictures() -> None:
    starts = set()
    for seed in range(25):
        data, _ = batches(layer("rand_skip: 2"), 1, seed=seed)
        starts.add(int((data[0] == BGR).all((1, 2, 3)).argmax()))
    assert starts == {0, 1, 2}


def test_grey() -> None:
    data, _ = batches(layer("batch_size: 7 is_color: false"), 1)
    expected = [np.asarray(Image.fromarray(pixels).convert("L")) for pixels in PIXELS]
    np.testing.assert_array_equal(data[:, 0], expected)


def test_another_size_for_pictures_of_any_size() -> None:
    rng = np.random.default_rng(1)
    shapes = [(5, 6), (9, 4), (2, 2), (1, 30), (12, 12), (6, 5), (7, 7)]
    stored = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    for i, pixels in enumerate(stored):
        Image.fromarray(pixels).save(f"img/no {i}.png")
    data, _ = batches(layer("batch_size: 7 new_height: 4 new_width: 8"), 1)
    for pixels, found in zip(stored, data, strict=True):
        stretch = Resizing(*pixels.shape[:2], Size(4, 8), ["LINEAR"], RandomStream(0, "x"))
        np.testing.assert_array_equal(found, np.rint(stretch(pixels[..., ::-1].transpose(2, 0, 1)[None], 0))[0])


def test_transform_param() -> None:
    data, labels = batches(
        layer(
            "batch_size: 7", 'color_order: RGB mean_value: 1 crop_size: 3 scale: 2 label_mapping { mapping: "2->0" }'
        ),
        1,
        "TEST",
    )
    np.testing.assert_array_equal(data, (BGR[:, ::-1, 1:4, 1:4].astype(np.float32) - 1) * 2)
    assert labels.tolist() == [0, 1, 0, 0, 1, 0, 0]
    distort = Distortion(DistortionRanges(1, 20), RandomStream(5, "i.transform.distortion"))
    data, _ = batches(layer("batch_size: 7", "distortion_param { brightness_prob: 1 brightness_delta: 20 }"), 1)
    np.testing.assert_array_equal(data, distort(BGR, 0))


@pytest.mark.parametrize("root", ["img", "img/", "ABSOLUTE"])
def test_root_folder(root: str, pictures: Path) -> None:
    write_list("")
    text = layer(f'root_folder: "{root.replace("ABSOLUTE", str(pictures / "img"))}"')
    np.testing.assert_array_equal(batches(text, 1)[0], BGR[:1])


def test_paths_start_here_or_beside_the_list_or_are_absolute(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pictures / "net.prototxt").write_text(layer())
    (pictures / "elsewhere").mkdir()
    monkeypatch.chdir(pictures / "elsewhere")
    for prefix in ("img/", f"{pictures}/img/"):
        write_list(prefix, str(pictures / "list.txt"))
        with Net(pictures / "net.prototxt", "TRAIN") as net:
            net.forward()
            np.testing.assert_array_equal(net.blobs["data"].data, BGR[:3])
    (pictures / "elsewhere" / "img").mkdir()
    Image.fromarray(PIXELS[3]).save("img/no 0.png")
    write_list("img/", str(pictures / "list.txt"))
    with Net(parse_net(layer("batch_size: 1").replace("list.txt", f"{pictures}/list.txt")), "TRAIN") as net:
        net.forward()
        np.testing.assert_array_equal(net.blobs["data"].data, BGR[3:4])


def test_a_plan_reads_the_header_of_the_first_picture_alone() -> None:
    for i in range(1, COUNT):
        Path(f"img/no {i}.png").unlink()
    net = Net(parse_net(layer()), "TRAIN", plan_only=True)
    assert net.blobs["data"].shape == (3, 3, HEIGHT, WIDTH) and net.blobs["label"].shape == (3,)
    with pytest.raises(NetforgeError, match="has no data"):
        net.forward()


def test_phase_run_takes_the_shape_from_the_first_picture() -> None:
    text = layer("batch_size: 3", "crop_size: 4") + '\nlayer { name: "r" type: "ReLU" bottom: "data" top: "y" }'
    assert Net(parse_net(text), "RUN").blobs["y"].shape == (1, 3, 4, 4)


def test_draws_of_labels_are_counted_and_an_exact_resume_goes_on() -> None:
    with Net(parse_net(layer()), "TRAIN", seed=5) as net:
        for _ in range(4):
            net.forward()
        state = net.layers[0].state()
        net.forward()
        fifth = net.blobs["data"].data.copy()
        assert net.layers[0].label_queries.counts.counts.sum() == 15
    with Net(parse_net(layer()), "TRAIN", seed=5) as net:
        net.layers[0].restore(state)
        net.forward()
        np.testing.assert_array_equal(net.blobs["data"].data, fifth)
        assert net.layers[0].label_queries.counts.counts.sum() == 15


def test_labels_have_a_limit_that_layers_behind_may_ask_for() -> None:
    with Net(parse_net(layer()), "TRAIN") as net:
        assert net.blobs["label"].data_storage.limit() == 3


REFUSED = {
    "no source": ('layer { name: "i" type: "ImageData" top: "x" }', "no source is given"),
    "no list": (layer().replace("list.txt", "lost.txt"), 'there is no file "lost.txt"'),
    "height": (layer("new_height: 3"), "new_height is given without new_width"),
    "width": (layer("new_width: 3"), "new_width is given without new_height"),
    "skip": (layer("rand_skip: 2 shuffle: true"), "rand_skip goes with pictures in the order of the list only"),
    "crop": (layer("", "crop_size: 6"), "crop_size 6 is larger than the images, 5 x 6 pixels"),
    "mean": (layer("", "use_imagedb_mean: true"), 'source "list.txt" has no mean'),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_settings_that_are_refused(kind: str) -> None:
    text, message = REFUSED[kind]
    for plan_only in (True, False) if kind != "mean" else (False,):
        with pytest.raises(NetforgeError) as caught:
            Net(parse_net(text), "TRAIN", plan_only=plan_only)
        assert message in str(caught.value) and '"i" (ImageData)' in str(caught.value) and caught.value.mend


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no picture is named in here"),
        ("img/no 0.png 1\nimg/1.png\n", "list.txt:2: "),
        ("img/no 0.png 1\nimg/no 1.png 1.5\n", "list.txt:2: "),
        ("img/no 0.png 1\nimg/no 1.png 99999999999\n", "list.txt:2: "),
        ("img/no 9.png 1\n", "no 9.png: "),
        ("list.txt 1\n", "it is none of BMP, GIF"),
        ("img 1\n", "it is no file"),
        (f"img/{'x' * 300}.png 1\n", "File name too long"),
    ],
)
def test_lists_that_are_refused(text: str, message: str) -> None:
    Path("list.txt").write_text(text)
    with pytest.raises(NetforgeError) as caught:
        Net(parse_net(layer()), "TRAIN")
    assert message in str(caught.value) and '"i" (ImageData)' in str(caught.value) and caught.value.mend


def test_pictures_that_cannot_be_used_are_named_when_they_are_drawn() -> None:
    Image.fromarray(PIXELS[0][:4]).save("img/no 4.png")
    Path("img/no 6.png").write_bytes(Path("img/no 6.png").read_bytes()[:60])
    with Net(parse_net(layer("batch_size: 1")), "TRAIN") as net:
        for number, message in (
            (4, "the picture has 4 x 6 pixels, the first of the list 5 x 6"),
            (6, "cannot be read"),
        ):
            net.layers[0].random.position = number
            with pytest.raises(NetforgeError, match=message) as caught:
                net.forward()
            assert f"no {number}.png" in str(caught.value) and '"i" (ImageData)' in str(caught.value)
            assert caught.value.mend


def test_large_pictures_need_another_size() -> None:
    Image.new("L", (2100, 2000)).save("img/no 0.png")
    with pytest.raises(NetforgeError, match="at 2100 x 2000 pixels the picture is too large") as caught:
        Net(parse_net(layer("batch_size: 1")), "TRAIN", plan_only=True)
    assert "new_height" in str(caught.value.mend)
    data, _ = batches(layer("batch_size: 1 new_height: 4 new_width: 4"), 1)
    assert data.shape == (1, 3, 4, 4)
