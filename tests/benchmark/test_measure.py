"""The benchmark: its frames, fresh processes, growth and exit status, the yardstick, tables and JSON. No duration is judged."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from programs import program
from toy import toy_segmenter

import vos_zoo
from vos_zoo.benchmark import measure
from vos_zoo.benchmark.baseline import YARDSTICK_SIZE, OtherModel, Yardstick, timed
from vos_zoo.benchmark.measure import Case, Memory, Timing, as_record, growth
from vos_zoo.benchmark.stages import STAGES
from vos_zoo.benchmark.synthetic import SyntheticClip
from vos_zoo.checkpoints.catalogue import read
from vos_zoo.errors import EvaluationError
from vos_zoo.system.machine import peak_memory
from vos_zoo.videos.writer import VideoWriter

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


def test_the_clip_moves_repeats_itself_and_shows_its_objects():
    clip = SyntheticClip(5, (50, 70), objects=3)
    frames = list(clip)
    assert len(clip) == len(frames) == 5
    assert all(frame.shape == (50, 70, 3) and frame.dtype == np.uint8 for frame in frames)
    assert (frames[0] != frames[1]).mean() > 0.1
    assert all((one == other).all() for one, other in zip(frames, clip, strict=True))
    mask = clip.first_mask
    assert mask.shape == (50, 70) and set(np.unique(mask)) == {0, 1, 2, 3}
    for k in (1, 2, 3):
        assert len(np.unique(frames[0][mask == k], axis=0)) == 1, "an object has one colour"


def test_frames_do_not_share_memory():
    frames = iter(SyntheticClip(2, (48, 64)))
    assert not np.shares_memory(next(frames), next(frames))


def test_clips_that_can_not_be():
    with pytest.raises(EvaluationError, match="0 frames with 1 objects: give at least one of each"):
        SyntheticClip(0, (48, 64))
    with pytest.raises(EvaluationError, match="100 objects do not fit on 48x64 pixels: take fewer"):
        SyntheticClip(1, (48, 64), 100)


def test_the_peak_holds_what_was_allocated_and_nothing_of_the_parent():
    large = np.ones(30_000_000)  # 240 MB
    own = peak_memory()
    assert own > large.nbytes
    code = "from vos_zoo.system.machine import peak_memory; print(peak_memory())"
    root = str(Path(vos_zoo.__file__).parents[1])
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert int(child.stdout) > 5e6
    if sys.platform == "linux":
        assert int(child.stdout) < 200e6 < own


@pytest.mark.parametrize("through", ["stream", "propagate"])
def test_memory_of_this_process(through):
    done: list[int] = []
    clip = SyntheticClip(7, (48, 64), 2)
    one = measure.measure_memory(toy_segmenter(), clip, through=through, report=done.append)
    assert done == [1, 2, 3, 4, 5, 6, 7]
    assert one.frames == 7 and one.through == through
    assert one.peak >= one.before > 1e7
    assert [frames for frames, _ in one.trace] == done
    assert one.case.objects == 2 and one.case.size == (48, 64) and one.case.model == "toy"
    assert one.device_peak is None and one.pace is None
    assert (one.masks is None) == (through == "stream")
    assert Memory.from_dict(json.loads(json.dumps(as_record(one)))) == one


def test_the_pace_is_that_of_the_end_over_that_of_the_beginning(monkeypatch):
    times = iter([0.0, *np.cumsum([9.0] * 25 + [1.0] * 25 + [9.0] * 10 + [2.0] * 25)])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(times)))
    one = measure.measure_memory(toy_segmenter(), SyntheticClip(85, (48, 64)))
    assert one.pace == 2
    record = as_record(one)
    assert Memory.from_dict(record).pace == 2
    del record["pace"]
    assert Memory.from_dict(record).pace is None, "records made before it was measured"


def test_frames_that_get_lost_are_told(monkeypatch):
    segmenter = toy_segmenter()
    whole = segmenter.stream
    monkeypatch.setattr(segmenter, "stream", lambda *a, **k: list(whole(*a, **k))[:3], raising=False)
    with pytest.raises(EvaluationError, match="3 of 5 frames came back"):
        measure.measure_memory(segmenter, SyntheticClip(5, (48, 64)))
    with pytest.raises(EvaluationError, match="'stream' or 'propagate', not 'batch'"):
        measure.measure_memory(segmenter, SyntheticClip(5, (48, 64)), through="batch")


def test_growth_is_of_the_longest_over_the_shortest():
    assert growth([memory_of(300, 1000), memory_of(3000, 1030), memory_of(30, 500)]) == pytest.approx(2.06)
    assert growth([memory_of(3000, 900), memory_of(300, 1000)]) == pytest.approx(0.9)
    on_gpu = [memory_of(300, 1000, device_peak=100), memory_of(3000, 1000, device_peak=120)]
    assert growth(on_gpu) == pytest.approx(1.2)
    assert measure.bytes_a_frame([memory_of(300, 1000), memory_of(3000, 1000 + 5400)]) == 2
    with pytest.raises(EvaluationError, match="two lengths of video, as in --frames 300 3000"):
        growth([memory_of(300, 1000), memory_of(300, 1001)])


def test_memory_table(tool):
    measured = [memory_of(300, 100_000_000), memory_of(3000, 104_000_000)]
    table = tool.memory_table(measured, 5)
    assert "toy (Toy, 1.5 M parameters), cpu, float32, 48x64 on a 48x64 grid, 2 object(s)" in table
    assert "3000     104.0         -" in table
    assert "3000 frames need 1.040 times the memory of 300, 1481 bytes for every further frame: within 5 %" in table
    assert "MORE than 3 % above" in tool.memory_table(measured, 3)
    kept = [memory_of(10, 100_000_000, "propagate", 5_000_000, 200), memory_of(20, 200_000_000, "propagate", 5_000_000, 600)]
    table = tool.memory_table(kept, 5)
    assert "it keeps its masks" in table and "MORE" not in table
    assert "20     200.0       5.0                    30" in table


@pytest.mark.parametrize(("through", "peak", "status"), [("stream", 1049, 0), ("stream", 1051, 1), ("propagate", 2000, 0)])
def test_exit_status_of_growth(tool, monkeypatch, tmp_path, capsys, through, peak, status):
    peaks = {30: 1000, 300: peak}
    monkeypatch.setattr(
        tool, "_in_fresh_process", lambda options, model, way, objects, frames, size: ({}, memory_of(frames, peaks[frames], way))
    )
    path = tmp_path / "memory.json"
    arguments = ["memory", "--model", "toy", "--frames", "300", "30", "--through", through, "--json", str(path)]
    assert tool.main(arguments) == status
    assert f"{peak / 1000:.3f} times" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert written["within_tolerance"] is (status == 0) and written["tolerance_percent"] == 5
    assert [(one["frames"], one["peak"]) for one in written["results"]] == [(30, 1000), (300, peak)]


def test_fresh_processes(tool, tiny, tmp_path, capfd):
    path = tmp_path / "memory.json"
    arguments = ["memory", "--model", str(tiny), "--untrained", "--frames", "5", "10", "--size", "48x64", "--inside", "native"]
    status = tool.main([*arguments, "--tolerance", "50", "--device", "cpu", "--dtype", "float32", "--json", str(path)])
    captured = capfd.readouterr()
    assert status == 0, captured.err
    assert "10 frames need " in captured.out and "within 50 %" in captured.out
    written = json.loads(path.read_text())
    assert written["benchmark"] == "memory" and written["untrained"] is True
    assert written["environment"]["torch"] == torch.__version__.split("+")[0] or written["environment"]["torch"] == torch.__version__
    short, long = written["results"]
    assert (short["frames"], long["frames"]) == (5, 10)
    assert short["model"] == long["model"] == "tiny" and short["grid"] == [48, 64] and short["dtype"] == "float32"
    assert 0.5 < long["peak"] / short["peak"] < 1.5 and short["peak"] > 5e7


def test_a_process_that_fails_is_told(tool, tmp_path, capfd):
    assert tool.main(["memory", "--model", str(tmp_path), "--untrained", "--frames", "1", "2", "--size", "48x64"]) == 2
    told = capfd.readouterr().err
    assert "holds no config.json" in told
    assert f"the process that measured {tmp_path} on 1 frames failed: see the error above" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["memory", "--frames", "300"], "growth needs two lengths of video"),
        (["memory", "--tolerance", "-1"], "--tolerance -1: give a percentage of 0 or more"),
        (["memory", "--here"], "--here measures one process: give one model, length"),
        (["speed", "--models", "crvox"], "Did you mean 'crvos'"),
    ],
)
def test_errors_say_the_fix_and_exit_with_2(tool, capsys, arguments, message):
    assert tool.main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["memory", "--frames", "0", "5"], "'0' is not a whole number of 1 or more"),
        (["memory", "--size", "480"], "'480' is not HEIGHTxWIDTH, as in 480x854"),
        (["speed", "--inside", "large"], "neither a shorter side"),
    ],
)
def test_arguments_that_can_not_be_read(tool, capsys, arguments, message):
    with pytest.raises(SystemExit):
        tool.main(arguments)
    assert message in capsys.readouterr().err


def test_yardstick_is_a_positive_time_and_leaves_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    yardstick = Yardstick((32, 48))
    seconds = [yardstick.measure(), yardstick.measure()]
    assert torch.rand(1) == expected
    assert len(seconds) == 2 and all(each > 0 for each in seconds)
    assert str(yardstick) == "one fp32 NCHW eager forward of timm resnet50(features_only, output_stride=16) on one 32x48 frame"
    assert YARDSTICK_SIZE == (480, 864)


def test_timing_takes_the_median():
    one = Timing(CASE, "model only", 10, (0.3, 0.1, 0.2), (0.5, 0.7, 0.1, 0.1), "yardstick")
    assert one.seconds == 0.2 and one.fps == 5 and one.unit == pytest.approx(0.3)
    assert one.ratio == pytest.approx(0.5), "of 0.3 / 0.6, 0.1 / 0.4 and 0.2 / 0.1, each by the baseline before and after it"
    record = as_record(one)
    assert record["seconds"] == 0.2 and record["model"] == "toy" and record["runs"] == (0.3, 0.1, 0.2) and record["baseline"] == "yardstick"
    assert dataclasses.replace(one, units=()).ratio is None


def test_timed_waits_for_the_device_before_it_reads_the_clock():
    order: list[str] = []
    assert timed(lambda: order.append("run"), lambda: order.append("wait")) >= 0
    assert order == ["wait", "run", "wait"]


def test_stages_run_the_whole_clip(tmp_path):
    segmenter = toy_segmenter()
    clip = SyntheticClip(4, (48, 64), 2)
    timings = measure.measure_speed(segmenter, clip, tmp_path, repeats=2)
    assert [one.what for one in timings] == ["model only", "end to end"]
    # one frame to start, then a warm-up and two runs: model only encodes 4 each, end to end encodes 4 each
    assert segmenter.model.encoded == 1 + 3 * 4 + 3 * 4
    assert all(len(one.runs) == 2 and one.seconds > 0 and one.frames == 4 for one in timings)
    assert all(one.unit is None and one.baseline is None for one in timings)
    assert [path.name for path in tmp_path.iterdir()] == ["48x64_2.mp4"]


def test_every_stretch_of_the_way_can_be_timed(tmp_path):
    segmenter = toy_segmenter()
    timings = measure.measure_speed(segmenter, SyntheticClip(3, (48, 64), 2), tmp_path, repeats=1, stages=list(STAGES))
    whole = ["model only", "end to end", "latency", "plain loop", "+ channels last", "+ half precision", "+ folded"]
    assert [one.what for one in timings] == [*whole, "decode", "copy in", "encode", "step", "redetection", "copy out", "compress"]
    assert all(one.seconds > 0 for one in timings)


def test_another_model_as_the_baseline_runs_the_same_stage_beside(tmp_path):
    one, other = toy_segmenter(), toy_segmenter()
    clip = SyntheticClip(4, (48, 64), 2)
    timings = measure.measure_speed(one, clip, tmp_path, repeats=2, baseline=OtherModel(other), stages=["encode"])
    # one frame to start, then a warm-up, and before, between and after the two runs
    assert other.model.encoded == 1 + (1 + 3) * 4 and one.model.encoded == 1 + 3 * 4
    assert timings[0].baseline == "toy" and len(timings[0].units) == 3
    assert str(OtherModel(other)) == "toy, the same stage of the same clip"


def test_nothing_is_recorded_for_gradients(tmp_path):
    segmenter = toy_segmenter()
    segmenter.model.scale.requires_grad_(True)
    monitored = []
    plain = segmenter.model.encode
    segmenter.model.encode = lambda frames: monitored.append(torch.is_inference_mode_enabled()) or plain(frames)
    measure.measure_speed(segmenter, SyntheticClip(2, (48, 64)), tmp_path, repeats=1, stages=["encode"])
    assert monitored and all(monitored)


def test_speed_by_command(tool, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Yardstick, "__init__", _small(Yardstick.__init__))
    path = tmp_path / "speed.json"
    arguments = ["speed", "--models", str(tiny), str(tiny), "--untrained", "--sizes", "48x64", "64x48", "--objects", "1", "2"]
    arguments += [
        "--inside",
        "native",
        "--frames",
        "2",
        "3",
        "--repeats",
        "1",
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--json",
        str(path),
    ]
    assert tool.main(arguments) == 0
    out = capsys.readouterr().out
    assert "yardstick: one fp32 NCHW eager forward of timm resnet50(features_only, output_stride=16) on one 32x32 frame" in out
    assert "end to end: propagate: an mp4 file in, compressed masks out" in out
    assert out.count(" times yardstick's ") == 32 and out.count("tiny (untrained)") == 32
    written = json.loads(path.read_text())
    assert (
        written["benchmark"] == "speed"
        and written["baseline"] == "yardstick"
        and "32x32" in written["baseline_is"]
        and written["repeats"] == 1
    )
    assert len(written["results"]) == 2 * 2 * 2 * 2 * 2
    for one in written["results"]:
        assert len(one["units"]) == 2 and one["ratio"] == pytest.approx(one["seconds"] / one["unit"])
        assert one["trained"] is False and one["fps"] == 1 / one["seconds"]


def test_a_model_as_the_baseline_and_none_by_command(tool, tiny, tmp_path, capsys):
    arguments = ["speed", "--models", str(tiny), "--untrained", "--sizes", "48x64", "--inside", "native", "--frames", "2", "--repeats", "1"]
    arguments += ["--device", "cpu", "--dtype", "float32", "--stages", "encode"]
    assert tool.main([*arguments, "--baseline", str(tiny)]) == 0
    out = capsys.readouterr().out
    assert "tiny: tiny, the same stage of the same clip" in out and out.count(" times tiny's ") == 1
    assert tool.main([*arguments, "--baseline", "none"]) == 0
    assert " times " not in capsys.readouterr().out
    assert tool.main([*arguments, "--stages", "draw"]) == 2
    assert "there is no stage 'draw'; there are: all, model only, end to end, latency, plain loop, + chan" in capsys.readouterr().err


def test_all_models_are_those_of_the_list_with_random_weights_where_there_are_none(tool, monkeypatch):
    made = []
    monkeypatch.setattr(tool.vos_zoo, "load", lambda name, **options: made.append(("load", name)))
    monkeypatch.setattr(tool.vos_zoo, "create", lambda name, **options: made.append(("create", name)))
    options = tool._parser().parse_args(["speed", "--models", "all"])
    for name in tool._names(options):
        tool._segmenter(options, name)
    expected = [("load" if each.has_weights else "create", each.name) for each in vos_zoo.list_models() if each.follows]
    assert made == expected and ("load", "crvos") in made and ("create", "crvos-resnet50") in made


def _small(init):
    return lambda self, device: init(self, (32, 32), device)


def test_speed_table(tool):
    untrained = dataclasses.replace(CASE, trained=False)
    measured = [Timing(CASE, "model only", 10, (0.02,)), Timing(untrained, "end to end", 10, (0.2,), (0.5, 0.5), "yardstick")]
    head, first, second = tool.speed_table(measured).strip().splitlines()
    assert head.split() == ["model", "parameters", "size", "grid", "objects", "frames", "what", "seconds", "a", "frame", "fps"]
    assert first.split()[-3:] == ["only", "0.0200", "50.0"]
    assert second.startswith("toy (untrained) ") and second.endswith("0.2000     5.0  0.400 times yardstick's 0.5000 s")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_memory_is_counted():
    one = measure.measure_memory(toy_segmenter(device="cuda"), SyntheticClip(3, (48, 64)))
    assert one.device_peak is not None and one.device_peak > 48 * 64 * 3


def test_the_plain_loop_gives_the_masks_of_propagate(tmp_path):
    segmenter, clip = toy_segmenter(), SyntheticClip(4, (48, 64), 2)
    with VideoWriter(tmp_path / "clip.mp4", fps=25, size=clip.size) as writer:
        for frame in clip:
            writer.write(frame)
    plain, fast, latency = (
        STAGES[name][1](segmenter, clip, tmp_path / "clip.mp4", None)() for name in ("plain loop", "end to end", "latency")
    )
    for name in ("+ channels last", "+ half precision", "+ folded"):  # of the toy, whose precision is float32
        np.testing.assert_array_equal(np.asarray(STAGES[name][1](segmenter, clip, tmp_path / "clip.mp4", None)()), np.asarray(plain))
    assert len(plain) == 4 and plain[0].any()
    np.testing.assert_array_equal(np.asarray(plain)[1:], np.asarray(fast)[1:])
    assert latency == fast
