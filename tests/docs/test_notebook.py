"""The notebook of the docs, run in a real kernel: it takes a few seconds, since a kernel imports everything anew."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "first-steps.ipynb"


def test_the_notebook_runs_and_shows_what_it_says(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install nbclient ipykernel")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install nbclient ipykernel")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install nbclient ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "the notebook is kept without its outputs"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [
        output for cell in notebook.cells for output in cell.get("outputs", ()) if output.output_type in ("execute_result", "display_data")
    ]
    pages = [output.data.get("text/html", "") for output in shown]
    assert any("<img" in page for page in pages), "the masks show themselves as a sheet"
    assert any("<caption>" in page for page in pages) and any("<video" in page for page in pages)
    assert (tmp_path / "overlay.mp4").stat().st_size > 1000 and len(list((tmp_path / "masks").glob("*.png"))) == 12
    told = " ".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "Error" not in told
