"""Sources that Python hands over in place of stored ones."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from netforge.data import ArraySource, open_source, sources_in_memory
from netforge.data.sources.in_memory import as_source
from netforge.errors import DataError, NetforgeError, UnknownNameError
from netforge.net import Net
from netforge.schema import parse_net
from netforge.solver import Solver

NET = """
layer {
  name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "mine" backend: IMAGEDB batch_size: 4 enable_random_selection: false }
}
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" }
"""


def test_the_innermost_source_of_a_name_is_opened_and_only_inside(netforge_home: Path) -> None:
    outer, inner = (ArraySource(name, np.zeros((1, 1, 2, 2), np.uint8), [0]) for name in ("outer", "inner"))
    with sources_in_memory({"a": outer, "b": outer}):
        with sources_in_memory({"b": inner}):
            assert open_source("IMAGEDB", "a") is outer
            assert open_source(None, "b") is inner
        assert open_source("LMDB", "b") is outer
    assert not list(netforge_home.iterdir()), "the image database was opened"
    with pytest.raises(UnknownNameError):
        open_source("IMAGEDB", "a")


def test_other_threads_do_not_see_them() -> None:
    found: list[object] = []

    def look() -> None:
        try:
            found.append(open_source("IMAGEDB", "a"))
        except NetforgeError as error:
            found.append(error)

    with sources_in_memory({"a": ArraySource("a", np.zeros((1, 1, 2, 2), np.uint8), [0])}):
        thread = Thread(target=look)
        thread.start()
        thread.join()
    assert isinstance(found[0], UnknownNameError)


@pytest.mark.parametrize("shape", [(5, 4, 6), (5, 4, 6, 1), (5, 1, 4, 6)])
@pytest.mark.parametrize("dtype, kept", [(np.uint8, np.uint8), (np.float64, np.float32), (np.int16, np.float32)])
def test_arrays_become_a_source(shape: tuple[int, ...], dtype: Any, kept: Any) -> None:
    images = np.arange(120).reshape(shape).astype(dtype)
    source = as_source("mine", (images, np.arange(5)))
    pixels, labels = source.read(np.array([3, 1]))
    assert pixels.dtype == kept and labels.tolist() == [3, 1]
    np.testing.assert_array_equal(pixels, images.reshape(5, 1, 4, 6)[[3, 1]])


@pytest.mark.parametrize(
    "given, words",
    [
        ("text", "it is a str, expected a Source"),
        ((np.zeros((2, 3)), [0, 1]), "these are no images"),
        ((np.zeros((2, 3, 3)), [0]), "expected a whole number for each of the 2"),
        ((np.zeros((2, 3, 3)), [0.0, 1.0]), "expected a whole number"),
        ((np.zeros((2, 3, 3)), [0, 1 << 40]), "number 1 of the array is"),
    ],
)
def test_what_is_no_source_is_refused(given: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught, sources_in_memory({"mine": given}):
        pass
    assert 'source "mine"' in str(caught.value)


def test_a_net_and_a_solver_read_them(tmp_path: Path, netforge_home: Path) -> None:
    images = np.arange(8 * 3 * 3, dtype=np.uint8).reshape(8, 3, 3)
    sources = {"mine": (images, np.arange(8) % 2)}
    with Net(parse_net(NET), "TRAIN", sources=sources) as net:
        net.forward()
        np.testing.assert_array_equal(net.blobs["data"].data[:, 0], images[:4])
    model = tmp_path / "net.prototxt"
    model.write_text(NET)
    file = tmp_path / "solver.prototxt"
    file.write_text(f'net: "{model}" base_lr: 0.01 lr_policy: "fixed" max_iter: 3 snapshot_prefix: "{tmp_path}/s"')
    first = Solver(file, sources=sources, random_seed=1)
    first.step(1)
    state = first.snapshot().state
    second = Solver(file, sources=sources, random_seed=2)
    assert state is not None
    second.restore(state)  # another seed: the nets are built anew, from the same sources
    for solver in (first, second):
        solver.step(2)
        solver.close()
    np.testing.assert_array_equal(first.net.params["ip"][0].data, second.net.params["ip"][0].data)
    assert not (netforge_home / "images.db").exists()
