"""Blocks of prototxt, Python and TOML in the documents, and doctests, are right."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest

import netforge
from netforge import registry
from netforge.errors import NetforgeError
from netforge.layers import LAYERS
from netforge.net import Net
from netforge.registry import ENTRY_POINT_GROUP
from netforge.schema import parse_net, parse_solver, reading
from netforge.solver.policies import make_policy
from tests.docs.documents import DOCUMENTS, README, ROOT, Block, blocks, name

PROTOBUF = [block for document in DOCUMENTS for block in blocks(document, "protobuf")]
PYTHON = [block for document in DOCUMENTS for block in blocks(document, "python")]


def place(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("block", PROTOBUF, ids=place)
def test_prototxt_is_read_and_whole_nets_are_built(block: Block) -> None:
    if "layer {" not in block.text:
        make_policy(parse_solver(block.text))
        return
    definition = parse_net(block.text)
    for layer in definition.layers:
        LAYERS[layer.type]
    made = {top for layer in definition.layers for top in layer.message.top}
    whole = all(bottom in made for layer in definition.layers for bottom in layer.message.bottom)
    if whole and len(definition.layers) > 1:  # one layer alone is an example of its settings
        Net(definition, "TRAIN", plan_only=True)


def test_the_readme_s_net_learns_something() -> None:
    block = blocks(README, "protobuf")[0]
    assert Net(parse_net(block.text), "TRAIN", plan_only=True).outputs == ["loss"]
    assert Net(parse_net(block.text), "RUN", plan_only=True).outputs == ["feat_a"], "and can be used then"


@pytest.mark.parametrize("block", PYTHON, ids=place)
def test_python_uses_what_is_public(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "netforge":
            assert node.attr in netforge.__all__


def test_every_doctest_is_run() -> None:
    """A module with examples has to be named in the test that runs them, because most need a folder with models."""
    with_examples = {name(path) for path in (ROOT / "netforge").rglob("*.py") if ">>> " in path.read_text("utf-8")}
    run_by_test_api = {"netforge/__init__.py"}
    run_by_test_sklearn = {"netforge/sklearn/__init__.py", "netforge/sklearn/learner.py"}
    assert with_examples == run_by_test_api | run_by_test_sklearn


def test_the_readme_s_package_brings_its_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `pip install` makes of the README's pyproject.toml and its layer is found without a plugin line."""
    (toml,) = blocks(README, "toml")
    project = tomllib.loads(toml.text)["project"]
    layer = next(block for block in blocks(README, "python") if "@register_layer" in block.text)
    ((entry, module),) = project["entry-points"][ENTRY_POINT_GROUP].items()
    assert module == project["name"], "hatchling finds a single module by the name of the project"
    (tmp_path / f"{module}.py").write_text(layer.text, encoding="utf-8")
    info = tmp_path / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{entry} = {module}\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    reading._load_installed_plugins.cache_clear()  # looked for once per process
    try:
        net = 'input: "x" input_shape { dim: 2 dim: 3 } layer { name: "w" type: "Wave" bottom: "x" top: "y" %s }'
        assert Net(parse_net(net % "wave_param { frequency: 2 }")).layers[-1].settings.frequency == 2
        with pytest.raises(NetforgeError, match='Did you mean "frequency"'):
            parse_net(net % "wave_param { frequnecy: 2 }")
    finally:
        LAYERS.remove("Wave")
        registry._loaded_plugins.discard(module)
        sys.modules.pop(module, None)


def test_every_public_name_is_there_and_documented() -> None:
    for public in netforge.__all__:
        assert public == "__version__" or getattr(netforge, public).__doc__, public
