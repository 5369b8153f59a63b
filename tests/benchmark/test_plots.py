"""The benchmark's roofline and its plots."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
import torch
from programs import program
from toy import toy_segmenter

from vos_zoo.benchmark import roofline
from vos_zoo.benchmark.measure import Case, Memory, Timing, as_record
from vos_zoo.benchmark.plots import plots
from vos_zoo.benchmark.synthetic import SyntheticClip
from vos_zoo.checkpoints.catalogue import read
from vos_zoo.segmenter import Segmenter

CASE = Case("toy", "Toy", 1_500_000, "cpu", "float32", (48, 64), (48, 64), 2)


def memory_of(frames: int, peak: int, through: str = "stream", device_peak: int | None = None, masks: int | None = None) -> Memory:
    return Memory(CASE, through, frames, 100, peak, device_peak, masks, ((frames, peak),))


@pytest.fixture(scope="module")
def tool():
    return program("benchmark")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with the config of a very small model."""
    folder = tmp_path_factory.mktemp("tiny")
    config = read("crvos").replace(name="tiny", weights=None, parameters=None)
    config = config.replace(model_args={**config.model_args, "reduced": [4, 4, 4], "blended": [4, 4, 4]})
    (folder / "config.json").write_text(config.to_json())
    return folder


# ---- roofline


def test_the_work_of_one_convolution_is_counted_by_hand():
    class OneConvolution(torch.nn.Module):
        stride, padding = 8, "zeros"

        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 1, bias=False)

        def start(self, features, masks, active=None):
            return masks

        def encode(self, frames):
            return self.conv(frames)

        def step(self, features, state):
            return features.view(1, 8, -1), state

    segmenter = toy_segmenter()
    segmenter = Segmenter(OneConvolution(), segmenter.config, device="cpu", dtype="float32")  # type: ignore[arg-type]
    work = roofline.work_of(segmenter, SyntheticClip(2, (48, 64)))
    pixels = 48 * 64
    assert work.flops == 2 * 3 * 8 * pixels
    assert work.traffic == 4 * (3 * pixels + 3 * 8 + 8 * pixels), "frame and weights read, features written; a view moves nothing"


def test_the_bound_is_the_larger_of_both():
    ceilings = roofline.Ceilings("float32", 100.0, 10.0)
    assert roofline.Work(500, 20).bound(ceilings) == 5 and roofline.Work(500, 20).limit(ceilings) == "arithmetic"
    assert roofline.Work(500, 80).bound(ceilings) == 8 and roofline.Work(500, 80).limit(ceilings) == "memory"


def test_ceilings_are_counted_right(monkeypatch):
    """A matrix product of side n takes 2 n^3 operations, a copy reads and writes every byte."""
    seconds = iter([0.5, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.125, 0.5])
    monkeypatch.setattr(roofline, "timed", lambda run, wait: next(seconds))
    found = roofline.ceilings_of(torch.device("cpu"), torch.float32, side=10, megabytes=1)  # the best of five each
    assert found == roofline.Ceilings("float32", 2 * 1000 / 0.25, 2 * 2**20 / 0.125)


def test_roofline_by_command(tool, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "ceilings_of", lambda device, dtype: roofline.ceilings_of(device, dtype, side=64, megabytes=1))
    path = tmp_path / "roofline.json"
    arguments = [
        "roofline",
        "--models",
        str(tiny),
        "--size",
        "48x64",
        "--inside",
        "native",
        "--frames",
        "2",
        "--repeats",
        "1",
        "--untrained",
    ]
    assert tool.main([*arguments, "--objects", "1", "2", "--device", "cpu", "--dtype", "float32", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "this device in float32: " in out and "GFLOP/s in a large matrix product" in out and out.count("tiny (untrained)") == 2
    one, two = json.loads(path.read_text())["results"]
    assert two["flops"] > one["flops"] > 0 and two["traffic"] > one["traffic"] > 0 and one["bound"] > 0


# ---- plots


def record(model="toy", **more):
    return {
        **as_record(Timing(dataclasses.replace(CASE, model=model), "model only", 10, (0.1,))),
        "objects": 1,
        "trained": True,
        **more,
    }


def test_plots_are_drawn_of_what_there_is():
    speed = {"benchmark": "speed", "results": [record(fps=10.0), record(objects=3, fps=7.0), record(what="end to end", fps=8.0)]}
    memory = {"benchmark": "memory", "results": [as_record(memory_of(300, 900_000_000)), as_record(memory_of(3000, 910_000_000))]}
    scores = [{"label": "toy", "mean_jf": 0.652}, {"label": "other", "mean_jf": 0.9}]
    drawn = plots(scores, [speed], [memory])
    assert list(drawn) == ["accuracy-speed.svg", "speed-objects.svg", "memory-length.svg"]
    assert "toy: 8, 65.2" in drawn["accuracy-speed.svg"] and "other" not in drawn["accuracy-speed.svg"]
    assert "toy: 1, 10" in drawn["speed-objects.svg"] and "toy: 3, 7" in drawn["speed-objects.svg"]
    assert "toy: 300, 900" in drawn["memory-length.svg"] and "toy: 3,000, 910" in drawn["memory-length.svg"]
    small = [{**each, "size": [12, 16], "frames": 10 * each["frames"]} for each in memory["results"][:1]]
    assert plots([], [], [{**memory, "results": [*memory["results"], *small]}])["memory-length.svg"] == drawn["memory-length.svg"]
    untrained = {"results": [{**each, "trained": False} for each in speed["results"]]}
    assert "accuracy-speed.svg" not in plots(scores, [untrained], []), "random weights have no accuracy"


def test_plots_by_command(tool, tmp_path, capsys):
    (tmp_path / "speed.json").write_text(json.dumps({"benchmark": "speed", "results": [record(fps=10.0), record(objects=3, fps=7.0)]}))
    assert tool.main(["plot", str(tmp_path / "speed.json"), "--out", str(tmp_path / "plots")]) == 0
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["speed-objects.svg"]
    (tmp_path / "one.json").write_text(json.dumps({"benchmark": "speed", "results": [record()]}))
    (tmp_path / "other.json").write_text("{}")
    for name, message in (("one", "these files give no plot: speed needs several"), ("other", "was written neither by this tool"),
                          ("none", "none.json can't be read as JSON")):  # fmt: skip
        assert tool.main(["plot", str(tmp_path / f"{name}.json"), "--out", str(tmp_path / "plots")]) == 2
        assert message in capsys.readouterr().err


def test_what_is_not_drawn_takes_no_colour():
    """Seven were scored and two timed: with six colours the first and the last would look the same."""
    scores = [{"label": name, "mean_jf": 0.5} for name in ("toy", "a", "b", "c", "d", "e", "last")]
    speed = {"results": [record(what="end to end", fps=8.0), record("last", what="end to end", fps=9.0)]}
    drawn = plots(scores, [speed], [])["accuracy-speed.svg"]
    assert re.findall(r'circle class="(s\d)', drawn) == ["s0", "s1"]
