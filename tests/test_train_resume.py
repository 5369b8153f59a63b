"""A run that was stopped, at whatever moment, goes on as if nothing had been; and its checkpoint is always whole."""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from training_data import recipe, tiny_crvos, write_clip, write_stills

from vos_zoo.errors import CheckpointError, DataError, SaveError
from vos_zoo.train.batches import Batches
from vos_zoo.train.clips import Clip, load_clips
from vos_zoo.train.loop import train
from vos_zoo.train.stills import StillBank, load_stills
from vos_zoo.train.trainer import Trainer


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> StillBank:
    folder = tmp_path_factory.mktemp("stills")
    return load_stills([write_stills(folder / "s")], folder / "cache", size=48)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return load_clips([write_clip(tmp_path_factory.mktemp("clips") / "a", frames=8)])


@pytest.fixture
def batches(stills: StillBank, clips: list[Clip]) -> Batches:
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


def test_a_batch_depends_on_its_number_alone(stills: StillBank, clips: list[Clip], batches: Batches) -> None:
    forwards = [batches[n] for n in range(6)]
    torch.manual_seed(99)
    again = Batches(recipe(), stills, clips)
    for n in reversed(range(6)):
        assert all(a.equal(b) for a, b in zip((*forwards[n][0], forwards[n][1]), (*again[n][0], again[n][1]), strict=True))
    for n, (clip, first) in zip(range(2, 6), batches.from_step(2, workers=1), strict=True):
        assert clip.frames.equal(forwards[n][0].frames) and first.equal(forwards[n][1])
    assert not forwards[2][0].frames.equal(forwards[3][0].frames)
    assert not Batches(recipe(seed=4), stills, clips)[0][0].frames.equal(forwards[0][0].frames)


def test_real_and_synthetic_batches_by_their_shares(stills: StillBank, clips: list[Clip]) -> None:
    def kinds(real: float, bank: StillBank | None) -> list[str]:
        run = recipe()
        for stage in run.stages:
            stage.real = real
        batches = Batches(run, bank, clips)
        drawn: list[str] = []
        for name in ("_real", "_synthetic"):
            for source in getattr(batches, name).values():
                batch = source.batch
                source.batch = lambda *args, batch=batch, name=name: drawn.append(name) or batch(*args)
        for n in range(6):
            batches[n]
        return drawn

    assert kinds(0.0, stills) == ["_synthetic"] * 6
    assert kinds(1.0, stills) == ["_real"] * 6
    assert kinds(0.0, None) == ["_real"] * 6, "without stills there are only clips"
    assert set(kinds(0.5, stills)) == {"_real", "_synthetic"}


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


def test_ctrl_c_between_steps_saves(tmp_path: Path, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Batches.__getitem__

    def interrupted(self: Batches, step: int) -> Any:
        if step == 2:
            raise KeyboardInterrupt
        return draw(self, step)

    monkeypatch.setattr(Batches, "__getitem__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(trainer(), batches, tmp_path, workers=0, show=False)
    assert read(tmp_path)["step"] == 2


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
    clip, first = batches[0]
    with pytest.raises(FloatingPointError, match="step 0: the gradient is nan; lower the learning rate or look at the data"):
        run.train_step(clip._replace(frames=clip.frames * float("nan")), first)
    assert_same(dict(run.model.state_dict()), before)
    assert run.step == 0


def test_log_lines_are_means_over_their_steps(tmp_path: Path, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(self: Trainer, clip: Any, first: Tensor) -> tuple[float, float]:
        self.step += 1
        return float(self.step), 0.5

    monkeypatch.setattr(Trainer, "train_step", counted)
    train(trainer(), batches, tmp_path, max_minutes=0, workers=0, log_every=3, show=False)
    train(trainer(), batches, tmp_path, workers=0, log_every=3, show=False)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(row["step"], row["loss"], row["iou"], row["stage"]) for row in rows] == [(3, 2.5, 0.5, "drift"), (6, 5.0, 0.5, "drift")]
