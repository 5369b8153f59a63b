"""Models as graphs: the masks of a whole video are torch's, for every architecture, any size and any number of objects."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import browser_page
import numpy as np
import pytest
import torch
from PIL import Image
from programs import program
from torch import Tensor

import vos_zoo
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.sources import in_folder
from vos_zoo.cli import main
from vos_zoo.errors import CheckpointError, PublishError, SaveError, VosZooError
from vos_zoo.example.clip import render_example
from vos_zoo.models.base import VOSModel
from vos_zoo.models.discovery import architecture_class, architectures
from vos_zoo.publish.checkpoint import checkpoint_parcel
from vos_zoo.publish.space import space_parcel
from vos_zoo.runtimes import find
from vos_zoo.runtimes.graph_model import GraphModel
from vos_zoo.runtimes.int8 import Clip, quantize
from vos_zoo.runtimes.layout import layout_of
from vos_zoo.runtimes.manifest import Graph, Manifest, size_of, words_for
from vos_zoo.segmenter import Segmenter
from vos_zoo.videos.writer import VideoWriter

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

EVERY: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, dict(architecture_class(name).debug)) for name in sorted(architectures())},
    **{f"{n} matched": (n, {**architecture_class(n).debug, "matched": 8, "lasting": 2}) for n in ("ACCLVOS", "CRVOS", "RVOS")},
    "SCM matched": ("SCM", {**architecture_class("SCM").debug, "matched": 8, "shared_keys": True, "similarity": "cosine"}),
    "RVOS zero-shot": ("RVOS", {**architecture_class("RVOS").debug, "zero_shot": True, "slots": 3, "overlap": "object"}),
}
# Writing the graphs of one architecture takes half a minute to two minutes of a CPU: all of them on request.
ALL = bool(os.environ.get("VOS_ZOO_EVERY_GRAPH"))
CASES = {case: entry for case, entry in EVERY.items() if case == "CRVOS" or ALL}
SHIPPED = [row.name for row in vos_zoo.list_models() if row.has_weights and row.architecture in architectures() and ALL]
ONNX: dict[str, Any] = {"runtime": "onnxruntime", "device": "cpu"}
TORCH: dict[str, Any] = {"device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """A checkpoint of a case with random weights and its graphs, made once."""
    made: dict[str, Path] = {}

    def folder(case: str) -> Path:
        if case not in made:
            made[case] = tmp_path_factory.mktemp("checkpoint") / case.replace(" ", "-")
            name, args = EVERY[case]
            torch.manual_seed(0)
            model = architecture_class(name)(architecture_class(name).Config(**args))
            for weight in model.parameters():
                if weight.ndim == 4:
                    torch.nn.init.normal_(weight, std=(2 / weight[0].numel()) ** 0.5)
            finder = model.describes  # looks for lost objects by its own features
            config = ModelConfig("debug", name, dict(args), redetection="debug" if finder else None)
            Segmenter(model, config, **TORCH).save_pretrained(made[case], dtype=None)
            vos_zoo.load(made[case], **TORCH).export(made[case])
        return made[case]

    return folder


def clip(frames: int, objects: int = 3, size: tuple[int, int] = (41, 67)) -> tuple[np.ndarray, np.ndarray]:
    """Noise over which blobs drift: (T, H, W, 3) frames, (T, H, W) ids."""
    generator = np.random.default_rng(3)
    video = generator.integers(0, 60, (frames, *size, 3), dtype=np.uint8)
    ids = np.zeros((frames, *size), np.uint8)
    for t in range(frames):
        for k in range(objects):
            y, x = (7 * k) % (size[0] - 12), (11 * k + 2 * t) % (size[1] - 14)
            ids[t, y : y + 12, x : x + 14] = 1 + k
            video[t, y : y + 12, x : x + 14] += np.uint8((40 * k + 90) % 180)
    return video, ids


def rollout(model: VOSModel, frames: int = 12) -> list[Tensor]:
    """Probabilities of a video in which one object is there, two come, one is corrected, one goes; a zero-shot model finds its own."""
    video, ids = clip(frames, size=(48, 80) if model.stride == 16 else (45, 77))
    pixels = torch.from_numpy(video).permute(0, 3, 1, 2).float() / 255
    masks = torch.stack([torch.from_numpy(ids == k).float() for k in (1, 2, 3)], 1)[:, None]
    found = []
    with torch.inference_mode():
        state = model.start(model.encode(pixels[:1]), None if model.finds_objects else masks[0, :, :1])
        for t in range(1, frames):
            features = model.encode(pixels[t : t + 1])
            probs, state = model.step(features, state)
            found.append(probs)
            if model.finds_objects:
                continue
            if t == 3:
                state = model.annotate(features, masks[t], torch.tensor([[False, True, True]]), state)
            if t == 5:
                state = model.annotate(features, masks[t], torch.tensor([[False, True, False]]), state)
            if t == 8:
                state = model.keep(state, torch.tensor([1, 2]))
    return found


def compare(expected: list[Tensor], found: list[Tensor]) -> None:
    """Probabilities differ by rounding, and masks only where two layers are as likely as each other."""
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, atol=2e-3, rtol=0)
        first, second = a.topk(2, 1).values.unbind(1)
        assert torch.equal(a.argmax(1)[first - second > 5e-3], b.argmax(1)[first - second > 5e-3])


@pytest.mark.parametrize("case", CASES)
def test_a_rollout_gives_torchs_masks(case, folder_of):
    torchs, graphs = (vos_zoo.load(folder_of(case), redetection=False, **how).inference_model for how in (TORCH, ONNX))
    expected = rollout(torchs)
    assert max(probs.std() for probs in expected) > 0.01  # what is compared says something
    compare(expected, rollout(graphs))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_models_rollout_gives_torchs_masks(name, tmp_path):
    """60 frames that the library draws, small, as that is fast: masks differ at ties, and hardly anywhere."""
    example = render_example(size=(120, 214), frames=60)
    torchs = vos_zoo.load(name, redetection=False, **TORCH)
    torchs.export(tmp_path / "graphs")
    graphs = vos_zoo.load(tmp_path / "graphs", redetection=False, **ONNX)
    first = None if torchs.finds_objects else example.masks[0]
    expected, found = (np.asarray(each.propagate(example.frames, first, size=120, progress=False)) for each in (torchs, graphs))
    assert (expected > 0).any((1, 2)).mean() > 0.5
    assert (expected == found).mean((1, 2)).min() > 0.999


class Programs(GraphModel):
    """The model of an export.json whose files are programs of torch.export."""

    def _opened(self, graph: Graph) -> Any:
        program = torch.export.load(self.folder / graph.files["float32"].file).module()
        return SimpleNamespace(run=lambda _, feeds: [each.numpy() for each in program(*map(torch.from_numpy, feeds.values()))])


def test_programs_of_torch_give_the_same_rollout(folder_of, tmp_path):
    segmenter = vos_zoo.load(folder_of("CRVOS"), redetection=False, **TORCH)
    folder = segmenter.export(tmp_path / "programs", format="pt2")
    assert folder.name == "pt2" and {path.suffix for path in folder.iterdir()} == {".pt2", ".json"}
    compare(rollout(segmenter.inference_model), rollout(Programs(Manifest.read(folder), folder, None, providers=[])))


@pytest.mark.parametrize("case", [case for case in ("CRVOS", "RVOS", "SCM") if case in CASES])
@pytest.mark.parametrize(("objects", "size"), [(1, (41, 67)), (17, (57, 90))])
def test_any_number_of_objects_and_any_size(case, objects, size, folder_of):
    torchs, graphs = (vos_zoo.load(folder_of(case), redetection=False, **how).inference_model for how in (TORCH, ONNX))
    sides = [side + -side % torchs.stride for side in size]
    pixels, masks = torch.rand(3, 3, *sides), (torch.rand(1, objects, *sides) > 0.5).float()
    both = []
    for model in (torchs, graphs):
        with torch.inference_mode():
            state = model.start(model.encode(pixels[:1]), masks)
            one, state = model.step(model.encode(pixels[1:2]), state)
            both.append([one, model.step(model.encode(pixels[2:]), state)[0]])
    compare(*both)


def test_a_session_with_graphs_is_the_same_session(folder_of):
    """Steps, a correction, lost objects looked for by the model's own features; frames of an odd size."""
    video, ids = clip(9, 1)
    masks = []
    for how in (TORCH, ONNX):
        segmenter = vos_zoo.load(folder_of("CRVOS"), **how)
        assert segmenter.describer is not None
        session = segmenter.start(video[0], ids[0])
        masks.append([session.step(frame) for frame in video[1:5]])
        session.annotate(video[4], ids[4], advance=False)
        masks[-1] += [session.step(frame) for frame in video[5:]]
    assert np.mean(np.stack(masks[0]) != np.stack(masks[1])) < 0.002


def test_an_ensemble_and_mirrored_views_take_graphs(folder_of):
    video, ids = clip(3, 1)
    masks = []
    for how in (TORCH, ONNX):
        both = vos_zoo.ensemble([vos_zoo.load(folder_of(case), **how) for case in ("CRVOS", "CRVOS")])
        masks.append(np.asarray(both.propagate(video, ids[0], tta="flip", progress=False)))
    assert np.mean(masks[0] != masks[1]) < 0.002


def test_the_command_line_gives_the_same_pictures(folder_of, tmp_path, capsys):
    video, ids = clip(4, 1)
    (tmp_path / "video").mkdir()
    for n, frame in enumerate(video):
        Image.fromarray(frame).save(tmp_path / "video" / f"{n:05d}.png")
    Image.fromarray(ids[0]).save(tmp_path / "first.png")
    common = [str(tmp_path / "video"), "--mask", str(tmp_path / "first.png"), "--model", str(folder_of("CRVOS")), "--no-progress"]
    for runtime in ("torch", "onnxruntime"):
        options = ["--runtime", runtime, "--device", "cpu", "--dtype", "float32", "--save", "masks", "--out", str(tmp_path / runtime)]
        assert main(["propagate", *common, *options]) == 0
    pictures = sorted(path.name for path in (tmp_path / "torch" / "masks").glob("*.png"))
    folders = [tmp_path / runtime / "masks" for runtime in ("torch", "onnxruntime")]
    assert len(pictures) == 4
    assert all(np.array_equal(*(np.asarray(Image.open(folder / name)) for folder in folders)) for name in pictures)


def test_the_page_without_a_server(folder_of, tmp_path):
    """Pictures, or a video with the server gone: masks are Python's, and masks and overlay are downloaded and played. It can be a Space."""
    packages, site, video, mask = browser_page.packages(), tmp_path / "site", tmp_path / "clip.mp4", tmp_path / "first.png"
    browser_page.builder().build(
        site, str(folder_of("CRVOS")), packages=packages, precisions=("float32",), points=False, report=lambda said: None
    )
    parcel = space_parcel(site, "me/page")
    assert parcel.sdk == "static" and {"README.md", "index.html", "model/encode.onnx"} <= {item.path for item in parcel.items}
    assert "README.md" not in json.loads((site / "site.json").read_text())["files"]
    frames, ids = clip(6, 1, size=(48, 64))
    pictures = [tmp_path / f"{n}.png" for n in range(6)]
    with VideoWriter(video, fps=10, size=(48, 64)) as writer:
        for picture, frame in zip(pictures, frames, strict=True):
            Image.fromarray(frame).save(picture)
            writer.write(frame)
    Image.fromarray(ids[0] * 100).save(mask)
    segmenter = vos_zoo.load(folder_of("CRVOS"), redetection=False, **ONNX)

    def agreement(source: Any, found: np.ndarray) -> float:
        expected = np.asarray(segmenter.propagate(source, ids[0], progress=False))
        return min(((a == b) & (a > 0)).sum() / ((a > 0) | (b > 0)).sum() for a, b in zip(expected, found, strict=True))

    with browser_page.served(site) as (address, end), browser_page.opened(address) as page:
        page.wait_for_selector("#offline:not(:empty)")
        found = browser_page.follow(page, pictures, mask)
        assert agreement(frames, found) > 0.99
        assert page.inner_text("#told").startswith("6 frames, ") and " a second" in page.inner_text("#told")
        assert np.array_equal(browser_page.masks_in(browser_page.saved(page, "_masks.zip")), found)
        overlay = browser_page.frames_in(browser_page.saved(page, "_overlay.mp4"))
        changed = np.abs(overlay.astype(int) - frames)
        assert overlay.shape == frames.shape and changed[found > 0].mean() > 2 * changed[found == 0].mean()
        page.wait_for_function("document.querySelector('.vl-video').readyState > 1")
        end()
        page.reload()
        assert agreement(video, browser_page.follow(page, video, mask)) > 0.9  # colours of a decoder differ by rounding


def test_the_page_on_a_graphics_card(folder_of, tmp_path):
    """WebGPU as a program computes it: the card's masks are Python's; it is offered, not chosen, where it is no real card."""
    packages, site, mask = browser_page.packages(), tmp_path / "site", tmp_path / "first.png"
    how: dict[str, Any] = {"packages": packages, "precisions": ("float32",), "points": False, "report": lambda said: None}
    browser_page.builder().build(site, str(folder_of("CRVOS")), **how)
    frames, ids = clip(4, 1, size=(48, 64))
    pictures = [tmp_path / f"{n}.png" for n in range(4)]
    for picture, frame in zip(pictures, frames, strict=True):
        Image.fromarray(frame).save(picture)
    Image.fromarray(ids[0] * 100).save(mask)
    expected = np.asarray(vos_zoo.load(folder_of("CRVOS"), redetection=False, **ONNX).propagate(frames, ids[0], progress=False))
    webgpu = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
    with browser_page.served(site) as (address, _), browser_page.opened(address, *webgpu) as page:
        page.wait_for_selector("#shelf button")
        if not page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
            pytest.skip("this Chromium has no WebGPU")
        page.set_input_files("#files", pictures)
        page.click("summary")
        page.wait_for_selector("#graphics", state="visible")
        assert not page.is_checked("#card")
        page.check("#card")
        found = browser_page.follow(page, pictures, mask)
        assert "on its graphics card" in page.inner_text("#told")
        assert min(((a == b) & (a > 0)).sum() / ((a > 0) | (b > 0)).sum() for a, b in zip(expected, found, strict=True)) > 0.99


def test_the_table_of_runtimes(folder_of, tmp_path, capsys):
    """tools/compare_runtimes.py scores, times and weighs each runtime, in one run."""
    for name in ("frames", "masks"):
        (tmp_path / "clips" / "noise" / name).mkdir(parents=True)
    for n, (frame, ids) in enumerate(zip(*clip(3, 1, size=(48, 64)), strict=True)):
        Image.fromarray(frame).save(tmp_path / "clips" / "noise" / "frames" / f"{n:05d}.png")
        Image.fromarray(ids).save(tmp_path / "clips" / "noise" / "masks" / f"{n:05d}.png")
    options = ["--models", str(folder_of("CRVOS")), "--dataset", f"folder:{tmp_path / 'clips'}", "--runs", "torch:float32",
               "onnxruntime:float32", "--size", "48x64", "--frames", "2", "--repeats", "1", "--baseline", "none"]  # fmt: skip
    assert program("compare_runtimes").main([*options, "--out", str(tmp_path / "out")]) == 0
    record = json.loads((tmp_path / "out" / "runtimes.json").read_text())
    torchs, graphs = record["results"]
    assert (torchs["runtime"], torchs["times"], graphs["runtime"], graphs["precision"]) == ("torch", 1, "onnxruntime", "float32")
    assert graphs["mean_jf"] == pytest.approx(torchs["mean_jf"], abs=0.02) and min(graphs["times"], graphs["seconds"]) > 0
    assert torchs["bytes"] == (folder_of("CRVOS") / "model.safetensors").stat().st_size
    assert graphs["bytes"] == sum(path.stat().st_size for path in (folder_of("CRVOS") / "onnx").glob("*.onnx"))
    assert "| model | runtime | precision | J&F |" in capsys.readouterr().out and str(tmp_path) not in record["command"]


def test_what_export_json_says(folder_of):
    manifest = Manifest.read(folder_of("CRVOS") / "onnx")
    assert set(manifest.graphs) == {"encode", "predict", "advance", "annotate"} and manifest.opset == 18
    assert [(spec.name, spec.shape) for spec in manifest.state] == [
        ("state_masks", ("B", "K", "H/16", "W/16")),
        ("state_active", ("B", "K")),
    ]
    assert manifest.describe == "features_trunk" and manifest.preprocess["stride"] == 16
    assert [spec.name for spec in manifest.graphs["annotate"].inputs] == ["masks", "given", "state_masks", "state_active"]
    text = (folder_of("CRVOS") / "onnx" / "encode.onnx").read_bytes()
    assert str(Path.home()).encode() not in text and b"test_graphs" not in text, "a graph tells where it was made"


@pytest.mark.parametrize("name", sorted(architectures()))
def test_no_two_inputs_of_a_graph_are_one_tensor(name):
    """torch would take them for one input, and the graph would hand on the wrong one."""
    kind = architecture_class(name)
    for method in layout_of(kind(kind.Config(**kind.debug)).eval()).methods.values():
        places = [each.untyped_storage().data_ptr() for each in method.example]
        assert len(set(places)) == len(places)


def test_sizes_in_words():
    assert size_of("H/16*W/16", {"B": 1, "K": 2, "H": 33, "W": 64}) == 12
    assert words_for([3, 5], [{"B": 2, "K": 3, "H": 96, "W": 144}, {"B": 3, "K": 5, "H": 128, "W": 80}]) == "K"
    with pytest.raises(ValueError, match="follows from no number of clips"):
        words_for([7, 11], [{"B": 2, "K": 3, "H": 96, "W": 144}, {"B": 3, "K": 5, "H": 128, "W": 80}])


# ---- what a user can do wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "onxruntime"}, r"runtime is one of 'torch', 'onnxruntime', not 'onxruntime'. Did you mean 'onnxruntime'\?"),
        ({"dtype": "bfloat16"}, r"dtype is 'auto', 'float32' or 'int8', not 'bfloat16'"),
        ({"device": "tensorrt"}, r"has no TensorrtExecutionProvider .* pip install onnxruntime-gpu"),
        ({"device": "gpu"}, r"device 'gpu' is none of onnxruntime's. .*Here it has: cpu"),
    ],
)
def test_wrong_options_are_named(options, message, folder_of):
    with pytest.raises(VosZooError, match=message):
        vos_zoo.load(folder_of("CRVOS"), **{**ONNX, **options})


def test_a_missing_package_is_named(folder_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(VosZooError, match="needs the package onnxruntime .* pip install onnxruntime onnxscript"):
        vos_zoo.load(folder_of("CRVOS"), **ONNX)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(VosZooError, match="needs the packages onnx and onnxscript .* pip install"):
        vos_zoo.load(folder_of("CRVOS"), **TORCH).export(folder_of("CRVOS"), overwrite=True)


def test_a_file_that_is_missing_or_another_is_named(folder_of, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(folder_of("CRVOS"), folder)
    (folder / "onnx" / "predict.onnx").write_bytes(b"another")
    (folder / "onnx" / "encode.onnx").unlink()
    video, ids = clip(2)
    segmenter = vos_zoo.load(folder, **ONNX)
    with pytest.raises(CheckpointError, match=r"encode.onnx is missing: export the model again"):
        segmenter.propagate(video, ids[0], progress=False)
    with pytest.raises(CheckpointError, match=r"predict.onnx is another file than export.json says"):
        segmenter.model.predict(None, ())
    (folder / "onnx" / "export.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"export.json can't be used: it is of another library. Export the model again"):
        vos_zoo.load(folder, **ONNX)


def test_graphs_do_not_learn_and_are_not_saved(folder_of, tmp_path):
    segmenter = vos_zoo.load(folder_of("CRVOS"), **ONNX)
    video, ids = clip(1)
    assert repr(segmenter) == "<Segmenter debug (CRVOS) on cpu, float32, onnxruntime>" and segmenter.info()["parameters"] > 0
    for use in (
        lambda: segmenter.finetune(video[0], ids[0]),
        lambda: segmenter.save_pretrained(tmp_path),
        lambda: segmenter.export(tmp_path),
    ):
        with pytest.raises(VosZooError, match="debug runs in onnxruntime, where it can't be"):
            use()


def test_where_graphs_go(folder_of, tmp_path):
    folder = folder_of("CRVOS")
    segmenter = vos_zoo.load(folder, **TORCH)
    with pytest.raises(SaveError, match="holds advance.onnx already: choose another folder, or pass overwrite=True"):
        segmenter.export(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(segmenter.config.replace(weights=None).to_json())
    with pytest.raises(SaveError, match="holds the config.json of another checkpoint"):
        segmenter.export(other)
    with pytest.raises(VosZooError, match="format is one of 'onnx', 'pt2', not 'pte'"):
        segmenter.export(tmp_path / "new", format="pte")
    with pytest.raises(VosZooError, match="weights of debug are in bfloat16; graphs are written in float32"):
        vos_zoo.load(folder, device="cpu", dtype="bfloat16").export(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_without_graphs_gets_them_once(folder_of, tmp_path, monkeypatch):
    plain = tmp_path / "plain"
    shutil.copytree(folder_of("CRVOS"), plain, ignore=shutil.ignore_patterns("onnx"))
    monkeypatch.setenv("VOS_ZOO_CACHE", str(tmp_path / "cache"))
    made: list[str] = []

    def instead(model: Any, config: ModelConfig, folder: Path) -> None:
        made.append(config.name)
        shutil.copytree(folder_of("CRVOS") / "onnx", folder / "onnx")

    monkeypatch.setattr(find, "export", instead)
    video, ids = clip(2)
    masks = [np.asarray(vos_zoo.load(plain, **ONNX).propagate(video, ids[0], progress=False)) for _ in range(2)]
    assert made == ["debug"] and np.array_equal(*masks)
    assert [path.name for path in (tmp_path / "cache" / "graphs").iterdir()][0].startswith("debug-")


def test_graphs_of_a_repository_are_fetched_with_their_sizes(folder_of, tmp_path):
    there, asked = folder_of("CRVOS"), {}

    def fetch(file: str, size: int | None) -> Path:
        asked[file] = size
        (tmp_path / file).parent.mkdir(exist_ok=True)
        return Path(shutil.copy(there / file, tmp_path / file))

    model, _ = find.graph_model(dataclasses.replace(in_folder(there), folder=tmp_path, fetch=fetch), {}, device="cpu", dtype="auto")
    assert model.folder == tmp_path / "onnx"
    sizes = {f"onnx/{name}.onnx": (there / "onnx" / f"{name}.onnx").stat().st_size for name in ("encode", "predict", "advance", "annotate")}
    assert asked == {"onnx/export.json": None, **sizes}


def test_a_checkpoint_is_sent_with_its_graphs(folder_of, tmp_path):
    folder = tmp_path / "sent"
    shutil.copytree(folder_of("CRVOS"), folder)
    config = ModelConfig.read(folder / "config.json").replace(licence="MIT", description="a toy", training={"data": "noise"})
    (folder / "config.json").write_text(config.to_json())
    parcel = checkpoint_parcel(folder, "me/toy", load=Segmenter.from_source)
    assert {"onnx/export.json", "onnx/encode.onnx"} <= {item.path for item in parcel.items}
    assert 'runtime="onnxruntime"' in parcel.text("README.md") and '- "onnx"' in parcel.text("README.md")
    (folder / "onnx" / "encode.onnx").write_bytes(b"another")
    with pytest.raises(PublishError, match="onnx/encode.onnx is missing or another than export.json says"):
        checkpoint_parcel(folder, "me/toy", load=Segmenter.from_source)


def test_int8_is_made_once_and_stays_near(folder_of, tmp_path):
    folder = tmp_path / "int8"
    shutil.copytree(folder_of("CRVOS"), folder)
    video, ids = clip(6, 1)
    quantize(folder / "onnx", [Clip(video, ids[:1] == 1)], said="noise", keep=["predictor"])
    manifest = Manifest.read(folder / "onnx")
    assert manifest.precisions == {"float32", "int8"} and manifest.calibration == {"clips": "noise", "frames": 6, "kept": ["predictor"]}
    files = {name: graph.files["int8"].file for name, graph in manifest.graphs.items()}
    assert files["encode"] == "encode_qint8.onnx" and files["advance"] == "advance.onnx"
    assert (folder / "onnx" / "encode_qint8.onnx").stat().st_size < 0.5 * (folder / "onnx" / "encode.onnx").stat().st_size
    weights = onnx.load(folder / "onnx" / "encode_qint8.onnx").graph.initializer
    whole_numbers = [onnx.numpy_helper.to_array(each) for each in weights if each.data_type == onnx.TensorProto.INT8]
    assert max(np.abs(each.astype(int)).max() for each in whole_numbers) == 64, "pairs of products must fit into 16 bits"
    exact, whole = (vos_zoo.load(folder, redetection=False, **ONNX, dtype=dtype) for dtype in ("float32", "int8"))
    assert repr(whole) == "<Segmenter debug (CRVOS) on cpu, int8, onnxruntime>"
    masks = [np.asarray(each.propagate(video, ids[0], progress=False)) for each in (exact, whole)]
    assert 0 < np.mean(masks[0] != masks[1]) < 0.2  # it is another computation, and random weights forgive little
    with pytest.raises(VosZooError, match="int8 is computed by onnxruntime: pass runtime='onnxruntime' too"):
        vos_zoo.load(folder, device="cpu", dtype="int8")
