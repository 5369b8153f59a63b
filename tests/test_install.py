"""How vos_zoo is installed: what the extras are called, and that uv takes torch without CUDA where it is told to."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vos_zoo.checkpoints import catalogue

ROOT = Path(__file__).resolve().parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8") if (ROOT / "pyproject.toml").is_file() else ""


def wheel(folder: Path, name: str, version: str) -> None:
    """An empty wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")


@pytest.fixture
def project(tmp_path):
    """The project's own settings for uv, over two small indexes: one with CUDA's torch and one without."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed: pip install uv")
    if not PROJECT:
        pytest.skip("pyproject.toml is not part of this copy")
    for name in ("torch", "torchvision"):
        wheel(tmp_path / "pypi", name, "9.8.0")
        wheel(tmp_path / "cpu" / name, name, "9.9.0+cpu")
        file = f"{name}-9.9.0+cpu-py3-none-any.whl"
        (tmp_path / "cpu" / name / "index.html").write_text(f'<a href="{file}">{file}</a>')
    (tmp_path / "project").mkdir()
    begin, end = PROJECT.index("[dependency-groups]"), PROJECT.index("[project.scripts]")
    of_uv = PROJECT[begin:end].replace("https://download.pytorch.org/whl/cpu", (tmp_path / "cpu").as_uri())
    own = f'[project]\nname = "toy"\nversion = "0"\nrequires-python = ">={sys.version_info.major}.{sys.version_info.minor}"\n'
    own += 'dependencies = ["torch>=2.4", "torchvision"]\n\n'
    (tmp_path / "project" / "pyproject.toml").write_text(own + of_uv)

    def versions(*options: str) -> set[str]:
        index = [
            "--default-index",
            (tmp_path / "none").as_uri(),
            "--find-links",
            str(tmp_path / "pypi"),
            "--cache-dir",
            str(tmp_path / "cache"),
        ]
        command = [uv, "export", *options, "--no-hashes", "--python", sys.executable, *index]
        done = subprocess.run(command, cwd=tmp_path / "project", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return {line.split(" ")[0] for line in done.stdout.splitlines() if line.startswith("torch")}

    return versions


def test_uv_takes_torch_without_cuda_for_the_group_cpu(project):
    assert project("--group", "cpu") == {"torch==9.9.0+cpu", "torchvision==9.9.0+cpu"}


def test_uv_takes_the_usual_torch_without_a_group_and_for_cuda(project):
    assert project() == {"torch==9.8.0", "torchvision==9.8.0"}
    assert project("--group", "cuda") == {"torch==9.8.0", "torchvision==9.8.0"}


def test_the_index_without_cuda_is_for_torch_alone():
    assert "explicit = true" in PROJECT.split('name = "pytorch-cpu"')[1].split("[project.scripts]")[0]


def test_the_metadata_tell_the_terms_of_the_weights_and_of_a_clip_too():
    if not PROJECT:
        pytest.skip("pyproject.toml is not part of this copy")
    assert 'license = "MIT AND LicenseRef-vos-zoo-weights AND Apache-2.0"' in PROJECT
    assert 'license-files = ["LICENSE", "LICENSE-WEIGHTS", "demo/examples/LICENSE-bottle"]' in PROJECT
    terms = (ROOT / "LICENSE-WEIGHTS").read_text(encoding="utf-8")
    for name in (row.name for row in catalogue.rows() if row.ships):
        said = catalogue.read(name).licence or ""
        assert said.split("; ")[0] in terms, f"LICENSE-WEIGHTS does not say what config.json of {name} says: {said}"
