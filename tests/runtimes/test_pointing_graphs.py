"""What points, as graphs: they give what the modules give, at other sizes than they were traced at, and pointing.json says how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import browser_page
import numpy as np
import pytest
import torch
from PIL import Image

import vos_zoo
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.cli import main
from vos_zoo.errors import SaveError, VosZooError
from vos_zoo.models.crvos import CRVOS
from vos_zoo.pointing import pointer
from vos_zoo.pointing.model import PointingModel
from vos_zoo.pointing.network import PointingConfig, PointingNetwork
from vos_zoo.system.strict_json import parse

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")


def pointing() -> PointingModel:
    torch.manual_seed(0)
    encoder = CRVOS(CRVOS.Config(**CRVOS.debug))
    network = PointingNetwork(PointingConfig((encoder.trunk.channels[-1], 8, 8, 8), (32, 8, 8), 1, (1, 1)))
    for module in (encoder, network):
        for weight in module.parameters():
            if weight.ndim == 4:
                torch.nn.init.normal_(weight, std=(2 / weight[0].numel()) ** 0.5)
    return PointingModel(network, encoder, ModelConfig("toy", "PointingNetwork"), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[PointingModel, Path]:
    model = pointing()
    return model, vos_zoo.export_pointer(tmp_path_factory.mktemp("graphs") / "pointer", model, int8=True)


@torch.no_grad()
def test_graphs_give_what_the_modules_give_at_any_size(exported):
    model, folder = exported
    facts = json.loads((folder / "pointing.json").read_text())

    def run(name: str, known: dict[str, Any], precision: str = "float32") -> dict[str, np.ndarray]:
        graph = facts["graphs"][name]
        session = onnxruntime.InferenceSession(str(folder / graph["files"][precision]["file"]))
        feeds = {each["name"]: np.asarray(known[each["name"]], np.float32) for each in graph["inputs"]}
        outputs = [each["name"] for each in graph["outputs"]]
        return dict(zip(outputs, session.run(outputs, feeds), strict=True))

    for size in ((64, 112), (96, 144), (32, 32)):
        torch.manual_seed(sum(size))
        frames, marks, masks = torch.rand(1, 3, *size), (torch.rand(1, 4, *size) > 0.99).float(), torch.rand(1, 1, *size)
        features = model.encoder.encode(frames)
        image = model.network.prepare(features)
        seen = run("look", {"frames": frames})
        for name, value in (*zip(("image_s16", "image_s8", "image_s4"), image, strict=True), ("seen_trunk", features.trunk)):
            np.testing.assert_allclose(seen[name], value, atol=1e-4, rtol=1e-3)
        for told in (marks, torch.zeros_like(marks)):
            expected = model.network(image, told)[0]
            np.testing.assert_allclose(run("point", {**seen, "marks": told})["logits"], expected, atol=1e-3, rtol=1e-3)
        likely = model.encoder.step(features, model.encoder.start(features, masks))[0][:, 1:2]
        np.testing.assert_allclose(run("fit", {**seen, "masks": masks})["likely"], likely, atol=1e-4, rtol=1e-3)
        rounded = run("look", {"frames": frames}, "int8")["seen_trunk"]
        assert 0 < np.square(rounded - features.trunk.numpy()).mean() < 0.2 * features.trunk.var()


def test_it_says_how_the_graphs_are_used(exported):
    _, folder = exported
    facts = parse((folder / "pointing.json").read_bytes())
    assert facts["numbers"]["first_look"] == pointer.FIRST_LOOK and facts["numbers"]["most_around"] == pointer.MOST_AROUND
    assert {name: sorted(graph["files"]) for name, graph in facts["graphs"].items()} == dict.fromkeys(
        ("look", "point", "fit"), ["float32", "int8"]
    )
    assert sorted(path.name for path in folder.iterdir()) == ["fit.onnx", "look.onnx", "look_qint8.onnx", "point.onnx", "pointing.json"]


def test_what_is_there_is_not_replaced_unasked(exported, tmp_path):
    model, folder = exported
    with pytest.raises(SaveError, match="the folder exists and is not empty. Choose another one, or pass overwrite=True"):
        vos_zoo.export_pointer(folder, model)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SaveError, match="besides graphs it holds notes.txt, which would be lost. Choose another folder"):
        vos_zoo.export_pointer(tmp_path, model, overwrite=True)
    with pytest.raises(SaveError, match="is a file, and a folder is needed"):
        vos_zoo.export_pointer(tmp_path / "notes.txt", model)
    rounded = PointingModel(pointing().network, pointing().encoder, model.config, device="cpu", dtype="bfloat16")
    with pytest.raises(VosZooError, match="graphs are written in float32: load it with dtype='float32'"):
        vos_zoo.export_pointer(tmp_path / "new", rounded)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_command_writes_it_too(monkeypatch, tmp_path, capsys):
    asked: list[tuple[Any, ...]] = []

    def export_pointer(folder: str, model: str, **options: Any) -> Path:
        asked.append((folder, model, options["overwrite"]))
        Path(folder).mkdir()
        (Path(folder) / "look.onnx").write_bytes(b"12345")
        return Path(folder)

    monkeypatch.setattr(vos_zoo, "export_pointer", export_pointer, raising=False)
    assert main(["export", "pointer", "--out", str(tmp_path / "out")]) == 0
    assert asked == [(str(tmp_path / "out"), "pointer", False)] and "5  look.onnx" in capsys.readouterr().out
    assert main(["export", "pointer", "--format", "pt2", "--out", str(tmp_path / "two")]) == 2
    assert "pointer is written as ONNX: leave --format out" in capsys.readouterr().err


def test_clicks_on_the_page_without_a_server_give_pythons_masks(tmp_path):
    """The shipped pointer in headless Chromium, in float32: a click, one more, one that takes away, a box, a ring, a correction."""
    packages, site = browser_page.packages(), tmp_path / "site"
    if not any(row.has_weights for row in vos_zoo.list_models("pointer")):
        pytest.skip("the pointer's weights are not in this copy")
    browser_page.builder().build(site, "crvos-resnet18", packages=packages, precisions=("float32",), report=lambda said: None)
    vos_zoo.export_pointer(site / "exact")
    facts = json.loads((site / "exact" / "pointing.json").read_text())
    picture = np.asarray(Image.open(browser_page.BROWSER.parent / "examples" / "koi.jpg").convert("RGB"))
    height, width = picture.shape[:2]
    ring = np.zeros((height, width), bool)
    ring[height // 4 : height // 2, width // 4 : width // 2] = True
    x, y = width * 0.4, height * 0.45
    asked: list[dict[str, Any]] = [
        {"points": [[x, y, 1]]},
        {"points": [[x, y, 1], [x + 60, y + 20, 1]]},
        {"points": [[x, y, 1], [x + 60, y + 20, 1], [x - 100, y, 0]]},
        {"box": [x - 80, y - 70, x + 120, y + 90]},
        {"points": [[x, y, 1]], "box": [x - 80, y - 70, x + 120, y + 90]},
        {"before": ring, "points": [[x, y, 1]]},
        {"before": ring, "snap": True},
    ]
    look = vos_zoo.load_pointer(device="cpu", dtype="float32").look(picture)
    script = """async ({ rgba, size, facts, asked }) => {
      const ort = await import("./vendor/ort.wasm.min.mjs");
      const { Pointer } = await import("./pointing.js");
      const { Model } = await import("./model.js");
      ort.env.wasm.wasmPaths = new URL("vendor/", document.baseURI).href;
      ort.env.wasm.numThreads = 1;
      const bytes = async (file) => new Uint8Array(await (await fetch(`exact/${file}`)).arrayBuffer());
      const model = await Model.open(ort, facts, bytes, "float32");
      const pointer = new Pointer(model, Uint8Array.from(rgba), size), found = [];
      for (const { points = [], box = null, before = null, snap = false } of asked) {
        const there = before && Uint8Array.from(before);
        found.push(Array.from(snap ? await pointer.snapped(there) : await pointer.mask({ points, box, before: there })));
      }
      return found;
    }"""
    rgba = np.concatenate([picture, np.full((height, width, 1), 255, np.uint8)], 2).ravel().tolist()
    plain = [{**each, **({"before": each["before"].ravel().tolist()} if "before" in each else {})} for each in asked]
    with browser_page.served(site) as (address, _), browser_page.opened(address) as page:
        found = page.evaluate(script, {"rgba": rgba, "size": [height, width], "facts": facts, "asked": plain})
    for each, mask in zip(asked, found, strict=True):
        if each.get("snap"):
            expected = look.snapped(each["before"]).labels > 0
        else:
            expected = look.mask(each.get("points"), each.get("box"), mask=each.get("before")) > 0
        seen = np.array(mask).reshape(height, width) > 0
        assert (seen & expected).sum() / max(1, (seen | expected).sum()) >= 0.99, each


def test_a_stranger_clicks_on_the_page_without_a_server(tmp_path):
    """An example, one click on the fish, follow: the fish is found, and followed."""
    packages, site = browser_page.packages(), tmp_path / "site"
    browser_page.builder().build(site, "crvos-resnet18", packages=packages, precisions=("int8",), report=lambda said: None)
    with browser_page.served(site) as (address, _), browser_page.opened(address) as page:
        page.set_input_files("#files", browser_page.BROWSER.parent / "examples" / "koi.jpg")
        page.wait_for_selector(".vp-paint", state="visible")
        assert page.is_visible(".vp-point") and page.get_attribute(".vp-point", "aria-pressed") == "true"
        area = page.locator(".vp-paint").bounding_box()
        page.mouse.click(area["x"] + 0.4 * area["width"], area["y"] + 0.45 * area["height"])
        page.wait_for_selector(".vp-go:enabled")
        assert page.inner_text(".vp-note") == ""
        page.click(".vp-go")
        page.wait_for_selector("#watch, #failed", state="visible")
        assert page.is_hidden("#failed"), page.inner_text("#why")
