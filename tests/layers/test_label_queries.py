"""A Data layer counts what training draws: every batch that was used, none that was only made ahead."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.data.labels.label_queries import LabelQueries
from netforge.net import Net
from netforge.schema import parse_net
from tests.data.helpers import array_source, fill_database, write_lmdb

NOISE = "enable_noise_for_nonmatch: true data_noise_param { noise_data_label: 3 }"
PARAMS = {
    "images": "",
    "pairs": "images_per_blob: 2",
    "noise": f"images_per_blob: 2 {NOISE}",
    "forced": "images_per_blob: 2 output_all_labels: true forced_primary_label: 1",
    "classes": "batch_size: 0 batch_classes: 3 batch_images: 2",
    "turns": "quarter_turns: true",
}


@pytest.fixture(autouse=True)
def square() -> None:
    fill_database("square", array_source(45, (1, 5, 5)))


def layer_text(param: str = "", transform: str = "", source: str = "square") -> str:
    size = "" if "batch_size" in param else "batch_size: 6"
    return (
        'layer { name: "d" type: "Data" top: "data" top: "label" top: "index"\n'
        f"  transform_param {{ {transform} }}\n"
        f'  data_param {{ source: "{source}" output_image_index: true prefetch: 3 {size} '
        f"{param.replace('batch_size: 0 ', '')} }} }}"
    )


def label_queries_of(net: Net) -> LabelQueries:
    queries = net.layers[0].label_queries
    assert isinstance(queries, LabelQueries)
    return queries


def expected(images: list[np.ndarray]) -> list[int]:
    """How often each label of the source was drawn, by the numbers of images in the index top."""
    numbers = np.concatenate([batch.ravel() for batch in images]).astype(int)
    return np.bincount(array_source(45).labels[numbers[numbers >= 0] % 45], minlength=4).tolist()


@pytest.mark.parametrize("param", PARAMS.values(), ids=PARAMS)
def test_what_was_used_is_counted(param: str) -> None:
    net = Net(parse_net(layer_text(param, 'label_mapping { mapping: "2->0" }')), "TRAIN", seed=5)
    seen: list[np.ndarray] = []
    for _ in range(7):
        net.forward()
        seen.append(net.blobs["index"].data.copy())
    counts = label_queries_of(net).counts
    assert counts.labels.tolist() == [0, 1, 2, 3] and counts.counts.tolist() == expected(seen)
    assert counts.images is not None and counts.images.tolist() == [12, 11, 11, 11]
    net.close()


def test_a_resumed_layer_counts_on() -> None:
    net = Net(parse_net(layer_text()), "TRAIN", seed=5)
    seen = []
    for number in range(6):
        if number == 3:
            state = net.state()
            net.close()
            net = Net(parse_net(layer_text()), "TRAIN", seed=5)
            net.forward()
            net.restore(state)
        net.forward()
        seen.append(net.blobs["index"].data.copy())
    assert label_queries_of(net).counts.counts.tolist() == expected(seen)
    net.close()


def test_only_training_counts() -> None:
    net = Net(parse_net(layer_text()), "TEST", seed=5)
    net.forward()
    assert net.layers[0].label_queries is None and net.state() == {"d": {"position": 1}}
    net.close()


def test_where_the_source_lies(netforge_home, tmp_path) -> None:  # type: ignore[no-untyped-def]
    from tests.data.helpers import datum

    folder = write_lmdb(tmp_path / "db", {b"%d" % i: datum(np.full((1, 2, 2), i, np.uint8), i % 2) for i in range(5)})
    places = []
    for source in ("square", str(folder)):
        net = Net(parse_net(layer_text(source=source)), "TRAIN", seed=5)
        net.forward()
        places.append(label_queries_of(net).counts.database)
        net.close()
    assert places == [netforge_home / "images.db", None]
