"""Debug: what it keeps, in which order, on every device; and that phase RUN leaves it out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netforge.data import ImageDatabase
from netforge.errors import DataError, NetforgeError, SnapshotError
from netforge.layers import debug as debug_module
from netforge.layers.debug import Debug
from netforge.net import Net
from netforge.schema import parse_net
from netforge.testing import LayerRun
from tests.layers.cases import row


def debug(settings: str = "", x=((0.0, 0.0),) * 2, labels=(0.0, 0.0), **options) -> LayerRun:
    text = row("Debug", "x label", "y", f"debug_param {{ {settings} }}" if settings else "")
    return LayerRun(text, [np.asarray(x, float), np.asarray(labels, float)], **options)


def passes(run: LayerRun, *batches: tuple[np.ndarray, np.ndarray]) -> None:
    for batch in batches:
        run.feed(batch)
        run.layer.reshape(run.bottom, run.top)
        run.layer.forward(run.bottom, run.top)


def numbered(first: int, items: int, columns: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Items that hold their number and its square; labels that hold it, plus 0.5 for each further column."""
    number = np.arange(first, first + items, dtype=float)
    return np.stack([number, number**2], axis=1), number[:, None] + 0.5 * np.arange(columns)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8), slots=st.integers(1, 12), columns=st.integers(1, 3))
def test_the_newest_items_are_kept_in_order(sizes: list[int], slots: int, columns: int) -> None:
    run = debug(f"max_stored_items: {slots}", labels=np.zeros((2, columns)))
    starts = np.cumsum([0, *sizes])
    passes(run, *(numbered(int(a), n, columns) for a, n in zip(starts, sizes, strict=False)))
    items, labels = run.layer.stored()
    first = max(0, int(starts[-1]) - slots)
    expected = numbered(first, int(starts[-1]) - first, columns)
    np.testing.assert_array_equal(items, expected[0])
    np.testing.assert_array_equal(labels, expected[1])


def test_batches_count_as_the_net_was_built() -> None:
    run = debug("max_stored_batches: 5")
    passes(run, *(numbered(2 * i, 2) for i in range(8)))
    items, _ = run.layer.stored()
    np.testing.assert_array_equal(items[:, 0], np.arange(6, 16))
    assert debug().layer.slots == 2000
    assert debug("max_stored_batches: 5 max_stored_items: 7").layer.slots == 7


def test_nothing_is_stored_before_the_first_pass() -> None:
    items, labels = debug().layer.stored()
    assert items.shape == (0, 2) and labels.shape == (0,)


def test_one_column_of_the_labels_may_be_kept() -> None:
    run = debug("item_index: 1", labels=np.zeros((2, 3)))
    passes(run, numbered(3, 2, 3))
    np.testing.assert_array_equal(run.layer.stored()[1], [3.5, 4.5])
    with pytest.raises(NetforgeError, match=r"item_index is 3, .* holds 3 labels an item.*Use 0 to 2"):
        debug("item_index: 3", labels=np.zeros((2, 3)))


@pytest.mark.parametrize("in_place", [False, True])
def test_values_and_gradients_pass(in_place: bool) -> None:
    x, dy = np.array([[1.0, 2], [3, 4]]), np.array([[5.0, 6], [7, 8]])
    run = debug(x=x, in_place=in_place)
    np.testing.assert_array_equal(run.forward()[0], x)
    run.top[0].diff[...] = dy
    run.layer.backward(run.top, [True, False], run.bottom)
    np.testing.assert_array_equal(run.bottom[0].diff, dy)


def test_memory_that_would_be_too_much_is_refused_before_it_is_taken() -> None:
    with pytest.raises(NetforgeError, match=r"2000 items of 1000000 values and 1 labels take 7\.5 GiB") as caught:
        debug("max_stored_batches: 1000", np.zeros((2, 1_000_000)), dtype=np.float32)
    assert "max_stored_items: 536" in str(caught.value)
    with pytest.raises(NetforgeError, match="max_stored_items: 16777216 or less"):
        debug("max_stored_items: 16777217", np.zeros((2, 1)), dtype=np.float32)
    run = debug(x=np.zeros((2, 1000)))
    assert not any(ring.data_storage.allocated for ring in run.layer.rings)


def test_items_keep_their_size() -> None:
    run = debug()
    passes(run, numbered(0, 2))
    with pytest.raises(NetforgeError, match="3 values and 1 labels follow such of 2 and 1, which are stored"):
        passes(run, (np.zeros((2, 3)), np.zeros(2)))


def test_items_may_change_their_size_before_the_first_pass() -> None:
    """Decode's distances grow with the number of classes, which a net for tests learns from the one that trains."""
    run = debug("max_stored_items: 3")
    passes(run, (np.arange(6.0).reshape(2, 3), np.zeros(2)))
    np.testing.assert_array_equal(run.layer.stored()[0], [[0, 1, 2], [3, 4, 5]])
    big = debug("max_stored_batches: 1000", dtype=np.float32)
    with pytest.raises(NetforgeError, match="GiB"):
        passes(big, (np.zeros((2, 1_000_000)), np.zeros(2)))


def test_a_third_bottom_is_not_used() -> None:
    text = row("Debug", "x label ignore", "y", "debug_param { max_stored_items: 3 }")
    run = LayerRun(text, [*numbered(0, 2), np.zeros(7)])
    passes(run, (*numbered(4, 2), np.zeros(7)))
    np.testing.assert_array_equal(run.layer.stored()[0], numbered(4, 2)[0])


def test_a_file_of_what_is_stored(tmp_path: Path) -> None:
    run = debug("max_stored_items: 3")
    passes(run, numbered(0, 2), numbered(2, 2))
    run.layer.save(tmp_path / "ring.npz")
    with np.load(tmp_path / "ring.npz") as held:
        np.testing.assert_array_equal(held["embeddings"], [[1, 1], [2, 4], [3, 9]])
        np.testing.assert_array_equal(held["labels"], [[1], [2], [3]])
    with pytest.raises(DataError, match="cannot be written"):
        run.layer.save(tmp_path / "ring.npz" / "ring.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["ring.npz"]


@pytest.mark.parametrize("slots", [3, 2, 7])
@pytest.mark.parametrize("settings", ["", "item_index: 0"])
def test_a_state_brings_back_the_newest_in_order(slots: int, settings: str) -> None:
    run = debug(f"max_stored_items: 3 {settings}", labels=np.zeros((2, 1)))
    passes(run, numbered(0, 2), numbered(2, 2))
    other = debug(f"max_stored_items: {slots} {settings}", labels=np.zeros((2, 1)))
    other.layer.restore(run.layer.state())
    for resumed in (False, True):
        for first, kept in zip(run.layer.stored(), other.layer.stored(), strict=True):
            assert len(kept) == (min(3, slots) if not resumed else {3: 3, 2: 2, 7: 5}[slots])
            shared = min(len(first), len(kept))
            np.testing.assert_array_equal(kept[-shared:], first[-shared:])
        for one in (run, other):
            passes(one, numbered(4, 2))


def test_a_state_is_small_and_without_items_where_none_were_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    run = debug()
    assert "embeddings" not in run.layer.state()
    assert not run.layer.rings[0].data_storage.allocated
    run.layer.restore(run.layer.state())
    passes(run, numbered(0, 2), numbered(2, 2))
    monkeypatch.setattr(debug_module, "MOST_STATE_BYTES", 3 * 3 * 8)
    np.testing.assert_array_equal(run.layer.state()["embeddings"][:, 0], [1, 2, 3])


def test_a_state_of_another_size_is_refused() -> None:
    run = debug()
    passes(run, numbered(0, 2))
    other = debug(x=np.zeros((2, 5)))
    with pytest.raises(SnapshotError, match=r"2 values and 1 labels, the net gives 5 and 1"):
        other.layer.restore(run.layer.state())


HEAD = """
layer { name: "data" type: "Data" top: "data" top: "label" data_param { source: "dots" batch_size: 4 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "feat" inner_product_param { num_output: 3 } }
"""


@pytest.fixture
def dots(netforge_home: Path) -> None:
    """Four images of 2 x 2."""
    with ImageDatabase() as database, database.write() as writer:
        writer.add("dots", [np.zeros((4, 1, 2, 2), np.uint8)], np.arange(4))


def running(text: str) -> Net:
    return Net(parse_net(HEAD + text), "RUN", seed=1)


@pytest.mark.usefixtures("dots")
@pytest.mark.parametrize("top", ["feat", "seen"])
def test_phase_run_leaves_it_out(top: str) -> None:
    net = running(
        f'layer {{ name: "debug" type: "Debug" bottom: "feat" bottom: "label" top: "{top}" }}'
        f'layer {{ name: "relu" type: "ReLU" bottom: "{top}" top: "{top}" }}'
        f'layer {{ name: "out" type: "Reduction" bottom: "{top}" top: "out" reduction_param {{ axis: 1 }} }}'
    )
    assert [layer.name for layer in net.layers] == ["data", "ip", "relu", "out"]
    assert [list(layer.definition.message.bottom) for layer in net.layers[2:]] == [["feat"], [top]]
    assert not any(isinstance(layer, Debug) for layer in net.layers)
    assert net.forward(data=np.ones((1, 1, 2, 2)))["out"].shape == (1,)


@pytest.mark.usefixtures("dots")
def test_debugs_in_a_row_lead_to_one_blob() -> None:
    net = running(
        'layer { name: "d1" type: "Debug" bottom: "feat" bottom: "label" top: "a" }'
        'layer { name: "d2" type: "Debug" bottom: "a" bottom: "label" top: "b" }'
        'layer { name: "out" type: "ReLU" bottom: "b" top: "out" }'
    )
    assert [list(layer.definition.message.bottom) for layer in net.layers[1:]] == [["data"], ["feat"]]


def test_a_file_with_an_input_layer_loses_it_too() -> None:
    net = Net(
        parse_net(
            'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }'
            'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 1 } } }'
            'layer { name: "debug" type: "Debug" bottom: "x" bottom: "label" top: "seen" }'
            'layer { name: "relu" type: "ReLU" bottom: "seen" top: "y" }'
        ),
        "RUN",
    )
    np.testing.assert_array_equal(net.forward(x=[[-1, 2]])["y"], [[0, 2]])


@pytest.mark.usefixtures("dots")
def test_readers_of_what_is_rewritten_meanwhile_are_refused() -> None:
    with pytest.raises(NetforgeError, match=r'"seen".*"feat".*in place'):
        running(
            'layer { name: "debug" type: "Debug" bottom: "feat" bottom: "label" top: "seen" }'
            'layer { name: "relu" type: "ReLU" bottom: "feat" top: "feat" }'
            'layer { name: "out" type: "ReLU" bottom: "seen" top: "out" }'
        )
