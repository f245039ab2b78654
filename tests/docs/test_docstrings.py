"""Docstrings say what people ask them: which errors a function raises, which shapes arrays have.

ruff sees to it that every public thing has a docstring. Two rules here go further. A public function whose own body
raises one of our errors says so, unless it overrides a method that does. And a public function that takes or returns
arrays says their shapes, in the packages that people import. Help texts of commands (netforge.cli) have a form of
their own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docs.documents import ROOT

PACKAGE = ROOT / "netforge"
IMPORTED = ("data", "inspect", "metric", "net", "recognition", "sklearn", "snapshot", "solver", "testing")
MODULES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if not path.name.endswith("_pb2.py") and "cli" not in path.parts
]
ARRAYS = re.compile(r"\b(NDArray|ArrayLike|Array|Floats|Integers)\b")
SHAPE = re.compile(r"\(.*\)|any shape", re.S)
RAISING = re.compile(r"\b[Rr]aise")


@dataclass
class Function:
    """A public function or method, with the class that it is defined in."""

    path: Path
    node: ast.FunctionDef
    owner: ast.ClassDef | None

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.node.lineno}: {self.node.name}"


@dataclass
class Code:
    """All public functions of the package, and its classes by name."""

    functions: list[Function] = field(default_factory=list)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)

    def read(self, path: Path) -> None:
        self._collect(ast.parse(path.read_text(encoding="utf-8")).body, path, None)

    def _collect(self, body: list[ast.stmt], path: Path, owner: ast.ClassDef | None) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                self.classes[node.name] = node
                if not node.name.startswith("_"):
                    self._collect(node.body, path, node)
            elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                self.functions.append(Function(path, node, owner))

    def inherited_docs(self, owner: ast.ClassDef | None, method: str) -> Iterator[str]:
        """Docstrings of the methods of that name in the classes that `owner` extends, as far as they are netforge's."""
        for base in owner.bases if owner else ():
            known = self.classes.get(ast.unparse(base).rpartition(".")[2])
            if known is not None:
                here = [node for node in known.body if isinstance(node, ast.FunctionDef) and node.name == method]
                yield from (ast.get_docstring(node) or "" for node in here)
                yield from self.inherited_docs(known, method)


@pytest.fixture(scope="module")
def code() -> Code:
    read = Code()
    for path in MODULES:
        read.read(path)
    return read


def own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a body, without functions and classes within it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def raises_ours(function: ast.FunctionDef) -> bool:
    """Whether the body holds `raise SomeError(...)`, `raise x.fail(...)` or `raise error.at(...)`."""
    raised = (ast.unparse(node.exc) for node in own_nodes(function) if isinstance(node, ast.Raise) and node.exc)
    return any(re.match(r"\w+Error\(|[\w.]+\.(fail|at)\(", text) for text in raised)


def test_functions_say_what_they_raise(code: Code) -> None:
    silent = [
        function.place
        for function in code.functions
        if raises_ours(function.node)
        and not RAISING.search(function.doc)
        and not any(RAISING.search(doc) for doc in code.inherited_docs(function.owner, function.node.name))
    ]
    assert not silent, "say in the docstring what is raised, and when:\n" + "\n".join(silent)


def test_functions_say_the_shapes_of_their_arrays(code: Code) -> None:
    silent = []
    for function in code.functions:
        if function.path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in IMPORTED:
            continue
        arguments = [*function.node.args.args, *function.node.args.kwonlyargs]
        given = [argument.annotation for argument in arguments if argument.annotation]
        annotations = map(ast.unparse, [*given, function.node.returns] if function.node.returns else given)
        of_class = (ast.get_docstring(function.owner) or "") if function.owner else ""
        inherited = code.inherited_docs(function.owner, function.node.name)
        if any(map(ARRAYS.search, annotations)) and not any(map(SHAPE.search, (function.doc, of_class, *inherited))):
            silent.append(function.place)
    assert not silent, "say the shapes of the arrays in the docstring:\n" + "\n".join(silent)


def test_the_rules_find_what_is_missing() -> None:
    body = ast.parse('def f(x):\n    """Nothing."""\n    if x:\n        raise DataError("no")\n').body[0]
    assert isinstance(body, ast.FunctionDef) and raises_ours(body)
    assert not SHAPE.search("The images.") and SHAPE.search("The images (n, C, H, W).")
