"""`netforge data relabel` and its like, as people type them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from netforge.cli import cli
from netforge.data import ImageDatabase, open_source
from tests.data.helpers import array_source
from tests.recognition.helpers import DECODE, make_net

ORIGINALS = [i % 4 for i in range(40)]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["data", *map(str, arguments)])


def lines(*arguments: str | Path) -> list[str]:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def labels(name: str = "pets") -> list[int]:
    with ImageDatabase() as database:
        return [int(label) for label in database.open(name).labels]


@pytest.fixture(autouse=True)
def pets() -> None:
    """Forty images with labels 0 to 3, two of which a net gave."""
    images = array_source(40).images[:]
    auto = np.zeros(40, np.int64)
    auto[[0, 3]] = 1
    with ImageDatabase() as database, database.write() as writer:
        writer.add("pets", [images], ORIGINALS, auto=auto, class_names={0: "cat", 1: "dog"})


UNDO = "To take it back: netforge data undo pets"


def test_relabel_by_query_number_and_mapping() -> None:
    assert lines("relabel", "pets", "--where", "class = cat and id < 9", "--to", "dog") == [
        "0 (cat) -> 1 (dog): 3 images",
        f"pets: 3 images changed. {UNDO}",
    ]
    assert [i for i in range(40) if labels()[i] != ORIGINALS[i]] == [0, 4, 8]
    assert lines("relabel", "pets", "--id", "1,2,36-37", "--to", "7")[-1].startswith("pets: 4 images changed")
    assert lines("relabel", "pets", "--map", "3->cat, 2:9")[:2] == ["2 -> 9: 9 images", "3 -> 0 (cat): 10 images"]
    assert lines("relabel", "pets", "--map", "9->2", "--where", "id < 11", "--dry-run") == [
        "9 -> 2: 2 images",
        "pets: 2 images would change",
        "Dry run: nothing was changed.",
    ]
    assert lines("relabel", "pets", "--all", "--to", "5")[-1].startswith("pets: 40 images changed")
    assert set(labels()) == {5}
    assert lines("relabel", "pets", "--all", "--to", "5") == ["pets: nothing had to be changed"]


def test_labels_of_nets_are_confirmed() -> None:
    assert lines("relabel", "pets", "--where", "auto and label = 3", "--to", "3") == [
        "labels of nets that are confirmed: 1 image",
        f"pets: 1 image changed. {UNDO}",
    ]
    assert lines("undo", "pets") == [
        "labels that are of nets again: 1 image",
        "pets: 1 image changed. To take it back: netforge data redo pets",
    ]
    assert lines("redo", "pets")[-1] == f"pets: 1 image changed. {UNDO}"


def test_numbers_of_images_in_use_and_numbers_that_stay() -> None:
    assert lines("disable", "pets", "--id", "0-3")[0] == "disabled: 4 images"
    assert lines("disable", "pets", "--index", "0-3")[0] == "disabled: 4 images"
    assert labels() == ORIGINALS[8:]
    assert lines("enable", "pets", "--where", "disabled and label = 1")[0] == "enabled: 2 images"
    assert lines("enable", "pets", "--where", "not active")[0] == "enabled: 6 images"
    assert labels() == ORIGINALS


def test_boosts_names_reset_and_history() -> None:
    assert lines("boost", "pets", "--where", "label = 3", "--to", "2")[0] == "other boost: 10 images"
    assert lines("rename", "pets", "dog", "big dog", "2", "bird") == [
        'label 1: "dog" -> "big dog"',
        'label 2: no name -> "bird"',
        f"pets: 2 classes changed. {UNDO}",
    ]
    lines("relabel", "pets", "--where", "class = bird", "--to", "big dog")
    assert lines("reset", "pets", "--only", "labels", "--where", "id < 20") == [
        "1 (big dog) -> 2 (bird): 5 images",
        f"pets: 5 images changed. {UNDO}",
    ]
    assert lines("undo", "pets", "--steps", "2", "--dry-run")[0] == "1 (big dog) -> 2 (bird): 5 images"
    assert lines("undo", "pets", "--steps", "2")[0] == "1 (big dog) -> 2 (bird): 5 images"
    assert labels() == ORIGINALS
    assert lines("undo", "pets")[0] == 'label 1: "big dog" -> "dog"'
    assert lines("redo", "pets")[0] == 'label 1: "dog" -> "big dog"'
    table = [line.split() for line in lines("history", "pets")]
    assert table[0] == ["edit", "time", "changed", "what"] and len(table) == 8
    assert [row[0] for row in table[1:]] == list("1234567")
    assert [row[3:] for row in table[1:]] == [
        ["10", "boost", "2,", "label", "=", "3"],
        ["2", "rename", "dog", '"big', 'dog",', "2", '"bird"'],
        ["10", "relabel", "to", "big", "dog,", "class", "=", "bird", "undone"],
        ["5", "reset", "labels,", "id", "<", "20", "undone"],
        ["5", "undo", "3,", "4"],
        ["2", "undo", "2"],
        ["2", "redo", "6"],
    ]
    assert lines("reset", "pets")[0] == "other boost: 10 images"


def test_many_pairs_are_summed_up() -> None:
    with ImageDatabase() as database, database.write() as writer:
        writer.add("many", [array_source(40).images[:]], np.arange(40))
    assert lines("relabel", "many", "--all", "--to", "0")[-2:] == [
        "... 19 further pairs of labels: 19 images",
        "many: 39 images changed. To take it back: netforge data undo many",
    ]
    assert lines("history", "pets") == ["pets: no label was edited"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("relabel", "pets", "--to", "3"), 2, "Say which images: --where"),
        (("relabel", "pets", "--all"), 2, "Say the new label: --to 8"),
        (("relabel", "pets", "--all", "--to", "1", "--map", "1->2"), 2, "Say the new label: --to 8"),
        (("relabel", "pets", "--all", "--id", "3", "--to", "1"), 2, "exclude each other"),
        (("relabel", "pets", "--map", "3,5"), 2, 'has "3", which is no pair'),
        (("relabel", "pets", "--map", "3->1,3->2"), 2, "names a label twice"),
        (("relabel", "pets", "--map", "8->1"), 1, "no image meets the query 'label in 8'"),
        (("relabel", "pets", "--id", "39-44", "--to", "1"), 1, "of the 6 images 'id in 39-44', 1 are there"),
        (("relabel", "pets", "--id", "all", "--to", "1"), 1, "expected a whole number or a range"),
        (("relabel", "pets", "--where", "lable = 3", "--to", "1"), 1, 'Did you mean "label"'),
        (("relabel", "pets", "--where", "label = 3", "--to", "dgo"), 1, 'Did you mean "dog"?'),
        (("relabel", "pet", "--where", "label = 3", "--to", "dog"), 1, 'Did you mean "pets"?'),
        (("rename", "pets", "3"), 2, '"3" has no name after it'),
        (("rename", "pets", "3", "a", "3", "b"), 2, "A label is named twice"),
        (("rename", "pets", "3", "cat"), 1, 'label 0 is named "cat" already'),
        (("undo", "pets"), 1, "pets: there is nothing to take back"),
        (("redo", "pets"), 1, "pets: no undo can be taken back"),
        (("disable", "pets"), 2, "Say which images"),
        (("boost", "pets", "--all", "--to", "-1"), 2, "-1 is not in the range"),
        (("boost", "pets", "--all", "--to", "9999999999"), 1, "a boost is 9999999999"),
    ],
)
def test_what_cannot_be_done(arguments: tuple[str, ...], status: int, message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == status, done.output
    assert message in done.output and "Traceback" not in done.output
    assert labels() == ORIGINALS


def test_a_net_labels_what_it_is_sure_of(tmp_path: Path) -> None:
    """The images come without classes; those that the net knows get its labels, and the others stay as they were."""
    model, weights = make_net(tmp_path, DECODE)
    digits = open_source(None, "digits.testing")
    with ImageDatabase() as database, database.write() as writer:
        writer.add("scans", [digits.images[:]], np.full(500, 77), class_names={77: "unsorted"})
    net = ("--model", model, "--weights", weights, "--device", "cpu")
    arguments = ("copy", "scans", "named", "--auto-label", *net, "--min-confidence", "0.4", "--rest", "unsure")
    dry = lines(*arguments, "--dry-run")
    done = lines(*arguments)
    assert dry[:-1] == done and "unsure" not in dry[-1]
    with ImageDatabase() as database:
        named, unsure = database.open("named"), database.open("unsure")
        assert done[0] == f"The net is sure of {named.count} images; {unsure.count} are left out."
        assert named.count + unsure.count == 500 and 100 < named.count < 490
        assert set(unsure.labels) == {77} and unsure.class_names == {77: "unsorted"}
        assert database.auto_marks("named").all() and not database.auto_marks("unsure").any()
        assert set(database.original_labels("named")) == {77}
        truth = {image.tobytes(): label for image, label in zip(digits.images[:], digits.labels, strict=True)}
        right = np.mean([truth[i.tobytes()] == k for i, k in zip(named.images[:], named.labels, strict=True)])
        assert right > 0.9 and named.class_names == {k: str(k) for k in set(named.labels.tolist())}
    lines("relabel", "named", "--where", "auto and label = 3", "--to", "3")
    few = lines("copy", "named", "few", "--where", "not auto", "--max-per-label", "2")
    assert few[0].startswith("few: 2 images")
    everything = run("copy", "scans", "all", "--auto-label", *net, "--quiet")
    assert everything.output.startswith("all: 500 images")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--auto-label",), "--auto-label takes --model and --weights"),
        (("--model", "a", "--weights", "b"), "--auto-label takes --model and --weights"),
        (("--auto-label", "--model", "a"), "--model and --weights go together"),
        (("--min-confidence", "0.5"), "--min-confidence is for --auto-label"),
        (("--threshold", "auto"), "--threshold is for --auto-label"),
        (("--auto-label", "--min-confidence", "1.5"), "1.5 is not in the range"),
    ],
)
def test_options_of_nets_belong_together(options: tuple[str, ...], message: str) -> None:
    done = run("copy", "pets", "other", *options)
    assert done.exit_code == 2 and message in done.output
