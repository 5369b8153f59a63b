"""Imports run downwards only, modules stand alone, and what needs no torch imports none."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import vos_zoo

PACKAGE = Path(__file__).resolve().parent.parent / "vos_zoo"

# Room -> rooms that it may import; the rooms of a line lie above all of those. A room is a module at the root, or a folder of modules,
# which may import each other; in models/ each file is a room by itself, and so is parts/.
LAYERS = {
    "errors": "",
    "face": "errors",  # vos_zoo/__init__.py, which hands out the rest by name when it is asked for
    "example": "errors",
    "system": "errors",
    "videos": "errors system",
    "masks": "errors system videos",
    "models/parts": "",
    "models/base": "models/parts",
    "models/<name>": "models/parts models/base",
    "models/flops": "models/base",
    "models/discovery": "errors system models/base",
    "checkpoints": "errors system models/discovery",
    "pointing": "errors system videos masks models/parts models/base models/discovery checkpoints",
    "engine": "errors system videos masks models/parts models/base pointing",
    "runtimes": "errors face example system models/parts models/base models/discovery checkpoints pointing engine",
    "publish": "errors system checkpoints engine runtimes",
    "datasets": "errors system",
    "train": "errors system masks models/parts models/base pointing engine datasets",
    "jobs": "errors system videos masks datasets",
    "evaluation": "errors system videos masks pointing datasets",
    "benchmark": "errors system videos masks models/base engine checkpoints evaluation",
    "segmenter": "errors system videos masks models/parts models/base checkpoints pointing engine train runtimes publish",
    "ensembles": "errors system checkpoints engine segmenter",
    "zoo": "errors models/discovery checkpoints segmenter ensembles",
    "convert": "errors system checkpoints face",
    "commands": "errors system videos masks models/flops models/discovery checkpoints publish pointing datasets train jobs evaluation "
    "example segmenter zoo face",
    "cli": "errors system commands face",
}
NEED_TORCH = {"models/parts", "models/base", "models/<name>", "models/flops", "engine", "segmenter", "ensembles", "train", "benchmark"}
NEED_TORCH |= {"convert", "pointing", "runtimes"}
MODULES_THAT_NEED_TORCH = {"vos_zoo.system.devices", "vos_zoo.system.host", "vos_zoo.publish.saving"}
OUTSIDE = {"tools", "demo", "tests", "toy", "conftest"}
NAMES_THAT_SAY_NOTHING = {"util", "utils", "helper", "helpers", "misc", "common", "tools", "stuff"}


class Import(NamedTuple):
    importer: str  # module, with dots
    imported: str
    line: int


def modules_of(package: Path) -> dict[str, Path]:
    """Every module of a package by its name with dots."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(module: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """What a module imports, also inside its functions: blocks under `if TYPE_CHECKING` don't count."""

    def visit(node: ast.AST) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                yield from visit(child)
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield Import(module, whole if whole in modules else base, node.lineno)
        for child in ast.iter_child_nodes(node):
            yield from visit(child)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")))


def room_of(module: str) -> str:
    parts = module.split(".")[1:]
    if not parts:
        return "face"
    if parts[0] == "models" and len(parts) > 1:
        return f"models/{parts[1]}" if parts[1] in ("base", "discovery", "flops", "parts") else "models/<name>"
    return parts[0]


def offences(package: Path) -> list[str]:
    """Every import that the table does not allow, as a line to read."""
    modules = modules_of(package)
    wrong = []
    for module, path in modules.items():
        room = room_of(module)
        for found in imports_of(module, path, modules):
            where = f"{path.relative_to(package.parent)}:{found.line}"
            if found.imported.split(".")[0] in OUTSIDE:
                wrong.append(f"{where}: {module} imports {found.imported}, which lies outside the package")
            if found.imported.split(".")[0] != package.name:
                continue
            target = room_of(found.imported)
            allowed = target in LAYERS.get(room, "").split()
            same = room == target and (room != "models/<name>" or found.imported == module)
            if not (allowed or same):
                wrong.append(f"{where}: {room} must not import {target} ({found.imported})")
    return wrong


def test_imports_run_downwards():
    assert offences(PACKAGE) == []


def test_the_table_knows_every_room_and_has_no_circle():
    rooms = {room_of(module) for module in modules_of(PACKAGE)}
    assert rooms - {"models"} == set(LAYERS)
    above: set[str] = set()
    for room, below in LAYERS.items():
        assert set(below.split()) <= above, f"{room} stands in the table above a room that it may import"
        above.add(room)


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("models/crvos.py", "from vos_zoo.models.rvos import RVOS", "models/<name> must not import models/<name>"),
        ("models/crvos.py", "from .rvos import RVOS", "models/<name> must not import models/<name> (vos_zoo.models.rvos)"),
        ("models/crvos.py", "from vos_zoo.engine import session", "models/<name> must not import engine"),
        ("engine/session.py", "def f():\n    import vos_zoo.models.crvos", "engine must not import models/<name>"),
        ("segmenter.py", "from vos_zoo.zoo import load", "segmenter must not import zoo"),
        ("segmenter.py", "def f():\n    from vos_zoo.zoo import load", "segmenter must not import zoo"),
        ("checkpoints/build.py", "def f():\n    from vos_zoo.segmenter import Segmenter", "checkpoints must not import segmenter"),
        ("segmenter.py", "from vos_zoo.models import crvos", "segmenter must not import models/<name>"),
        ("train/loop.py", "from ..zoo import create", "train must not import zoo"),
        ("train/loop.py", "class A:\n    from vos_zoo.segmenter import Segmenter", "train must not import segmenter"),
        ("evaluation/datasets.py", "import vos_zoo.train.sources as sources", "evaluation must not import train"),
        ("masks/read.py", "if True:\n    from vos_zoo import load", "masks must not import face"),
        ("zoo.py", "from tools.train import main", "imports tools.train, which lies outside"),
        ("cli.py", "import demo", "imports demo, which lies outside"),
    ],
)
def test_a_wrong_import_is_found(tmp_path, path, code, message):
    package = tmp_path / "vos_zoo"
    for name in ("__init__.py", "models/__init__.py", "models/crvos.py", "models/rvos.py", "engine/session.py", "zoo.py", path):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    (package / path).write_text(code)
    (found,) = offences(package)
    assert message in found and path in found


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("zoo.py", "def f():\n    from vos_zoo.segmenter import Segmenter"),
        ("segmenter.py", "if TYPE_CHECKING:\n    from vos_zoo.models.base import VOSModel"),
        ("models/crvos.py", "from vos_zoo.models import base\nimport torch"),
        ("masks/read.py", "from vos_zoo.masks import rle"),
    ],
)
def test_a_right_import_is_let_pass(tmp_path, path, code):
    package = tmp_path / "vos_zoo"
    for name in ("__init__.py", "models/base.py", "zoo.py", "masks/rle.py", path):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    (package / path).write_text(code)
    assert offences(package) == []


@pytest.mark.parametrize("room", ["masks"])
def test_inside_a_room_imports_run_one_way(room):
    """Imports inside functions count too."""
    modules = {name: path for name, path in modules_of(PACKAGE).items() if room_of(name) == room}
    found = [each for name, path in modules.items() for each in imports_of(name, path, modules) if each.imported in modules]
    left = {name: {each.imported for each in found if each.importer == name} for name in modules}
    while free := [name for name, needs in left.items() if not needs & set(left)]:
        for name in free:
            del left[name]
    assert left == {}, "these modules import each other in a circle"


def test_no_module_has_a_name_that_says_nothing():
    names = {part for module in modules_of(PACKAGE) for part in module.split(".")}
    assert names & NAMES_THAT_SAY_NOTHING == set()


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, env=environment, timeout=600)


HEAVY = "{'torch', 'timm', 'av', 'decord', 'tqdm', 'huggingface_hub', 'safetensors.torch'} & set(sys.modules)"


@pytest.mark.parametrize("command", ["--help", "--version", "propagate --help", "list", "list --json"])
def test_the_command_line_answers_without_torch(command):
    code = f"""
import sys
from vos_zoo.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(sorted({HEAVY}), file=sys.stderr)
sys.exit(code)
"""
    done = python(code, *command.split())
    assert (done.returncode, done.stderr.strip()) == (0, "[]") and done.stdout


def test_importing_vos_zoo_is_cheap():
    code = f"import sys, vos_zoo; dir(vos_zoo); print(sorted(({HEAVY}) | ({{'numpy', 'PIL'}} & set(sys.modules))))"
    assert python(code).stdout.strip() == "[]"


def test_rooms_that_need_no_torch_import_none():
    light = [module for module in modules_of(PACKAGE) if room_of(module) not in NEED_TORCH and module not in MODULES_THAT_NEED_TORCH]
    code = """
import importlib, json, sys
found = {}
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
    if heavy := {'torch', 'timm', 'av', 'decord'} & set(sys.modules):
        found[name] = sorted(heavy)
        break
print(json.dumps(found))
"""
    done = python(code, json.dumps(light))
    assert done.stdout.strip() == "{}", done.stdout + done.stderr
    assert len(light) > 30


def test_every_module_can_be_imported_first():
    """Each in an interpreter that knows none of our other modules: no circle that only works in one order."""
    code = """
import importlib, json, sys
import numpy, torch, timm, PIL.Image
failed = {}
for name in json.loads(sys.argv[1]):
    for known in [each for each in sys.modules if each.split('.')[0] == 'vos_zoo']:
        del sys.modules[known]
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
print(json.dumps(failed))
"""
    done = python(code, json.dumps(list(modules_of(PACKAGE))))
    assert done.stdout.strip() == "{}", done.stdout + done.stderr


def test_the_public_face_holds_what_it_names():
    assert dir(vos_zoo) == sorted(vos_zoo.__all__)
    assert all(getattr(vos_zoo, name).__name__ == name for name in vos_zoo.__all__)
    with pytest.raises(AttributeError, match="module 'vos_zoo' has no attribute 'laod'"):
        _ = vos_zoo.laod


def test_the_demo_knows_the_public_face_only():
    demo = PACKAGE.parent / "demo"
    if not demo.is_dir():
        pytest.skip("there is no demo folder yet")
    modules = modules_of(PACKAGE)
    inner = [
        f"{path.name}:{found.line} {found.imported}"
        for path in demo.rglob("*.py")
        for found in imports_of(path.stem, path, modules)
        if found.imported.startswith("vos_zoo.")
    ]
    assert inner == []
