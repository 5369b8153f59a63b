"""A run that was stopped, at whatever moment, goes on as if nothing had been; and its checkpoint is always whole."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import set_apart
from torch import Tensor
from training_data import bank_of, clips_of, recipe, tiny_crvos, write_clip, write_stills

from vos_zoo.errors import CheckpointError, DataError, SaveError
from vos_zoo.train.batches import Batches
from vos_zoo.train.log import keep_lines
from vos_zoo.train.loop import Every, train
from vos_zoo.train.recipe import Source
from vos_zoo.train.sources.clips import AnyClip
from vos_zoo.train.sources.stills import StillBank
from vos_zoo.train.synthesis.from_stills import Scenes
from vos_zoo.train.trainer import Trainer


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> StillBank:
    folder = tmp_path_factory.mktemp("stills")
    return bank_of(write_stills(folder / "s"), cache=folder / "cache", size=48)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[AnyClip]:
    return clips_of(write_clip(tmp_path_factory.mktemp("clips") / "a", frames=8))


@pytest.fixture
def batches(stills: StillBank, clips: list[AnyClip]) -> Batches:
    return Batches(recipe(), stills, clips)


def trainer(seed: int = 0, **changes: Any) -> Trainer:
    torch.manual_seed(seed)
    return Trainer(tiny_crvos(), recipe(**changes))


def assert_same(a: Any, b: Any, where: str = "checkpoint") -> None:
    assert type(a) is type(b), where
    if isinstance(a, Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for n, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}.{n}")
    else:
        assert a == b, where


def read(out: Path) -> dict[str, Any]:
    return torch.load(out / "checkpoint.pt", weights_only=True)


def test_a_batch_depends_on_its_number_alone(stills: StillBank, clips: list[AnyClip], batches: Batches) -> None:
    forwards = [batches[n] for n in range(6)]
    torch.manual_seed(99)
    again = Batches(recipe(), stills, clips)
    for n in reversed(range(6)):
        assert all(
            a.equal(b) for a, b in zip((*forwards[n].clip[:3], forwards[n].first), (*again[n].clip[:3], again[n].first), strict=True)
        )
    for n, drawn in zip(range(2, 6), batches.from_step(2, workers=1), strict=True):
        assert drawn.clip.frames.equal(forwards[n].clip.frames) and drawn.first.equal(forwards[n].first)
    assert not forwards[2][0].frames.equal(forwards[3][0].frames)
    assert not Batches(recipe(seed=4), stills, clips)[0][0].frames.equal(forwards[0][0].frames)


@pytest.mark.parametrize("gaps", ["even", "random"])
def test_what_is_remembered_has_the_mistakes_of_what_is_fed(stills: StillBank, clips: list[AnyClip], gaps: str) -> None:
    run = recipe()
    for stage in run.stages:
        stage.own, stage.corrupt_fed, stage.leaks, stage.remember_fed, stage.gaps, stage.max_skip = 0.0, 1.0, 1.0, True, gaps, 4
    clip = Batches(run, stills, clips)[0].clip
    assert clip.before is not None and clip.remembered is not None and clip.remembered.shape == clip.masks.shape
    assert not clip.before[:, 1:].equal(clip.masks[:, :-1]), "mistakes"
    wrong = [(clip.remembered[:, i - 1] - clip.before[:, i]).abs().mean().item() for i in range(1, clip.masks.shape[1])]
    assert max(wrong) < 0.1 if gaps == "random" else max(wrong) == 0, "the same mistakes, of a frame that is a gap away"


def test_mistakes_may_follow_the_picture_and_outlive_their_object(stills: StillBank, clips: list[AnyClip]) -> None:
    drawn = {}
    for aligned, ghosts in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        run = recipe(synthesis={"vanishing": 1.0, "together": 0.0, "pasted": (1.0,)})
        for stage in run.stages:
            stage.own, stage.corrupt_fed, stage.leaks, stage.remember_fed, stage.real = 0.0, 1.0, 1.0, True, 0.0
            stage.aligned, stage.ghosts, stage.batch, stage.frames = aligned, ghosts, 8, 4
        clip = Batches(run, stills, clips)[0].clip
        assert clip.before is not None
        gone = (clip.masks[:, :-1, 0].amax((2, 3)) == 0) & clip.active[:, :1]
        assert gone.any()
        drawn[aligned, ghosts] = clip.before, clip.before[:, 1:, 0].amax((2, 3))[gone]
    assert not drawn[1.0, 0.0][0].equal(drawn[0.0, 0.0][0])
    assert drawn[0.0, 0.0][1].max() == 0 and drawn[1.0, 0.0][1].max() == 0, "no object, no mask"
    assert (drawn[0.0, 1.0][1] > 0.5).float().mean() > 0.5, "ghosts"


def test_a_blind_model_has_only_its_memory(stills: StillBank, clips: list[AnyClip]) -> None:
    run = recipe()
    for stage in run.stages:
        stage.own, stage.blind, stage.remember_fed, stage.batch, stage.frames = 0.0, 0.5, True, 16, 4
    clip = Batches(run, stills, clips)[0].clip
    assert clip.before is not None and clip.remembered is not None
    shares = clip.before.mean((3, 4))[clip.active[:, None].expand(-1, 4, -1)]
    assert 0.1 < (shares == 1).float().mean() < 0.4 and (shares == 0).float().mean() > 0.1
    assert clip.remembered.equal(clip.masks), "the memory is true where corrupt_fed is 0"


def test_real_and_synthetic_batches_by_their_shares(stills: StillBank, clips: list[AnyClip]) -> None:
    def kinds(real: float, bank: StillBank | None) -> list[str]:
        run = recipe()
        for stage in run.stages:
            stage.real = real
        batches = Batches(run, bank, clips)
        return ["synthetic" if isinstance(batches.draft(n).drawn, Scenes) else "real" for n in range(6)]

    assert kinds(0.0, stills) == ["synthetic"] * 6
    assert kinds(1.0, stills) == ["real"] * 6
    assert kinds(0.0, None) == ["real"] * 6, "without stills there are only clips"
    assert set(kinds(0.5, stills)) == {"real", "synthetic"}


def test_shuffled_slots_hold_the_same_objects_in_front(stills: StillBank) -> None:
    synthesis = {"pasted": (0.3, 0.3, 0.4)}
    run = recipe(slots=4, synthesis=synthesis)
    for stage in run.stages:
        stage.real, stage.corrupt, stage.batch = 0.0, 0.0, 16
    ordered = Batches(run, stills, [])[0].clip
    run.shuffle_slots = True
    shuffled = Batches(run, stills, [])[0].clip
    assert shuffled.frames.equal(ordered.frames) and shuffled.active.equal(ordered.active)
    moved = 0
    for a, b in zip(ordered.masks, shuffled.masks, strict=True):
        areas_a, areas_b = (sorted(each.sum((0, 2, 3)).tolist()) for each in (a, b))
        assert areas_a == areas_b
        moved += not a.equal(b)
    assert moved > 2


def test_true_masks_are_fed_by_their_share_and_spoilt_by_theirs(stills: StillBank) -> None:
    run = recipe()
    for stage in run.stages:
        stage.real, stage.own, stage.frames, stage.batch, stage.steps, stage.warm = 0.0, 0.25, 9, 1, 20, 0
    batches = Batches(run, stills, [])
    fed = torch.stack([batches[n].own for n in range(40)])  # type: ignore[misc]
    assert 0.15 < fed.float().mean() < 0.35
    assert batches[3].clip.before is None
    plain = batches[3]
    for stage in run.stages:
        stage.corrupt_fed = 1.0
    spoilt = Batches(run, stills, [])[3]
    assert spoilt.clip.before is not None and spoilt.own is not None and spoilt.own.equal(plain.own)
    expected = torch.cat([plain.clip.masks[:, :1], plain.clip.masks[:, :-1]], 1)
    wrong = (spoilt.clip.before - expected).abs().amax((0, 2, 3, 4)) > 0
    assert wrong.sum() >= 6, "a few come back untouched"
    for stage in run.stages:
        stage.own, stage.corrupt_fed = 1.0, 0.0
    assert Batches(run, stills, [])[3].own is None


def test_rehearsals_are_drawn_up_to_their_limit_and_the_clips_stay_the_same(stills: StillBank) -> None:
    run = recipe()
    for stage in run.stages:
        stage.real, stage.steps, stage.corrupt = 0.0, 40, 0.0
    plain = [Batches(run, stills, [])[n] for n in range(40)]
    for stage in run.stages:
        stage.rehearsal = 3
    batches = Batches(run, stills, [])
    rehearsed = [batches[n] for n in range(40)]
    assert {sample.rehearsal for sample in plain} == {0} and {sample.rehearsal for sample in rehearsed} == {0, 1, 2, 3}
    assert all(a.clip.frames.equal(b.clip.frames) and b.own is None for a, b in zip(plain, rehearsed, strict=True))
    assert batches[5].rehearsal == rehearsed[5].rehearsal == rehearsed[5].rows(slice(0, 1)).rehearsal


def test_sources_are_drawn_by_their_weights(tmp_path: Path, clips: list[AnyClip]) -> None:
    run = recipe(clips=False, sources={"a": Source("folder", "a", weight=3.0), "b": Source("folder", "b", every=5)})
    for stage in run.stages:
        stage.real, stage.max_skip, stage.steps = 1.0, 12, 100
    batches = Batches(run, None, {"a": clips, "b": clips})
    drawn: list[tuple[str, int]] = []
    for name, sampler in batches._real["single"].items():
        batch = sampler.batch
        sampler.batch = lambda *args, name=name, batch=batch, **more: drawn.append((name, more["max_skip"])) or batch(*args, **more)  # type: ignore[method-assign,func-returns-value]
    for n in range(100):
        batches.draft(n)
    assert set(drawn) == {("a", 12), ("b", 2)}, "every fifth frame is annotated: 12 frames are 2 annotated ones"
    assert 60 < sum(name == "a" for name, _ in drawn) < 90
    run.stages[0].sources = {"b": 1.0}
    assert list(Batches(run, None, {"a": clips, "b": clips})._real["single"]) == ["b"]
    with pytest.raises(DataError, match="stage single wants 100% of its batches from real clips, but there are none of source b"):
        Batches(run, None, {"a": clips})
    run.stages[0].sources, run.stages[0].clips_skip = {}, ("odd",)
    odd = replace(clips[0], name="odd one")  # type: ignore[type-var]
    left = Batches(run, None, {"a": [*clips, odd], "b": [odd]})._real["single"]
    assert {name: [clip.name for clip in sampler.clips] for name, sampler in left.items()} == {"a": [clips[0].name]}


def test_stages_without_their_data_are_refused_at_once(stills: StillBank) -> None:
    with pytest.raises(DataError, match="stage single wants 50% of its batches from real clips, but there are none; set real: 0"):
        Batches(recipe(), stills, [])


@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_run_is_the_uninterrupted_run_bit_for_bit(tmp_path: Path, batches: Batches, workers: int) -> None:
    assert train(trainer(), batches, tmp_path / "whole", workers=0, show=False)
    for n in range(3):  # the time limit stops after one step each; the first weights of a run that goes on do not matter
        stopped = trainer(seed=n)
        assert not train(stopped, batches, tmp_path / "parts", max_minutes=0, workers=workers, show=False)
        assert stopped.step == n + 1
    assert train(trainer(seed=9), batches, tmp_path / "parts", workers=workers, show=False)
    whole, parts = read(tmp_path / "whole"), read(tmp_path / "parts")
    assert whole["step"] == 6 and set(whole) == {"step", "model", "average", "optimizer"}
    assert_same(whole, parts)
    begun = trainer().model.state_dict()
    moved = {name for name, value in whole["model"].items() if not value.equal(begun[name])}
    assert "predictor.weight" in moved and any(name.startswith("trunk.net.layer3") for name in moved)
    assert not any(name.startswith(("trunk.net.conv1", "trunk.net.layer1")) for name in moved)
    assert not whole["average"]["predictor.weight"].equal(whole["model"]["predictor.weight"])


def test_weights_on_the_way_are_kept_for_the_mean(batches: Batches, tmp_path: Path) -> None:
    assert train(trainer(mean_with=(2, 5)), batches, tmp_path, workers=0, show=False)
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == ["000002.pt", "000005.pt"]
    assert torch.load(tmp_path / "snapshots/000005.pt", weights_only=True)["average"].keys() == read(tmp_path)["average"].keys()
    with pytest.raises(DataError, match="mean_with 0, 5 holds no step: steps are counted from 1"):
        recipe(mean_with=(0, 5))


def test_a_stage_may_hand_on_hard_masks_and_have_arguments_of_its_own(batches: Batches) -> None:
    run = trainer()
    own = run.model.config
    run.recipe.stages[-1].feedback_threshold = 0.4
    run.recipe.stages[-1].model_args = {"background": "prod"}
    used: list[Any] = []
    predict = run.model.predict

    def spy(*arguments: Any) -> Any:
        used.append((run.model.config.feedback_threshold, run.model.config.background))  # type: ignore[union-attr]
        return predict(*arguments)

    run.model.predict = spy  # type: ignore[method-assign]
    thresholds = []
    for step in range(run.recipe.steps):
        used.clear()
        run.train_step(batches[step])
        assert len(set(used)) == 1 and run.model.config is own
        thresholds.append(used[0])
    last = run.recipe.stages[-1].steps
    assert thresholds == [(None, "min")] * (run.recipe.steps - last) + [(0.4, "prod")] * last


def test_a_stage_may_start_from_averaged_weights(batches: Batches, tmp_path: Path) -> None:
    def begun(*starts: int) -> Trainer:
        fresh = trainer(warmup=2)
        fresh.recipe.stages[-1].starts_from = starts
        return fresh

    first = sum(stage.steps for stage in begun().recipe.stages[:-1])
    run = begun(1, 0)  # 0: the last step before the stage
    assert train(run, batches, tmp_path / "whole", workers=0, show=False)
    kept = [torch.load(tmp_path / f"whole/snapshots/{step:06}.pt", weights_only=True)["average"] for step in (1, first)]
    again = begun(1, first)
    again.step = first
    again.begin_from({name: (kept[0][name] + kept[1][name]) / 2 for name in kept[0]})
    assert again.recipe.rate(first) == again.recipe.stages[-1].lr / 2, "warms up again"
    for step in range(first, run.step):
        again.train_step(batches[step])
    assert_same(again.model.state_dict(), run.model.state_dict())
    assert_same(again.average, run.average)

    parts = tmp_path / "parts"
    while not train(begun(1, first), batches, parts, max_minutes=0, workers=0, show=False):
        pass
    assert_same(read(parts), read(tmp_path / "whole"))
    (parts / "snapshots/000001.pt").unlink()
    stopped = {**torch.load(tmp_path / "whole/checkpoint.pt", weights_only=True), "step": first}
    torch.save(stopped, parts / "checkpoint.pt")
    with pytest.raises(DataError, match=r"there is no .*000001.pt, which the recipe asks for: the run passed step 1 before"):
        train(begun(1, first), batches, parts, workers=0, show=False)
    with pytest.raises(DataError, match=f"starts_from 1, {first + 1} must be steps before it, 1 to {first}"):
        changed = recipe()
        changed.stages[-1].starts_from = (1, first + 1)
        changed.__post_init__()


def test_ctrl_c_amid_the_update_waits_for_its_end_and_saves(tmp_path: Path, batches: Batches) -> None:
    train(trainer(), batches, tmp_path / "whole", max_minutes=0, workers=0, show=False)
    interrupted = trainer()
    update = interrupted.optimizer.step

    def step_with_ctrl_c() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        update()

    interrupted.optimizer.step = step_with_ctrl_c  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        train(interrupted, batches, tmp_path / "cut", workers=0, show=False)
    assert_same(read(tmp_path / "whole"), read(tmp_path / "cut"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("workers", [0, 1])
def test_ctrl_c_between_steps_takes_effect_after_the_next_one(
    tmp_path: Path, batches: Batches, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    follow = Trainer._follow

    def interrupted(self: Trainer) -> None:
        follow(self)
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "_follow", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(trainer(), batches, tmp_path, workers=workers, show=False)
    assert read(tmp_path)["step"] == 2


def test_a_second_ctrl_c_does_not_wait_and_leaves_the_checkpoint_before(
    tmp_path: Path, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(trainer(), batches, tmp_path, max_minutes=0, workers=0, show=False)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def impatient(self: Trainer) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "_follow", impatient)
    with pytest.raises(KeyboardInterrupt):
        train(trainer(), batches, tmp_path, workers=0, show=False)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_takes_effect_when_the_step_is_saved(tmp_path: Path, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(read(tmp_path)["step"]))
    follow = Trainer._follow

    def terminated(self: Trainer) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        follow(self)

    monkeypatch.setattr(Trainer, "_follow", terminated)
    try:
        assert not train(trainer(), batches, tmp_path, workers=0, show=False)
        assert seen == [1], "the handler ran once, when the checkpoint was there"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_amid_an_update_saves_nothing(tmp_path: Path, batches: Batches) -> None:
    broken = trainer()

    def update() -> None:
        raise RuntimeError("out of memory")

    broken.optimizer.step = update  # type: ignore[method-assign,assignment]
    with pytest.raises(RuntimeError, match="out of memory"):
        train(broken, batches, tmp_path, workers=0, show=False)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_run_killed_amid_goes_on_bit_for_bit(tmp_path: Path, batches: Batches) -> None:
    """kill -9 at a moment that nobody chose: what goes on from the last whole checkpoint ends where an undisturbed run ends."""
    assert train(trainer(), batches, tmp_path / "whole", workers=0, every=Every(save=1, log=1), show=False)
    killed = multiprocessing.get_context("fork").Process(target=endless, args=(batches, tmp_path / "killed"))
    killed.start()
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed/log.jsonl").exists() or len((tmp_path / "killed/log.jsonl").read_text().splitlines()) < 3:
        assert time.monotonic() < deadline and killed.is_alive()
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)  # type: ignore[arg-type]
    killed.join()
    assert 1 <= read(tmp_path / "killed")["step"] < 6
    (tmp_path / "killed/log.jsonl").open("a").write('{"step": 99')  # half a line, as a crash may leave
    assert train(trainer(seed=5), batches, tmp_path / "killed", workers=0, every=Every(save=1, log=1), show=False)
    assert_same(read(tmp_path / "whole"), read(tmp_path / "killed"))
    steps = [json.loads(line)["step"] for line in (tmp_path / "killed/log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6], "no step twice, none missing"


def endless(batches: Batches, out: Path) -> None:
    """A run that writes a line a step, saves every second step, and hangs before its end."""
    set_apart()
    torch.set_num_threads(1)
    run = trainer()
    follow = run._follow

    def slow() -> None:
        follow()
        time.sleep(60 if run.step == 4 else 0.2)

    run._follow = slow  # type: ignore[method-assign]
    train(run, batches, out, workers=0, every=Every(save=2, log=1), show=False)


def test_log_is_cut_to_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({"step": step, "minutes": 0.5 * step}) for step in (20, 40, 60)]
    path.write_text("\n".join(lines) + "\n" + '{"step": 8')
    assert [row["step"] for row in keep_lines(path, 60)] == [20, 40, 60]
    assert path.read_text().splitlines() == lines
    assert [row["step"] for row in keep_lines(path, 59)] == [20, 40]
    assert path.read_text().splitlines() == lines[:2]
    assert keep_lines(tmp_path / "none.jsonl", 5) == []


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("file write failed"), KeyboardInterrupt()]
)
def test_a_failed_save_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    path = tmp_path / "checkpoint.pt"
    run = trainer()
    run.save(path)
    before = path.read_bytes()
    run.step = 5

    def failing(state: Any, file: Path) -> None:
        Path(file).write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(torch, "save", failing)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else SaveError
    with pytest.raises(expected, match=None if expected is KeyboardInterrupt else r"can't save .*checkpoint\.pt.*[Ff]ree some space"):
        run.save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["checkpoint.pt"]


def test_checkpoints_that_can_not_be_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    trainer().save(path)
    other = Trainer(tiny_crvos(reduced=[4, 4, 4]), recipe())
    with pytest.raises(CheckpointError, match="belongs to another model or recipe"):
        other.load(path)
    with pytest.raises(CheckpointError, match="belongs to another model or recipe"):
        trainer(frozen=()).load(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="can't be read as a checkpoint of a training run .* move it away to begin anew"):
        trainer().load(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="can't be read as a checkpoint of a training run"):
        trainer().load(path)


def test_a_gradient_that_is_not_finite_stops_before_it_does_harm(batches: Batches) -> None:
    run = trainer()
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    sample = batches[0]
    clip = sample.clip._replace(frames=sample.clip.frames * float("nan"))
    with pytest.raises(FloatingPointError, match="step 0: the gradient is nan; lower the learning rate or look at the data"):
        run.train_step(sample._replace(clip=clip))
    assert_same(dict(run.model.state_dict()), before)
    assert run.step == 0


def test_log_lines_are_means_over_their_steps(tmp_path: Path, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(self: Trainer, sample: Any) -> tuple[Tensor, Tensor]:
        self.step += 1
        return torch.tensor(float(self.step)), torch.tensor(0.5)

    monkeypatch.setattr(Trainer, "train_step", counted)
    train(trainer(), batches, tmp_path, max_minutes=0, workers=0, every=Every(log=3), show=False)
    train(trainer(), batches, tmp_path, workers=0, every=Every(log=3), show=False)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(row["step"], row["loss"], row["iou"], row["stage"]) for row in rows] == [(3, 2.5, 0.5, "drift"), (6, 5.0, 0.5, "drift")]
