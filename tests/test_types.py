"""How much of the package is annotated with nothing: parameters that are exactly Any."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "vos_zoo"
MOST = 40


def parameters_that_are_any(source: str) -> Iterator[str]:
    """function.parameter of each parameter annotated exactly `Any`, of methods and inner functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            given = node.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            for each in every:
                if each is not None and each.annotation is not None and ast.unparse(each.annotation) in ("Any", "typing.Any"):
                    yield f"{node.name}.{each.arg}"


def test_few_parameters_are_any():
    found = {
        str(path.relative_to(PACKAGE)): list(parameters_that_are_any(path.read_text(encoding="utf-8"))) for path in PACKAGE.rglob("*.py")
    }
    named = [f"{path}: {name}" for path, names in sorted(found.items()) for name in names]
    assert len(named) < MOST, "\n".join(named)


def test_they_are_found():
    source = "def f(a: Any, /, b: int, *c: Any, d: 'str', **e: Any): pass"
    source += "\nclass A:\n    async def g(self, x: dict[str, Any], y: typing.Any): pass"
    assert list(parameters_that_are_any(source)) == ["f.a", "f.c", "f.e", "g.y"]
