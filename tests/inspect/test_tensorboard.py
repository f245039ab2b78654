"""What TensorBoard is given: event files, read back by the numbers of the format, and the Projector's files."""

from __future__ import annotations

import errno
import itertools
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from PIL import Image

from netforge.cli import cli
from netforge.data import ArraySource
from netforge.errors import SnapshotError
from netforge.inspect.embeddings import Embeddings
from netforge.inspect.event_file import EventFile, crc32c, framed, histogram_of
from netforge.inspect.projector import write_projector
from netforge.inspect.tensorboard import TensorBoard
from netforge.solver import Display, Listener, Solver, TestResult
from tests.solver.helpers import SOLVER, write_solver

# The fields of TensorBoard's messages, written down independently of the .proto: name, type, number, repeated.
FIELDS = {
    "Event": "wall_time:double=1 step:int64=2 file_version:string=3 summary:Summary=5 session_log:SessionLog=7",
    "SessionLog": "status:int32=1",
    "Summary": "value:Value*=1",
    "Value": "tag:string=1 simple_value:float=2 histo:HistogramProto=5",
    "HistogramProto": "min:double=1 max:double=2 num:double=3 sum:double=4 sum_squares:double=5 "
    "bucket_limit:double*=6 bucket:double*=7",
    "ProjectorConfig": "embeddings:EmbeddingInfo*=2",
    "EmbeddingInfo": "tensor_name:string=1 metadata_path:string=2 sprite:SpriteMetadata=5 tensor_path:string=6",
    "SpriteMetadata": "image_path:string=1 single_image_dim:uint32*=2",
}
SESSION_START = 1


def message_class(name: str) -> Any:
    """A class of messages made of FIELDS alone."""
    file = FileDescriptorProto(name="independent.proto", package="independent", syntax="proto2")
    for owner, text in FIELDS.items():
        message = DescriptorProto(name=owner)
        for field, kind, star, number in re.findall(r"(\w+):(\w+)(\*?)=(\d+)", text):
            made = message.field.add(name=field, number=int(number), label=3 if star else 1)
            if kind in FIELDS:
                made.type, made.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".independent.{kind}"
            else:
                made.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
        file.message_type.append(message)
    pool = DescriptorPool()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(f"independent.{name}"))


def checksum(data: bytes) -> int:
    """The masked CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for bit in itertools.chain.from_iterable(((byte >> n) & 1 for n in range(8)) for byte in data):
        crc = crc >> 1 ^ (0x82F63B78 if (crc ^ bit) & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_events(path: Path) -> list[Any]:
    """All records of a file; every byte has to belong to one, and every checksum to be right."""
    data, events, kind = path.read_bytes(), [], message_class("Event")
    while data:
        (length,), (of_length,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        payload, (of_payload,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length : 16 + length])
        assert (of_length, of_payload) == (checksum(data[:8]), checksum(payload))
        event = kind.FromString(payload)
        assert not any(True for _ in unknown_fields(event))
        events.append(event)
        data = data[16 + length :]
    return events


def unknown_fields(message: Any) -> Any:
    from google.protobuf.unknown_fields import UnknownFieldSet

    yield from UnknownFieldSet(message)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if isinstance(value, Sequence) or hasattr(value, "add") else [value]:
                yield from unknown_fields(one)


def values_of(events: Sequence[Any]) -> dict[str, dict[int, Any]]:
    """The values of each tag by step: numbers and histograms."""
    found: dict[str, dict[int, Any]] = {}
    for event in events:
        for value in event.summary.value:
            kept = value.histo if value.HasField("histo") else value.simple_value
            assert event.step not in found.setdefault(value.tag, {}), "one value a step"
            found[value.tag][event.step] = kept
    return found


class Heard(Listener):
    """Remembers what happens, and the gradients that a display finds."""

    def __init__(self) -> None:
        self.displays: dict[int, Display] = {}
        self.tests: dict[int, TestResult] = {}
        self.gradients: dict[int, np.ndarray[Any, Any]] = {}
        self.notices: list[str] = []

    def on_display(self, solver: Solver, display: Display) -> None:
        self.displays[display.iteration] = display
        self.gradients[display.iteration] = np.array(solver.net.params["ip1"][0].diff)

    def on_test(self, solver: Solver, result: TestResult) -> None:
        self.tests[result.iteration] = result

    def on_notice(self, solver: Solver, text: str) -> None:
        self.notices.append(text)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(folder: str, heard: Heard, **settings: Any) -> Solver:
    solver = Solver(write_solver(Path("here")), listeners=[TensorBoard(folder), heard], **settings)
    solver.solve()
    return solver


def test_records_are_framed_as_the_format_says() -> None:
    assert crc32c(b"") == 0
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    record = framed(bytes(24))
    assert record[:12] == bytes.fromhex("1800000000000000 a37f4b22")  # how every event file of 24 bytes' header begins
    assert len(record) == 8 + 4 + 24 + 4


def test_a_run_can_be_read_back() -> None:
    heard = Heard()
    solver = trained("tb", heard, max_iter=10)
    (path,) = Path("tb").iterdir()
    events = read_events(path)
    assert (events[0].file_version, events[1].session_log.status, events[1].step) == (
        "brain.Event:2",
        SESSION_START,
        0,
    )
    assert all(event.wall_time > 1.7e9 for event in events)
    found = values_of(events)
    assert found["run/loss"] == {n: np.float32(d.loss) for n, d in heard.displays.items()}
    assert found["run/learning_rate"] == {n: np.float32(d.rate) for n, d in heard.displays.items()}
    assert set(found["run/iterations_per_second"]) == {0, 5, 10}
    assert set(found["train/loss"]) == {0, 5, 10}
    assert found["test/sq"] == {n: np.float32(t.as_dict()["sq"]) for n, t in heard.tests.items()}
    assert set(found["weights/ip1[0]"]) == {0, 7, 10}  # tests, and the snapshot of the end
    last, weight = found["weights/ip1[0]"][10], solver.net.params["ip1"][0].data
    assert (last.min, last.max, last.num) == (weight.min(), weight.max(), weight.size)
    assert last.sum_squares == pytest.approx(np.square(weight, dtype=np.float64).sum())
    assert sum(last.bucket) == weight.size and len(last.bucket) == len(last.bucket_limit)
    assert list(last.bucket_limit) == sorted(last.bucket_limit) and last.bucket_limit[-1] == last.max
    gradients = found["weights_gradients/ip1[0]"]
    assert set(gradients) == {0}, "the display of the end finds no gradients, and none stands between 7 and 10"
    assert (gradients[0].min, gradients[0].max) == (heard.gradients[0].min(), heard.gradients[0].max())
    assert set(found["weights_rms/ip1[0]/update"]) == {0, 5}
    measured = np.sqrt(np.mean(np.square(heard.gradients[5], dtype=np.float64)))
    assert found["weights_rms/ip1[0]/gradient"][5] == pytest.approx(measured, rel=1e-5)
    assert heard.notices == []


def test_whoever_steps_a_solver_without_an_end_sees_gradients_too() -> None:
    written = TensorBoard("tb")
    solver = Solver(write_solver(Path("here"), SOLVER.replace("max_iter: 20\n", "")), listeners=[written])
    solver.step(6)
    written.close()
    (path,) = Path("tb").iterdir()
    found = values_of(read_events(path))
    assert set(found["weights_gradients/ip1[0]"]) == {0}


def test_a_run_that_goes_on_appends_a_file_that_takes_over() -> None:
    heard = Heard()
    trained("tb", heard, max_iter=10)
    trained("tb", heard, restore="out/run_iter_10.solverstate")
    first, second = sorted(Path("tb").iterdir())
    events = read_events(second)
    assert (events[1].session_log.status, events[1].step) == (SESSION_START, 10)
    assert set(values_of(events)["run/loss"]) == {10, 15, 20}
    assert max(values_of(read_events(first))["run/loss"]) == 10
    assert heard.notices == []
    trained("tb", heard, max_iter=1)
    (notice,) = heard.notices
    assert "tb has another run" in notice


def test_a_folder_that_cannot_be_written_is_said_before_training() -> None:
    Path("tb").write_text("a file where a folder should be", encoding="utf-8")
    solver = Solver(write_solver(Path("here")), listeners=[TensorBoard("tb")])
    with pytest.raises(SnapshotError, match="tb: event files cannot be written"):
        solver.solve()
    assert solver.iteration == 0


def test_a_full_disk_is_said_once_and_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    written = EventFile._write

    def write(self: EventFile, event: Any) -> None:
        if event.step >= 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        written(self, event)

    monkeypatch.setattr(EventFile, "_write", write)
    heard = Heard()
    assert trained("tb", heard).iteration == 20
    (notice,) = heard.notices
    assert re.search(r"tb/events\S+: No space left on device.*training goes on", notice)
    (path,) = Path("tb").iterdir()
    assert max(event.step for event in read_events(path)) < 5


def test_histograms_of_large_arrays(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    values = rng.normal(size=(10, 101)).astype(np.float32)
    whole = histogram_of(values)
    monkeypatch.setattr("netforge.inspect.values.BLOCK", 100)
    parts = histogram_of(values)
    assert whole is not None and parts is not None
    counts, edges = np.histogram(values.astype(np.float64), 64)
    assert list(whole.bucket) == list(parts.bucket) == counts.tolist()
    np.testing.assert_allclose(parts.bucket_limit, edges[1:])
    assert parts.sum == pytest.approx(values.sum(dtype=np.float64))
    assert (parts.num, parts.sum_squares) == (1010, pytest.approx(whole.sum_squares))


def test_histograms_of_odd_arrays() -> None:
    same = histogram_of(np.full((3, 4), 2.5, np.float32))
    assert same is not None
    assert (same.min, same.max, list(same.bucket_limit), list(same.bucket)) == (2.5, 2.5, [2.5], [12])
    close = histogram_of(np.array([1.0, np.nextafter(1.0, 2.0)]))
    assert close is not None and list(close.bucket) == [2]
    some = histogram_of(np.array([np.nan, 1.0, -np.inf, 3.0]))
    assert some is not None and (some.num, some.min, some.max) == (2, 1, 3)
    assert histogram_of(np.array([np.nan])) is None
    assert histogram_of(np.zeros((0, 3))) is None


@pytest.mark.parametrize("count", [5, 9, 12])
def test_the_projector_finds_vectors_classes_and_images(count: int) -> None:
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 4, 6), np.uint8) * 10
    labels = np.arange(count) % 3
    vectors = np.random.default_rng(0).normal(size=(count, 2))
    images = ArraySource("made up", pixels, labels)
    found = Embeddings('"ip"\tof it', vectors, labels, {1: "a\tb\nc"}, np.arange(count), images)
    Path("tb").mkdir()
    write_projector("tb", found)
    text = Path("tb/projector_config.pbtxt").read_text(encoding="utf-8")
    (info,) = text_format.Parse(text, message_class("ProjectorConfig")()).embeddings
    assert info.tensor_name == '"ip"\tof it'
    written = np.loadtxt(Path("tb") / info.tensor_path)
    np.testing.assert_allclose(written[:, :2], vectors, rtol=1e-6)
    assert written.shape == (count, 3) and not written[:, 2].any(), "the Projector shows nothing of two dimensions"
    rows = [line.split("\t") for line in (Path("tb") / info.metadata_path).read_text(encoding="utf-8").splitlines()]
    assert rows[0] == ["class", "image"]
    assert rows[1:3] == [["0", "0"], ["a b c", "1"]] and len(rows) == count + 1
    width, height = info.sprite.single_image_dim
    sheet = np.asarray(Image.open(Path("tb") / info.sprite.image_path).convert("L"))
    columns = sheet.shape[1] // width
    assert sheet.shape == (columns * height, columns * width), "the Projector needs as many rows as columns"
    tiles = sheet.reshape(columns, height, columns, width).swapaxes(1, 2).reshape(-1, height, width)
    assert [tile.flat[0] for tile in tiles[:count]] == [10 * number for number in range(count)]


def test_train_writes_them_for_a_net_with_an_embedding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    folder = tmp_path / "tb"
    words = ["train", "--solver=solvers/siamese_digits.prototxt", f"--tensorboard={folder}", "--no-report"]
    words += [f"--set={x}" for x in ("max_iter=2", "test_iter=1", "display=1", f"snapshot_prefix={tmp_path}/run")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert f"curves: tensorboard --logdir {folder}" in result.stdout.splitlines()
    assert re.search(rf"train on: .* --tensorboard={folder} ", result.stdout)
    found = values_of(read_events(next(folder.glob("*tfevents*"))))
    assert {"train_labels/digits.training/hit_percent/3", "train_labels/digits.training/epochs/9"} <= found.keys()
    assert sum(v[2] for k, v in found.items() if "/hit_percent/" in k) == pytest.approx(100, rel=1e-5)
    assert set(found["weights_gradients/conv1[0]"]) == {0}
    assert np.loadtxt(folder / "tensors.tsv").shape == (500, 32)
    assert "sprite.png" in (folder / "projector_config.pbtxt").read_text(encoding="utf-8")
    assert "embeddings are not written" not in result.output


def test_a_net_that_reads_no_images_has_no_projector() -> None:
    heard = Heard()
    trained("tb", heard, max_iter=1)
    assert heard.notices == []
    assert not Path("tb/projector_config.pbtxt").exists()
