"""Every way to write a file wrongly gives one error with its exact place, what was found, and a mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from netforge.errors import NetforgeError, SchemaError, SettingsError, did_you_mean
from netforge.schema import parse_net, parse_solver, read_net, read_solver, resolve_path
from netforge.schema.files import LARGEST_TEXT_BYTES

# text, place, parts of the message
NETS = [
    ("layer {\n  nme: 'a'\n}", "2:3", ['unknown field "nme" in "layer"', 'did you mean "name"']),
    ("layer { Name: 'a' }", "1:9", ['did you mean "name"']),
    ("nam: 'x'", "1:1", ['unknown field "nam" in a net', 'did you mean "name"']),
    (
        "layer { type: 'Convolution' convolution_param { kernal_size: 3 } }",
        "1:49",
        ['unknown field "kernal_size" in "convolution_param"', 'did you mean "kernel_size"'],
    ),
    (
        "layer { type: 'Pooling'\n kernel_size: 3 }",
        "2:2",
        ['unknown field "kernel_size" in "layer"', '"kernel_size" belongs in pooling_param.'],
    ),
    ("layers { type: CONVOLUTION\n kernel_size: 3 }", "2:2", ['"kernel_size" belongs in convolution_param.']),
    (
        "layer { type: 'X' pooling_param { num_output: 3 } }",
        "1:35",
        ['"num_output" belongs in convolution_param or embed_param'],
    ),
    (
        "layer { type: 'Convolution'\n convolution_param { num_output: 3\n}\nlayer { name: 'b' }",
        "4:1",
        [
            'unknown field "layer" in "layer"',
            "outside of all blocks",
            'is a "}" missing for "layer", opened at line 1?',
        ],
    ),
    (
        "layer {\n convolution_param { num_output: 3\n top: 'x' } }",
        "3:2",
        ['it belongs in "layer": is a "}" missing for "convolution_param", opened at line 2?'],
    ),
    ("layer {\n convolution_param {\n  pad: 1\n }\n", "1:1", ['the block "layer" that is opened here is never closed']),
    ("layer { name: 'a' } }", "1:21", ['"}" closes nothing']),
    ("layer { name: 'a' >", "1:19", ['expected "}" for the block "layer" opened at line 1, found ">"']),
    ("layer { name 'a' }", "1:14", ['expected ":" and a value after "name"', 'write "name: ..."']),
    ("layer { convolution_param { kernel_size=3 } }", "1:40", ['expected ":" and a value after "kernel_size"']),
    ("layer: 'x'", "1:8", ['expected a block after "layer"', 'Write "layer { ... }"']),
    ("layer { name: { } }", "1:15", ['"name" takes text in quotes, found "{"']),
    ("layer { name: 5 }", "1:15", ['"name" takes text, found "5"', 'Write it in quotes: "5"']),
    ("layer { name: }", "1:15", ['"name" takes text in quotes, found "}"']),
    ("layer { name: \n type: 'T' }", "2:2", ['"name" takes text in quotes, found "type"']),
    ("layer { name: 'a\n' }", "1:15", ["no closing quote on its line"]),
    ('layer { name: "a }', "1:15", ["no closing quote"]),
    (r'name: "\q"', "1:7", ['"\\q" means nothing']),
    (r'name: "\377"', "1:7", ["text in UTF-8"]),
    (r'name: "\ud800"', "1:7", ["known escapes"]),
    ("force_backward: yes", "1:17", ['"force_backward" takes true or false, found "yes"']),
    ("input_dim: 1.5", "1:12", ['"input_dim" takes a whole number, found "1.5"']),
    ("input_dim: 08", "1:12", ["whole number", "leading 0 means octal"]),
    ("input_dim: 3000000000", "1:12", ["from -2147483648 to 2147483647"]),
    ("layer { convolution_param { pad: -1 } }", "1:34", ["from 0 to 4294967295", 'found "-1"']),
    ("layer { loss_weight: abc }", "1:22", ['"loss_weight" takes a number, found "abc"']),
    ("layer { loss_weight: 1e39 }", "1:22", ["single precision"]),
    ("layer { loss_weight: '1' }", "1:22", ["a value without quotes", "Remove the quotes"]),
    ("layer { pooling_param { pool: MEAN } }", "1:31", ["takes one of MAX, AVE, STOCHASTIC", 'found "MEAN"']),
    ("layer { pooling_param { pool: 7 } }", "1:31", ["takes one of MAX, AVE, STOCHASTIC"]),
    ("layers { type: CONVOLUTOIN }", "1:16", ["a name of LayerType", 'did you mean "CONVOLUTION"']),
    ("layers { type: 'Convolution' }", "1:16", ['write the newer "layer" in place of "layers"']),
    ("layer { name: 'a'\n name: 'b' }", "2:2", ['"name" is given twice, first at line 1', "remove one of them"]),
    ("layer { pooling_param { }\n pooling_param { } }", "2:2", ['"pooling_param" is given twice, first at line 1']),
    ("layer { name: ['a', 'b'] }", "1:9", ['"name" takes one value, not a list']),
    ("layer { bottom: ['a' 'b' }", "1:26", ['expected "," or "]", found "}"']),
    ("layer { bottom: ['a',", "1:17", ["list that is opened here is never closed"]),
    ("layer { loss_weight: [[1]] }", "1:23", ['"loss_weight" takes a value, found "["']),
    ("layer { name: 'a' ;; }", "1:20", ['expected the name of a field, found ";"']),
    ("= 5", "1:1", ["expected the name of a field", '"="']),
    ("layer { [netforge.plugin.nope_param] { } }", "1:9", ['no extension "netforge.plugin.nope_param"']),
    ("layer { conv_param { } }", "1:9", ['did you mean "convolution_param"?']),
    ("layer { my_own_thing_param { } }", "1:9", ['name its module: plugin: "..."']),
    ("layer { weight_adapter { a: {", "1:9", ["never closed"]),
    ("layer { use_halfsize: }", "1:23", ['expected a value, found "}"']),
    ("layer { clip_param { min: 0 } }", "1:9", ['clip_param needs "max"', 'Add "max: ..."']),
    ("base_lr: 0.1", "1:1", ['"base_lr" belongs to a solver, where a net is expected']),
    (
        "layer { name: 'a' type: 'T' include { phase: TRAIN }\n exclude { phase: TEST } }",
        "2:2",
        ['layer "a" (T): a layer takes include rules or exclude rules, not both'],
    ),
    ("layer { name: 'a' }\nlayers { name: 'b' }", "2:1", ['both "layer" and "layers"', 'write all of them as "layer']),
    (
        "input: 'a'\ninput_dim: 1 input_dim: 2",
        "2:1",
        ["input_dim is given 2 times for 1 input", "give four input_dim each"],
    ),
    ("input: 'a'\n layer { }", "1:1", ["input_dim is given 0 times for 1 input"]),
    (
        "input: 'a' input: 'b' input: 'c'\ninput_shape {} input_shape {}",
        "2:1",
        ["input_shape is given 2 times for 3 inputs"],
    ),
    ("layers { layer { name: 'x' type: 'cnv' } }", "1:1", ['unknown type "cnv"', 'did you mean "conv"']),
    ("layers { layer { type: 'padding' } }", "1:1", ["one bottom and gives one top"]),
    (
        "layers { bottom: 'a' top: 'p' layer { type: 'padding' pad: 1 } }\n"
        "layers { bottom: 'p' top: 'r' layer { name: 'r' type: 'relu' } }",
        "2:1",
        ['layer "r" takes the output of a padding layer', "only a conv or pool layer"],
    ),
]
RANGES = [
    ("layer { pooling_param { stride: 0 } }", "1:33", ['"stride" is "0", but must be at least 1', "[1, inf)"]),
    ("layer { dropout_param { dropout_ratio: 1 } }", "1:40", ["between 0 (included) and 1 (excluded)"]),
    ("layer { dropout_param { dropout_ratio: nan } }", "1:40", ['is "nan"']),
    ("layer { convolution_param { kernel_size: [3, 0] } }", "1:46", ["at least 1"]),
    ("layer { contrastive_loss_param { margin: 0 } }", "1:42", ["greater than 0"]),
    ("layer { data_param { images_per_blob: 3 } }", "1:39", ["between 1 (included) and 2 (included)"]),
]
SOLVERS = [
    ("base_lr: -1", "1:10", ["must be at least 0"]),
    ("momentum: 1", "1:11", ["between 0 (included) and 1 (excluded)"]),
    ("bas_lr: 1", "1:1", ['unknown field "bas_lr" in a solver', 'did you mean "base_lr"']),
    ("layer { name: 'a' }", "1:1", ['"layer" belongs to a net, where a solver is expected']),
    ("name: 'n'", "1:1", ['"name" belongs to a net']),
    ("type: 'SGD'\nsolver_type: ADAM", "2:1", ['both "type" and the older "solver_type"']),
    ("solver_mode: TPU", "1:14", ["takes one of CPU, GPU"]),
    ("net_param { layer { nam: 'a' } }", "1:21", ['did you mean "name"']),
]


def check(error: NetforgeError, place: str, parts: list[str]) -> None:
    text = str(error)
    assert text.startswith(f"f.prototxt:{place}: "), text
    for part in parts:
        assert part.lower() in text.lower(), text


@pytest.mark.parametrize(("text", "place", "parts"), NETS)
def test_faults_in_nets(text: str, place: str, parts: list[str]) -> None:
    with pytest.raises((SchemaError, SettingsError)) as caught:
        parse_net(text, "f.prototxt")
    check(caught.value, place, parts)


@pytest.mark.parametrize(("text", "place", "parts"), RANGES)
def test_numbers_out_of_range(text: str, place: str, parts: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_net(text, "f.prototxt")
    check(caught.value, place, parts)


@pytest.mark.parametrize(("text", "place", "parts"), SOLVERS)
def test_faults_in_solvers(text: str, place: str, parts: list[str]) -> None:
    with pytest.raises((SchemaError, SettingsError)) as caught:
        parse_solver(text, "f.prototxt")
    check(caught.value, place, parts)


FILES = [
    (b"\x0a\x03abc\x00\x01", "this is a binary file, where a net in text form is expected"),
    (b"\x89HDF\r\n\x1a\n\x00", "this is an HDF5 file"),
    (b"\xff\xfen\x00a\x00", "this text is in UTF-16"),
    (b"name: 'a'\n# caf\xe9\n", "byte 0xe9 in line 2 is not UTF-8"),
    (b"", "the file holds no layer"),
    (b"name: 'a'", "the file holds no layer"),
    (b"#" * (LARGEST_TEXT_BYTES + 1), "more than 16 MB are too much"),
]


@pytest.mark.parametrize(("data", "message"), FILES, ids=[m for _, m in FILES])
def test_files_that_are_no_net(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes(data)
    with pytest.raises(SchemaError) as caught:
        read_net(path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes(b"\xef\xbb\xbflayer { name: 'a' }\r\n")
    assert read_net(str(path)).layers[0].name == "a"


def test_an_empty_solver(tmp_path: Path) -> None:
    path = tmp_path / "solver.prototxt"
    path.write_text("# nothing")
    with pytest.raises(SchemaError, match="the file is empty"):
        read_solver(path)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="this is a folder, where the file of a solver is expected"):
        read_solver(tmp_path)


def test_a_missing_file_names_close_ones(tmp_path: Path) -> None:
    (tmp_path / "lenet_solver.prototxt").touch()
    with pytest.raises(SchemaError, match=r'Did you mean "lenet_solver\.prototxt"'):
        read_solver(tmp_path / "lenet_slover.prototxt")
    (tmp_path / "one.prototxt").touch()
    with pytest.raises(SchemaError, match="Correct the path"):  # alike in their endings alone
        read_solver(tmp_path / "nope.prototxt")
    with pytest.raises(SchemaError, match="there is no file"):
        read_net(tmp_path / "none" / "x")
    for impossible in ("a" * 5000, "a\0b"):
        with pytest.raises(SchemaError, match="there is no file"):
            read_net(impossible)


def test_paths_are_looked_up_here_and_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, beside = tmp_path / "here", tmp_path / "beside"
    for folder in (here, beside):
        folder.mkdir()
    monkeypatch.chdir(here)
    (beside / "net").touch()
    assert resolve_path("net", beside) == beside / "net"
    (here / "net").touch()
    assert resolve_path("net", beside) == Path("net")
    with pytest.raises(SchemaError) as caught:
        resolve_path("other", beside)
    assert str(here / "other") in str(caught.value) and str(beside / "other") in str(caught.value)


def test_a_link_that_leads_nowhere_is_said_to_be_one(tmp_path: Path) -> None:
    link = tmp_path / "net.prototxt"
    link.symlink_to("net.prototxt")
    with pytest.raises(SchemaError, match=r"this is a symbolic link to net\.prototxt, which leads to no file"):
        resolve_path(link, None)


def test_blocks_that_are_passed_over_have_a_limit_too() -> None:
    deep = "layer { weight_adapter " + "{ a " * 90 + "}" * 91
    assert len(parse_net(deep).notes) == 1
    with pytest.raises(SchemaError, match="nested more than 100 deep"):
        parse_net("layer { weight_adapter " + "{ a " * 200)


def test_quotes_without_end_are_refused_in_linear_time() -> None:
    with pytest.raises(SchemaError, match="no closing quote"):
        parse_net('name: "plugin' + '\\"' * 400_000)


def test_deep_nesting_and_long_names_end_in_errors() -> None:
    for text in ("layer {" * 10_000, "layer { weight_adapter " + "{ a " * 100_000, "[" * 100_000, "a" * 1_000_000):
        with pytest.raises(SchemaError) as caught:
            parse_net(text)
        assert len(str(caught.value)) < 300


def test_abbreviations_are_understood() -> None:
    known = ["Concat", "Convolution", "Pooling", "Power"]
    assert did_you_mean("conv", known) == 'did you mean "Convolution" or "Concat"?'
    assert did_you_mean("Pool", known) == 'did you mean "Pooling"?'
    assert did_you_mean("po", [*known, *"abcde"]) is None
