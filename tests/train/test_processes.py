"""Several processes, and a batch in parts: the same gradient as one process that takes the batch at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_data import MODEL_ARGS, bank_of, clips_of, recipe, tiny_crvos, write_clip, write_stills

from vos_zoo.errors import DataError
from vos_zoo.models.base import VOSModel
from vos_zoo.models.rvos import RVOS, RVOSConfig
from vos_zoo.models.scm import SCM, SCMConfig
from vos_zoo.train.batch import Sample
from vos_zoo.train.batches import Batches
from vos_zoo.train.recipe import Recipe, Stage
from vos_zoo.train.sources.stills import StillBank
from vos_zoo.train.throughput import Throughput, measure, table
from vos_zoo.train.trainer import Trainer, freeze, scale_start

HERE = Path(__file__).parents[1]


def tiny_scm() -> SCM:
    return SCM(SCMConfig(backbone="resnet10t", key=4, value=4, decoder=4, refine_width=4))


def tiny_zero_shot() -> RVOS:
    return RVOS(RVOSConfig(backbone="resnet10t", backbone_stages=3, hidden=8, zero_shot=True, slots=3))


def run_of(kind: str, accumulate: int = 1) -> Recipe:
    stage = Stage("only", steps=4, size=(32, 48), batch=5, accumulate=accumulate, frames=3, corrupt=0.5, lr=1e-3)
    return recipe(stages=[stage], loss={"kind": kind}, frozen=(), synthesis={"pasted": (0.5, 0.5)}, stills=("s",))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> StillBank:
    folder = tmp_path_factory.mktemp("stills")
    return bank_of(write_stills(folder / "s"), cache=folder / "cache", size=48)


@pytest.mark.parametrize(
    ("kind", "build"), [("bce_dice", tiny_crvos), ("scm", tiny_scm), ("soft_iou", tiny_zero_shot)], ids=["crvos", "scm", "zero-shot"]
)
def test_accumulated_parts_give_the_gradient_of_the_whole(bank: StillBank, kind: str, build: Callable[[], VOSModel]) -> None:
    found = []
    for accumulate in (1, 2, 7):
        run = run_of(kind, accumulate)
        torch.manual_seed(0)
        trainer = Trainer(build(), run, low_precision=False)
        sample = Batches(run, bank, [])[1]
        assert len(set(sample.clip.active.sum(1).tolist())) > 1, "clips of one and of two objects: a mean of means would be another"
        loss, iou = trainer.gradients(sample, run.stages[0])
        found.append((float(loss), float(iou), {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}))
    whole = found[0]
    for parts in found[1:]:
        assert parts[0] == pytest.approx(whole[0], rel=1e-5)
        for name, grad in whole[2].items():
            torch.testing.assert_close(parts[2][name], grad, rtol=2e-4, atol=1e-6)


WORKER = """
import sys
from pathlib import Path
import torch
from training_data import bank_of, tiny_crvos, write_stills
from test_processes import run_of
from vos_zoo.train.batches import Batches
from vos_zoo.train.trainer import Trainer

torch.set_num_threads(1)
out = Path(sys.argv[1])
run = run_of("bce_dice")
torch.manual_seed(0)
trainer = Trainer(tiny_crvos(), run, "cpu", low_precision=False)
rank, of = trainer.processes.rank, trainer.processes.count
bank = bank_of(out / "s", cache=out / f"cache{rank}", size=48)
batches = Batches(run, bank, []).from_step(0, 0, rank=rank, of=of)
sample = next(batches)
loss, _ = trainer.gradients(sample, run.stages[0])
grads = {name: p.grad.clone() for name, p in trainer.model.named_parameters()}
mean = trainer.processes.total(loss) / of
someone = trainer.processes.anyone(rank == of - 1)
trainer.train_step(sample)
trainer.train_step(next(batches))
trainer.processes.wait()
state = {"clips": len(sample.first), "loss": mean, "someone": someone, "grads": grads, "model": trainer.model.state_dict()}
torch.save(state, out / f"of{of}-{rank}.pt")
"""


def test_two_processes_give_the_gradient_of_one(tmp_path: Path) -> None:
    write_stills(tmp_path / "s")
    (tmp_path / "worker.py").write_text(WORKER)
    paths = os.pathsep.join([str(HERE.parent), str(HERE), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for command in ([sys.executable], launch):
        done = subprocess.run(
            [*command, str(tmp_path / "worker.py"), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    one, first, second = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("of1-0", "of2-0", "of2-1"))
    assert (one["clips"], first["clips"], second["clips"]) == (5, 3, 2), "an uneven split"
    assert one["someone"] and first["someone"] and second["someone"], "a flag of one process reaches all"
    assert float(first["loss"]) == pytest.approx(float(one["loss"]), rel=1e-5)
    for name, grad in one["grads"].items():
        torch.testing.assert_close(first["grads"][name], grad, rtol=1e-4, atol=1e-7)
        assert first["grads"][name].equal(second["grads"][name])
    for name, weight in one["model"].items():
        torch.testing.assert_close(first["model"][name], weight, rtol=1e-3, atol=1e-4)
        assert first["model"][name].equal(second["model"][name]), "both go on with the same weights"


def test_fewer_clips_than_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vos_zoo.train.processes.Processes.__init__", lambda self, device: self.__dict__.update(device=device, count=8))
    with pytest.raises(DataError, match="stage single: a batch of 2 for 8 processes; raise batch"):
        Trainer(tiny_crvos(), recipe())


def test_clips_drawn_on_another_device_are_half_made_by_the_loader(bank: StillBank, tmp_path: Path) -> None:
    """What a GPU would finish, finished here: the same batches."""
    run = recipe()
    batches = Batches(run, bank, clips_of(write_clip(tmp_path / "a", frames=8)))
    for step in range(6):
        plain, finished = batches[step], batches.finish(batches.draft(step), "cpu")
        assert plain.first.equal(finished.first) and plain.clip.frames.equal(finished.clip.frames)


def test_names_of_parameters_are_checked() -> None:
    model = tiny_crvos()
    before = model.predictor.weight.clone()
    scale_start(model, {"predictor.weight": 3.0})
    torch.testing.assert_close(model.predictor.weight, 3 * before)
    with pytest.raises(DataError, match="scaled: no parameter's name begins with head"):
        scale_start(model, {"head": 2.0})
    with pytest.raises(DataError, match="frozen: trunk, refine, lift, predictor leave nothing to train"):
        freeze(model, ("trunk", "refine", "lift", "predictor"))
    assert MODEL_ARGS["backbone"] == "resnet18"


def test_loader_is_measured_against_the_models_appetite(bank: StillBank, monkeypatch: pytest.MonkeyPatch) -> None:
    run = recipe()
    for stage in run.stages:
        stage.real = 0.0
    drawing, finish = {"wait": 0.0}, Batches.finish

    def slow(self: Batches, *arguments: Any) -> Sample:
        time.sleep(drawing["wait"])
        return finish(self, *arguments)

    monkeypatch.setattr(Batches, "finish", slow)
    quick = measure(tiny_crvos(), run, Batches(run, bank, []), workers=0, device="cpu", steps=2)
    assert [one.stage for one in quick] == ["single", "drift"] and all(one.offered > 0 and one.wanted > 0 for one in quick)
    drawing["wait"] = 1.0
    starved = measure(tiny_crvos(), run, Batches(run, bank, []), workers=0, device="cpu", steps=2)
    assert all(one.offered < 3.1 and one.share < 1 for one in starved), "a batch of 2 or 3 frames a second"
    assert "the model waits" in table(starved) and "keeps up" in table([Throughput("drift", 1, 20.0, 10.0)])
