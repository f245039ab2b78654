"""HDF5Data and HDF5Output: which rows come in which batch, what is written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from netforge.data import sampling
from netforge.device.random import RandomStream
from netforge.errors import NetforgeError
from netforge.net import Net
from netforge.schema import parse_net


def write_rows(path: Path, rows: int, first: int = 0, **more: np.ndarray) -> None:
    """A file of `rows` rows with the datasets "data" (2, 3), whose values tell row and place, and "label"."""
    numbers = np.arange(first, first + rows)
    data = numbers[:, None, None] + np.arange(6).reshape(2, 3) / 10
    with h5py.File(path, "w") as file:
        for name, values in ({"data": data, "label": numbers.astype(np.int16)} | more).items():
            file[name] = values


def layer(settings: str = "batch_size: 4", tops: str = "data label", more: str = "") -> str:
    names = " ".join(f'top: "{top}"' for top in tops.split())
    return (
        f'layer {{ name: "h" type: "HDF5Data" {names}\n hdf5_data_param {{ source: "list.txt" {settings} }} {more} }}'
    )


def drawn(text: str, count: int, start: int = 0, seed: int = 5) -> list[int]:
    """The labels of some batches from batch `start` on; every row's data are compared with its label."""
    labels = []
    with Net(parse_net(text), "TRAIN", seed=seed) as net:
        net.layers[0].restore({"position": start})
        for _ in range(count):
            net.forward()
            label, data = net.blobs["label"].data, net.blobs["data"].data
            expected = label[:, None, None] + np.arange(6).reshape(2, 3) / 10
            np.testing.assert_allclose(data, expected, rtol=1e-6)
            labels += label.astype(int).tolist()
        assert data.dtype == np.float32 and data.shape[1:] == (2, 3) and label.shape == data.shape[:1]
    return labels


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files of 3, 5 and 4 rows, and their list."""
    monkeypatch.chdir(tmp_path)
    for number, (rows, first) in enumerate(((3, 0), (5, 3), (4, 8))):
        write_rows(Path(f"part{number}.h5"), rows, first)
    Path("list.txt").write_text("part0.h5\npart1.h5\n\npart2.h5\n")
    return tmp_path


def test_rows_in_order_across_the_ends_of_files_and_epochs() -> None:
    assert drawn(layer("batch_size: 5"), 7) == [i % 12 for i in range(35)]
    assert drawn(layer("batch_size: 30"), 1) == [i % 12 for i in range(30)]


def test_shuffled_rows_do_not_mix_across_files() -> None:
    found = np.reshape(drawn(layer("batch_size: 4 shuffle: true"), 3 * 40), (40, 12))
    file_of = np.repeat([0, 1, 2], [3, 5, 4])
    orders = set()
    for epoch in found:
        assert sorted(epoch) == list(range(12))
        files = file_of[epoch]
        assert (np.diff(files) != 0).sum() == 2, "each file is read once, as a whole"
        orders.add(tuple(dict.fromkeys(files.tolist())))
    assert len(orders) == 6
    firsts = [tuple(epoch[file_of[epoch] == 1]) for epoch in found]
    assert len(set(firsts)) > 30
    assert drawn(layer("batch_size: 4 shuffle: true"), 3, seed=6) != found[0].tolist()


def test_the_order_of_rows_is_drawn_once_a_file_and_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    draws: list[int] = []
    random_words = sampling.random_words

    def counted(stream: RandomStream, position: int, count: int) -> sampling.Words:
        draws.append(count)
        return random_words(stream, position, count)

    monkeypatch.setattr(sampling, "random_words", counted)
    drawn(layer("batch_size: 1 shuffle: true"), 24)
    assert sorted(draws) == [3, 3, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("shuffle", ["false", "true"])
def test_a_resumed_layer_goes_on_where_it_was(shuffle: str) -> None:
    text = layer(f"batch_size: 5 shuffle: {shuffle}")
    assert drawn(text, 9)[25:] == drawn(text, 4, start=5)


def test_top_names_choose_datasets_of_any_rank_and_type() -> None:
    for number, rows in enumerate((3, 5, 4)):
        write_rows(Path(f"part{number}.h5"), rows, flag=np.ones(rows, bool), deep=np.zeros((rows, 1, 2, 1, 2), "f2"))
    with Net(parse_net(layer(tops="deep flag")), "TEST") as net:
        net.forward()
        assert net.blobs["deep"].shape == (4, 1, 2, 1, 2) and net.blobs["flag"].data.tolist() == [1] * 4


def test_a_plan_reads_the_shapes_of_the_first_file_alone(files: Path) -> None:
    Path("part1.h5").write_bytes(b"nothing")
    net = Net(parse_net(layer()), "TRAIN", plan_only=True)
    assert net.blobs["data"].shape == (4, 2, 3) and net.blobs["label"].shape == (4,)
    with pytest.raises(NetforgeError, match="has no data"):
        net.forward()


def test_the_list_is_sought_beside_the_net_and_files_beside_the_list(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "net.prototxt").write_text(layer())
    (files / "elsewhere").mkdir()
    monkeypatch.chdir(files / "elsewhere")
    with Net(files / "net.prototxt", "TRAIN") as net:
        net.forward()
        assert net.blobs["label"].data.tolist() == [0, 1, 2, 3]


REFUSED = {
    "no batch size": (layer(""), "batch_size is missing"),
    "no source": (
        'layer { name: "h" type: "HDF5Data" top: "x" hdf5_data_param { batch_size: 2 } }',
        "source is missing",
    ),
    "transform": (layer(more="transform_param { scale: 2 }"), "transform_param is not for HDF5Data"),
    "no list": (layer().replace("list.txt", "lost.txt"), 'there is no file "lost.txt"'),
    "no dataset": (layer(tops="data labels"), 'there is no dataset "labels"'),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_settings_that_are_refused(kind: str) -> None:
    text, message = REFUSED[kind]
    for plan_only in (False, True):
        with pytest.raises(NetforgeError, match=message) as caught:
            Net(parse_net(text), "TRAIN", plan_only=plan_only)
        assert '"h" (HDF5Data)' in str(caught.value) and caught.value.mend


def test_files_that_are_refused(files: Path) -> None:
    rows = np.zeros((4, 2, 3))
    damaged = (files / "part0.h5").read_bytes()[:900]
    for make, message in (
        (lambda p: p.unlink(), r'part1\.h5"'),
        (lambda p: p.write_bytes(b"nothing"), r"part1\.h5: .*the HDF5 file cannot be read"),
        (lambda p: p.write_bytes(damaged), r"part1\.h5: .*the HDF5 file cannot be read"),
        (lambda p: write_rows(p, 3, label=rows), r'part1\.h5: .*"label" has 4 rows, "data" 3'),
        (lambda p: write_rows(p, 0), r"part1\.h5: .*the datasets have no rows"),
        (
            lambda p: write_rows(p, 4, data=rows[:, :1]),
            r'rows of "data" have shape \(1, 3\), those of part0.h5 \(2, 3\)',
        ),
        (lambda p: write_rows(p, 4, data=np.full(4, b"x")), r'part1\.h5: .*the dataset "data" holds type \|S1'),
        (lambda p: write_rows(p, 4, data=np.float32(1)), r'the dataset "data" holds one value'),
        (claim_too_much, r'part1\.h5: .*the dataset "data" claims 1,000,000,000,000 values'),
    ):
        make(files / "part1.h5")
        with pytest.raises(NetforgeError, match=message) as caught:
            Net(parse_net(layer()), "TRAIN")
        assert '"h" (HDF5Data)' in str(caught.value) and caught.value.mend
        write_rows(files / "part1.h5", 5, 3)


def claim_too_much(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (10**12,), "f4", chunks=(10**6,))


@pytest.mark.parametrize("text", ["", "\n  \n"])
def test_an_empty_list(text: str) -> None:
    Path("list.txt").write_text(text)
    with pytest.raises(NetforgeError, match="the list names no HDF5 file"):
        Net(parse_net(layer()), "TRAIN")


def test_a_source_that_is_an_hdf5_file_itself() -> None:
    with pytest.raises(NetforgeError, match=r"part0\.h5: .*the list of HDF5 files cannot be read: it is no text"):
        Net(parse_net(layer().replace("list.txt", "part0.h5")), "TRAIN")


WRITER = (
    layer() + '\nlayer { name: "out" type: "HDF5Output" bottom: "data" bottom: "label"\n hdf5_output_param { %s } }'
)


def test_each_pass_adds_its_items() -> None:
    Path("out.h5").write_bytes(b"an older file")
    with Net(parse_net(WRITER % 'file_name: "out.h5"'), "TEST") as net:
        for _ in range(3):
            net.forward()
    with h5py.File("out.h5") as file:
        assert set(file) == {"data", "label"}
        assert file["data"].shape == (12, 2, 3, 1) and file["label"].shape == (12, 1, 1, 1)
        assert file["data"].dtype == np.float32
        np.testing.assert_array_equal(file["label"][:, 0, 0, 0], np.arange(12))
        np.testing.assert_allclose(file["data"][7, :, :, 0], 7 + np.arange(6).reshape(2, 3) / 10, rtol=1e-6)


def test_what_was_written_is_there_before_the_net_is_closed() -> None:
    net = Net(parse_net(WRITER % 'file_name: "out.h5"'), "TEST")
    net.forward()
    copy = Path("copy.h5")
    copy.write_bytes(Path("out.h5").read_bytes())
    with h5py.File(copy) as file:
        assert file["label"].shape == (4, 1, 1, 1)
    net.close()


def test_what_was_written_can_be_read_again() -> None:
    with Net(parse_net(WRITER % 'file_name: "out.h5"'), "TEST") as net:
        net.forward()
        net.forward()
    Path("list.txt").write_text("out.h5\n")
    with Net(parse_net(layer("batch_size: 8")), "TEST") as net:
        net.forward()
        assert net.blobs["label"].data.ravel().tolist() == list(range(8))


def test_a_plan_writes_nothing() -> None:
    Path("out.h5").write_bytes(b"an older file")
    Net(parse_net(WRITER % 'file_name: "out.h5"'), "TEST", plan_only=True)
    Net(parse_net(WRITER % 'file_name: "out.h5"'), "TEST").close()
    assert Path("out.h5").read_bytes() == b"an older file"


def test_files_that_cannot_be_written() -> None:
    with pytest.raises(NetforgeError, match="file_name is missing"):
        Net(parse_net(WRITER % ""), "TEST")
    with Net(parse_net(WRITER % 'file_name: "nowhere/out.h5"'), "TEST") as net:
        with pytest.raises(NetforgeError, match=r'"nowhere/out\.h5" cannot be written') as caught:
            net.forward()
        assert '"out" (HDF5Output)' in str(caught.value) and str(caught.value.where).startswith("<text>:4")


INPUTS = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 2 } } }
layer { name: "y" type: "Input" top: "y" input_param { shape { dim: %d } } }
layer { name: "out" type: "HDF5Output" bottom: "x" bottom: "y" hdf5_output_param { file_name: "out.h5" } }
"""


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(NetforgeError, match=r'"x" \(3, 2\) and "y" \(2,\) do not hold as many items'):
        Net(parse_net(INPUTS % 2), "TEST")
    with Net(parse_net(INPUTS % 3), "TEST") as net:
        net.forward(x=np.zeros((3, 2)), y=np.zeros(3))
        net.blobs["x"].reshape(3, 5)
        with pytest.raises(NetforgeError, match=r'"data" in the file has items of shape \(2, 1, 1\), these have \(5'):
            net.forward(x=np.zeros((3, 5)), y=np.zeros(3))
    with h5py.File("out.h5") as file:
        assert file["data"].shape[0] == file["label"].shape[0] == 3
