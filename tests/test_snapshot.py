"""Files of weights and state: every form that is read, everything that is refused, and crashes while writing."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.errors import NetforgeError, SnapshotError
from netforge.net import Net
from netforge.schema import messages, parse_net
from netforge.snapshot import (
    LoadReport,
    LoadStatus,
    TrainingState,
    files,
    find_weights,
    load_state,
    load_weights,
    save_state,
    save_weights,
)

NET = """
name: "two"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" inner_product_param { num_output: 3 FILL } }
layer { name: "b/c" type: "InnerProduct" bottom: "a" top: "b" inner_product_param { num_output: 2 FILL } }
""".replace("FILL", 'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" }')

SHARED = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 } } }
layer { name: "p" type: "InnerProduct" bottom: "x" top: "p" param { name: "w" } param { name: "c" }
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" } } }
layer { name: "q" type: "InnerProduct" bottom: "p" top: "q" param { name: "w" }
  inner_product_param { num_output: 4 bias_filler { type: "gaussian" } } }
layer { name: "r" type: "InnerProduct" bottom: "q" top: "r" param { name: "w" } param { name: "c" }
  inner_product_param { num_output: 4 } }
"""


def net(text: str = NET, seed: int = 1, **options: Any) -> Net:
    return Net(parse_net(text), seed=seed, **options)


def arrays(of: Net) -> dict[str, list[np.ndarray]]:
    return {name: [blob.data.copy() for blob in blobs] for name, blobs in of.params.items()}


def assert_equal(a: Net, b: Net) -> None:
    for name, blobs in arrays(a).items():
        for one, other in zip(blobs, arrays(b)[name], strict=True):
            np.testing.assert_array_equal(one, other)


def write_message(path: Path, message: Any) -> Path:
    path.write_bytes(message.SerializeToString())
    return path


def caffemodel(path: Path, *layers: tuple[str, list[np.ndarray]]) -> Path:
    """A file of weights made by protobuf itself."""
    message = messages.NetParameter(name="made")
    for name, blobs in layers:
        layer = message.layer.add(name=name, type="InnerProduct")
        for blob in blobs:
            layer.blobs.add(data=blob.ravel().tolist()).shape.dim.extend(blob.shape)
    return write_message(path, message)


def statuses(report: LoadReport) -> dict[str, str]:
    return {row.layer: row.status.value for row in report.rows}


# --- round trips ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.caffemodel", "w.caffemodel.h5", "deep/er/w.caffemodel"])
@pytest.mark.parametrize("text", [NET, SHARED], ids=["plain", "shared"])
def test_round_trip(tmp_path: Path, name: str, text: str) -> None:
    first, second = net(text), net(text, seed=2)
    first.save(tmp_path / name)
    report = second.copy_from(tmp_path / name)
    assert_equal(first, second)
    assert report.complete
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("name", ["w.caffemodel", "w.caffemodel.h5"])
def test_double_precision_round_trip(tmp_path: Path, name: str) -> None:
    first, second, single = net(dtype=np.float64), net(seed=2, dtype=np.float64), net(seed=2)
    first.save(tmp_path / name)
    second.copy_from(tmp_path / name)
    assert_equal(first, second)
    single.copy_from(tmp_path / name)
    np.testing.assert_array_equal(single.params["a"][0].data, first.params["a"][0].data.astype(np.float32))


def test_what_is_written_is_what_protobuf_would_write(tmp_path: Path) -> None:
    """The packed bytes are made by hand; protobuf must read and write the same ones."""
    written = net()
    written.save(tmp_path / "w.caffemodel")
    data = (tmp_path / "w.caffemodel").read_bytes()
    message = messages.NetParameter.FromString(data)
    assert message.SerializeToString() == data
    assert [layer.name for layer in message.layer] == ["x", "a", "b/c"]
    assert list(message.layer[1].blobs[0].shape.dim) == [3, 4]
    np.testing.assert_array_equal(message.layer[1].blobs[0].data, written.params["a"][0].data.ravel())


def test_shared_weights_stand_in_every_layer_of_a_caffemodel(tmp_path: Path) -> None:
    net(SHARED).save(tmp_path / "w.caffemodel")
    message = messages.NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    p, q = (next(layer for layer in message.layer if layer.name == name) for name in "pq")
    assert p.blobs[0].data == q.blobs[0].data


def test_shared_weights_stand_once_in_hdf5(tmp_path: Path) -> None:
    import h5py

    net(SHARED).save(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert {name: sorted(file["data"][name]) for name in "pqr"} == {"p": ["0", "1"], "q": ["1"], "r": []}


@pytest.mark.parametrize("name", ["w.caffemodel", "w.h5"])
def test_gradients_are_written_on_request(tmp_path: Path, name: str) -> None:
    import h5py

    written = net()
    for blobs in written.params.values():
        for blob in blobs:
            blob.diff[...] = 7
    save_weights(written, tmp_path / name, diffs=True)
    if name == "w.h5":
        with h5py.File(tmp_path / name) as file:
            assert (file["diff/a/0"][()] == 7).all()
    else:
        message = messages.NetParameter.FromString((tmp_path / name).read_bytes())
        assert list(message.layer[1].blobs[0].diff) == [7] * 12
    assert load_weights(net(seed=2), tmp_path / name).complete


# --- other forms that are read -------------------------------------------------------------------------------------

A = np.arange(12, dtype=np.float32).reshape(3, 4)
BIAS = np.array([5, 6, 7], np.float32)


def old_blob(array: np.ndarray) -> Any:
    n, c, h, w = (1,) * (4 - array.ndim) + array.shape
    return messages.BlobProto(num=n, channels=c, height=h, width=w, data=array.ravel().tolist())


def assert_layer_a(path: Path) -> None:
    loaded = net()
    before = arrays(loaded)["b/c"]
    report = loaded.copy_from(path)
    np.testing.assert_array_equal(loaded.params["a"][0].data, A)
    np.testing.assert_array_equal(loaded.params["a"][1].data, BIAS)
    np.testing.assert_array_equal(loaded.params["b/c"][0].data, before[0])
    assert statuses(report) == {"a": "loaded", "b/c": "missing"}


def test_the_old_shape_of_four_axes(tmp_path: Path) -> None:
    message = messages.NetParameter()
    message.layer.add(name="a").blobs.extend([old_blob(A), old_blob(BIAS)])
    assert_layer_a(write_message(tmp_path / "w", message))


def test_v1_layers(tmp_path: Path) -> None:
    message = messages.NetParameter()
    message.layers.add(name="a").blobs.extend([old_blob(A), old_blob(BIAS)])
    assert_layer_a(write_message(tmp_path / "w", message))


def test_v0_layers(tmp_path: Path) -> None:
    message = messages.NetParameter(name="old")
    message.layers.add().layer.name = "a"
    message.layers[0].layer.blobs.extend([old_blob(A), old_blob(BIAS)])
    assert_layer_a(write_message(tmp_path / "w", message))


def test_double_data(tmp_path: Path) -> None:
    message = messages.NetParameter()
    layer = message.layer.add(name="a")
    for array in (A, BIAS):
        layer.blobs.add(double_data=array.ravel().tolist()).shape.dim.extend(array.shape)
    assert_layer_a(write_message(tmp_path / "w", message))


def field(number: int, payload: bytes) -> bytes:
    tag, size = number << 3 | 2, len(payload)
    head = bytes([tag]) if tag < 0x80 else bytes([tag & 0x7F | 0x80, tag >> 7])
    return head + (bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])) + payload


def test_numbers_that_are_not_packed(tmp_path: Path) -> None:
    blobs = [
        b"".join(struct.pack("<Bf", 5 << 3 | 5, value) for value in array.ravel())
        + field(7, b"".join(bytes([1 << 3, size]) for size in array.shape))
        for array in (A, BIAS)
    ]
    layer = field(1, b"a") + b"".join(field(7, blob) for blob in blobs)
    (tmp_path / "w").write_bytes(field(100, layer))
    assert_layer_a(tmp_path / "w")


def test_what_mycaffe_writes_behind_the_weights(tmp_path: Path) -> None:
    path = caffemodel(tmp_path / "w.mycaffemodel", ("a", [A, BIAS]))
    trailer = bytes(256) + b"mycaffe.ai" + b"1.0.1".ljust(32, b"\0") + struct.pack("<q", 99) + b"mycaffe.ai"
    path.write_bytes(path.read_bytes() + trailer)
    assert_layer_a(path)


def test_hdf5_is_told_by_its_content(tmp_path: Path) -> None:
    net().save(tmp_path / "w.h5")
    (tmp_path / "w.h5").rename(tmp_path / "w.caffemodel")
    loaded = net(seed=2)
    loaded.copy_from(tmp_path / "w.caffemodel")
    assert_equal(loaded, net())


def test_split_layers_and_layers_without_weights_are_not_reported(tmp_path: Path) -> None:
    path = caffemodel(tmp_path / "w", ("a", [A, BIAS]), ("a_x_0_split", []), ("relu", []))
    assert statuses(net().copy_from(path)) == {"a": "loaded", "b/c": "missing"}


def test_weights_that_take_the_shape_of_the_file(tmp_path: Path) -> None:
    text = (
        NET
        + """
    layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } }
    layer { name: "decode" type: "Decode" bottom: "b" bottom: "label" top: "distance" }"""
    )
    first = net(text, phase="TRAIN")
    first.forward(x=np.ones((2, 4)), label=[6, 3])
    first.save(tmp_path / "w")
    second = net(text, seed=2)
    second.copy_from(tmp_path / "w")
    assert second.params["decode"][0].shape[0] >= 7
    assert_equal(first, second)


# --- what is reported and refused ----------------------------------------------------------------------------------


def test_the_report_of_fine_tuning(tmp_path: Path) -> None:
    path = caffemodel(tmp_path / "w", ("a", [A, BIAS]), ("old_head", [A]))
    report = net().copy_from(path)
    assert statuses(report) == {"a": "loaded", "old_head": "skipped", "b/c": "missing"}
    row = report.of(LoadStatus.LOADED)[0]
    assert row.in_file == row.in_net == ((3, 4), (3,))
    assert report.of(LoadStatus.SKIPPED)[0].in_file == ((3, 4),)
    assert not report.complete


@pytest.mark.parametrize(
    ("blobs", "words"),
    [
        ([A.T, BIAS], "weight 0 has shape (4, 3) in the file, (3, 4) in the net"),
        ([A], "1 weights in the file, 2 in the net"),
        ([A, BIAS, BIAS], "3 weights in the file, 2 in the net"),
        ([A.reshape(3, 1, 4), BIAS], "weight 0 has shape (3, 1, 4) in the file"),
    ],
)
def test_a_wrong_shape_is_refused_and_nothing_is_copied(tmp_path: Path, blobs: list[np.ndarray], words: str) -> None:
    path = caffemodel(tmp_path / "w", ("b/c", [np.ones((2, 3)), np.ones(2)]), ("a", blobs))
    loaded = net()
    with pytest.raises(SnapshotError) as caught:
        loaded.copy_from(path)
    assert words in str(caught.value)
    assert caught.value.layer == '"a"'
    assert caught.value.mend and "rename the layer" in caught.value.mend
    assert_equal(loaded, net())
    report = load_weights(loaded, path, skip_wrong_shapes=True)
    assert statuses(report) == {"b/c": "loaded", "a": "wrong shape"}
    assert report.of(LoadStatus.WRONG_SHAPE)[0].remark
    assert (loaded.params["b/c"][0].data == 1).all()


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    path = caffemodel(tmp_path / "w", ("aa", [A, BIAS]), ("zz", [A]))
    with pytest.raises(SnapshotError, match=r'its first is "aa"\. Did you mean "a"'):
        net().copy_from(path)
    with pytest.raises(SnapshotError, match="no layer in this file has weights"):
        net().copy_from(caffemodel(tmp_path / "w", ("a", [])))


def write_state(path: Path) -> Path:
    save_state(TrainingState(7, [A], "w.caffemodel"), path)
    return path


def write_mean(path: Path) -> Path:
    return write_message(path, old_blob(np.zeros((1, 3, 2, 2), np.float32)))


def write_data_hdf5(path: Path) -> Path:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=A)
    return path


def write_bytes(data: bytes) -> Any:
    def write(path: Path) -> Path:
        path.write_bytes(data)
        return path

    return write


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


WRONG_FILES = {
    "missing": (lambda path: path, "no such file"),
    "folder": (make_folder, "this is a folder"),
    "empty": (write_bytes(b""), "found an empty file"),
    "prototxt": (write_bytes(NET.encode()), "found a text file"),
    "other text": (write_bytes("grüße\n".encode()), "found a text file"),
    "lfs": (write_bytes(b"version https://git-lfs.github.com/spec/v1\noid"), "found a Git LFS pointer"),
    "zip": (write_bytes(b"PK\x03\x04\xff\xfe\0\0"), "found a file of no known kind"),
    "state": (write_state, "found a file of solver state"),
    "mean": (write_mean, "found an image mean"),
    "data in HDF5": (write_data_hdf5, "found a file of no known kind"),
    "broken HDF5": (write_bytes(files.HDF5_MAGIC + b"\xff" * 100), "the HDF5 file is damaged"),
}


@pytest.mark.parametrize("what", WRONG_FILES)
def test_files_that_are_no_weights(tmp_path: Path, what: str) -> None:
    make, words = WRONG_FILES[what]
    with pytest.raises(SnapshotError) as caught:
        net().copy_from(make(tmp_path / "given"))
    assert words in str(caught.value)
    assert str(tmp_path / "given") in str(caught.value)
    assert caught.value.mend


@pytest.mark.parametrize("what", [name for name in WRONG_FILES if name != "state"])
def test_files_that_are_no_state(tmp_path: Path, what: str) -> None:
    make, words = WRONG_FILES[what]
    with pytest.raises(SnapshotError) as caught:
        load_state(make(tmp_path / "given"))
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["w.caffemodel", "w.caffemodel.h5"])
def test_weights_in_place_of_a_state(tmp_path: Path, name: str) -> None:
    net().save(tmp_path / name)
    with pytest.raises(SnapshotError, match="expected a file of solver state, found a file of weights") as caught:
        load_state(tmp_path / name)
    assert caught.value.mend and "--weights" in caught.value.mend


def test_a_missing_file_is_answered_with_close_names(tmp_path: Path) -> None:
    net().save(tmp_path / "run_iter_100.caffemodel")
    with pytest.raises(SnapshotError, match=r'Did you mean "run_iter_100\.caffemodel"'):
        net().copy_from(tmp_path / "run_iter_10.caffemodel")


@pytest.mark.parametrize("name", ["w.caffemodel", "w.h5", "s.solverstate", "s.solverstate.h5"])
def test_a_file_cut_short_anywhere_gives_a_clear_error_or_fewer_layers(tmp_path: Path, name: str) -> None:
    """Cut in the middle of a layer it is refused; protobuf cannot tell a cut between two layers, the report can."""
    whole = tmp_path / name
    is_state = "solverstate" in name
    if is_state:
        save_state(TrainingState(7, [A, BIAS], "w", nets={-1: {"a": {"position": 3}}}), whole)
    else:
        net().save(whole)
    data = whole.read_bytes()
    cut = tmp_path / "cut"
    refused = 0
    for size in range(0, len(data), max(1, len(data) // 150)):
        cut.write_bytes(data[:size])
        try:
            if is_state:
                assert len(load_state(cut).history) <= 2
            else:
                assert not net().copy_from(cut).complete
        except SnapshotError:
            refused += 1
    assert refused > 100


def test_flipped_bytes_never_end_in_another_error(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "file"
    for name in ("w.caffemodel", "w.h5", "s.solverstate", "s.solverstate.h5"):
        if "solverstate" in name:
            save_state(TrainingState(7, [A], "w", seed=3, nets={0: {"a": {"x": BIAS, "n": 2}}}), tmp_path / name)
        else:
            net().save(tmp_path / name)
        data = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
        for _ in range(100):
            changed = data.copy()
            changed[rng.integers(0, min(len(data), 3000), 3)] = rng.integers(0, 256, 3)
            path.write_bytes(changed.tobytes())
            with contextlib.suppress(NetforgeError):
                load_state(path) if "solverstate" in name else net().copy_from(path)


@pytest.mark.parametrize("shape", [[3, 5], [2**40, 2**40], [-3, -4], [12, 0]])
def test_a_shape_that_does_not_go_with_the_numbers(tmp_path: Path, shape: list[int]) -> None:
    message = messages.NetParameter()
    message.layer.add(name="a").blobs.add(data=[0.0] * 12).shape.dim.extend(shape)
    with pytest.raises(SnapshotError, match='weight 0 of layer "a" has shape'):
        net().copy_from(write_message(tmp_path / "w", message))


def test_an_hdf5_array_larger_than_its_file(tmp_path: Path) -> None:
    """No memory may be taken for what a few bytes claim."""
    import h5py

    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset("data/a/0", shape=(2**40,), dtype="f4", chunks=(1024,))
    with pytest.raises(SnapshotError, match="claims 1099511627776 values"):
        net().copy_from(tmp_path / "w.h5")


def test_an_hdf5_array_of_text(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset("data/a/0", data=np.array([b"x"] * 3))
    with pytest.raises(SnapshotError, match="of type"):
        net().copy_from(tmp_path / "w.h5")


def test_layer_names_that_hdf5_cannot_hold_side_by_side(tmp_path: Path) -> None:
    text = NET + 'layer { name: "a/0" type: "InnerProduct" bottom: "b" top: "d" inner_product_param { num_output: 1 } }'
    with pytest.raises(SnapshotError, match='layer "a/0"') as caught:
        net(text).save(tmp_path / "w.h5")
    assert caught.value.mend and "BINARYPROTO" in caught.value.mend
    assert not list(tmp_path.glob("w.h5"))


def test_a_message_too_large_for_protobuf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netforge.snapshot.protobuf.MESSAGE_LIMIT_BYTES", 50)
    with pytest.raises(SnapshotError, match="snapshot_format: HDF5"):
        net().save(tmp_path / "w.caffemodel")
    assert not list(tmp_path.iterdir())


# --- state ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s.solverstate", "s.solverstate.h5"])
def test_state_round_trip(tmp_path: Path, name: str) -> None:
    layers = {"data": {"position": 2**62, "order": np.arange(5, dtype=np.int64)}, "a/b": {"x": BIAS, "n": -1}}
    state = TrainingState(
        12,
        [A, BIAS],
        "dir/grüße.caffemodel",
        3,
        2**64 - 1,
        (0.5, np.inf),
        {-1: layers, 1: {"q": {"flag": np.array(True)}}},
    )
    save_state(state, tmp_path / name)
    back = load_state(tmp_path / name)
    assert (back.iteration, back.learned_net, back.current_step) == (12, "dir/grüße.caffemodel", 3)
    assert (back.seed, back.losses) == (2**64 - 1, (0.5, np.inf))
    for one, other in zip(back.history, state.history, strict=True):
        np.testing.assert_array_equal(one, other)
    assert back.nets.keys() == state.nets.keys()
    assert back.nets[-1]["data"]["position"] == 2**62
    assert back.nets[-1]["a/b"]["n"] == -1
    np.testing.assert_array_equal(back.nets[-1]["a/b"]["x"], BIAS)
    assert back.nets[-1]["data"]["order"].dtype == np.int64
    assert back.nets[1]["q"]["flag"].shape == ()


def test_a_negative_iteration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="iteration -1 is negative"):
        load_state(write_message(tmp_path / "s", messages.SolverState(iter=-1)))


def test_where_the_weights_of_a_state_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "copy" / "s_iter_5.solverstate"
    state.parent.mkdir()
    recorded = TrainingState(5, [], "run/s_iter_5.caffemodel")
    with pytest.raises(SnapshotError) as caught:
        find_weights(recorded, state)
    assert str(state.parent / "s_iter_5.caffemodel") in str(caught.value)
    assert " and run/s_iter_5.caffemodel" in str(caught.value)
    Path("run").mkdir()
    Path("run/s_iter_5.caffemodel").touch()
    assert find_weights(recorded, state) == Path("run/s_iter_5.caffemodel")
    (state.parent / "s_iter_5.caffemodel").touch()
    assert find_weights(recorded, state) == state.parent / "s_iter_5.caffemodel"
    assert (
        find_weights(TrainingState(5, [], "C:\\run\\s_iter_5.caffemodel"), state)
        == state.parent / "s_iter_5.caffemodel"
    )
    assert find_weights(TrainingState(5, []), state) == state.parent / "s_iter_5.caffemodel"


# --- crashes -------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from netforge.net import Net
from netforge.schema import parse_net
moment, path, text = sys.argv[1:]
os_replace, os_fsync = os.replace, os.fsync
die = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
net = Net(parse_net(text), seed=2)
if moment == "write":
    from pathlib import Path
    Path.write_bytes = lambda self, data: (open(self, "wb", 0).write(data[: len(data) // 2]), die())
elif moment == "sync":
    os.fsync = die
elif moment == "rename":
    os.replace = die
elif moment == "renamed":
    os.replace = lambda a, b: (os_replace(a, b), die())
net.save(path)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(("moment", "kept"), [("write", True), ("sync", True), ("rename", True), ("renamed", False)])
def test_killed_while_writing(tmp_path: Path, moment: str, kept: bool) -> None:
    """Killed at any moment, the file holds the old weights or the new ones, whole."""
    path = tmp_path / "w.caffemodel"
    net().save(path)
    run = subprocess.run([sys.executable, "-c", KILLED, moment, str(path), NET], capture_output=True, cwd=os.getcwd())
    assert run.returncode == -signal.SIGKILL, run.stderr.decode()
    loaded = net(seed=3)
    assert loaded.copy_from(path).complete
    assert_equal(loaded, net(seed=1 if kept else 2))
    net(seed=4).save(path)  # what was left behind is in nobody's way
    assert [p.name for p in tmp_path.iterdir()] == ["w.caffemodel"]


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
@pytest.mark.parametrize("name", ["w.caffemodel", "w.h5"])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, name: str) -> None:
    path = tmp_path / name
    net().save(path)
    kept = path.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    target = {
        "fsync": "os.fsync",
        "replace": "os.replace",
        "write": "pathlib.Path.write_bytes" if name == "w.caffemodel" else "h5py.Group.create_dataset",
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(target, full)
        with pytest.raises(SnapshotError, match="No space left on device") as caught:
            net(seed=2).save(path)
    assert caught.value.where == str(path)
    assert path.read_bytes() == kept
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's table of open files")
def test_the_folder_is_synced_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr("os.replace", lambda a, b: (steps.append("rename"), replace(a, b)))
    monkeypatch.setattr(
        "os.fsync",
        lambda fd: (steps.append("folder" if os.path.isdir(os.readlink(f"/proc/self/fd/{fd}")) else "file"), fsync(fd)),
    )
    net().save(tmp_path / "w.caffemodel")
    assert steps == ["file", "rename", "folder"]
