"""Whatever a host program has set in torch, masks are the same, and its settings are as they were."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import squares_clip

import vos_zoo
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.errors import VosZooError
from vos_zoo.segmenter import Segmenter
from vos_zoo.system import host
from vos_zoo.system.devices import choose_device

ARGS = {
    "CRVOS": {"backbone": "resnet10t", "backbone_stages": 3, "reduced": (8, 8, 8), "blended": (8, 8, 8)},
    "RVOS": {"backbone": "resnet10t", "backbone_stages": 3, "hidden": 16},
    "SCM": {"backbone": "resnet10t", "key": 8, "value": 16, "decoder": 8, "refine_width": 8, "similarity": "cosine"},
}


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(before)


HOSTS: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
    "default dtype bfloat16": lambda: default_dtype(torch.bfloat16),
    "default dtype float16": lambda: default_dtype(torch.float16),
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default device meta": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "autocast in inference mode": lambda: _both(torch.inference_mode(), torch.autocast("cpu", torch.bfloat16)),
}


@contextlib.contextmanager
def _both(*contexts: contextlib.AbstractContextManager[object]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for each in contexts:
            stack.enter_context(each)
        yield


def built(architecture: str) -> Segmenter:
    torch.manual_seed(5)
    config = ModelConfig(architecture.lower(), architecture, model_args=ARGS[architecture], preprocess=Preprocess(48))
    return vos_zoo.create(config, device="cpu", dtype="float32")


def weights_of(segmenter: Segmenter) -> list[np.ndarray]:
    return [each.detach().numpy().copy() for each in segmenter.model.state_dict().values()]


@pytest.mark.parametrize("setting", HOSTS)
@pytest.mark.parametrize("architecture", ARGS)
def test_a_model_is_built_and_followed_as_by_itself(architecture, setting):
    video, truth = squares_clip(frames=6)
    alone = built(architecture)
    expected = alone.propagate(video, truth[0], progress=False)
    with HOSTS[setting]():
        within = built(architecture)
        masks = within.propagate(video, truth[0], progress=False)
        session = alone.start(video[0], truth[0])
        stepped = [session.step(frame) for frame in video[1:]]
        session.annotate(video[5], {3: truth[5] == 2}, advance=False)
        session.remove(3)
    assert all(np.array_equal(a, b) for a, b in zip(weights_of(alone), weights_of(within), strict=True))
    assert np.asarray(masks).tobytes() == np.asarray(expected).tobytes()
    assert np.stack(stepped).tobytes() == np.asarray(expected)[1:].tobytes()
    np.testing.assert_array_equal(masks.confidence, expected.confidence)


@pytest.mark.parametrize("setting", HOSTS)
def test_a_checkpoint_is_loaded_and_adapted_as_by_itself(setting, tmp_path):
    video, truth = squares_clip(frames=3)
    built("CRVOS").save_pretrained(tmp_path / "saved", dtype="float32")

    def adapted() -> list[np.ndarray]:
        segmenter = vos_zoo.load(tmp_path / "saved", device="cpu", dtype="float32", redetection=False)
        return weights_of(segmenter.finetune(video[0], truth[0], steps=2, size=48, progress=False))

    expected = adapted()
    with HOSTS[setting]():
        found = adapted()
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(expected, weights_of(built("CRVOS")), strict=True))


@pytest.mark.parametrize("setting", HOSTS)
def test_views_ensembles_and_batches_too(setting):
    video, truth = squares_clip(frames=4)
    both = vos_zoo.ensemble([built("CRVOS"), built("RVOS")])
    with HOSTS[setting]():
        masks = both.propagate(video, truth[0], tta="flip", progress=False)
        many = dict(both.propagate_many([video] * 2, [truth[0]] * 2, tta="flip", progress=False))
    expected = both.propagate(video, truth[0], tta="flip", progress=False)
    assert np.asarray(masks).tobytes() == np.asarray(expected).tobytes()
    assert (np.asarray(many[1]) == np.asarray(expected)).mean() > 0.999


def test_the_hosts_settings_are_back_after_an_error():
    with default_dtype(torch.float64), contextlib.suppress(RuntimeError), host.undisturbed_building():
        assert torch.get_default_dtype() == torch.float32
        raise RuntimeError
    with torch.autocast("cpu", torch.bfloat16):
        with host.undisturbed():
            assert not torch.is_autocast_enabled("cpu") and torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu") and not torch.is_inference_mode_enabled()


def test_parameters_of_a_model_loaded_in_inference_mode_can_learn():
    with torch.inference_mode():
        segmenter = built("CRVOS")
    assert not any(parameter.is_inference() for parameter in segmenter.model.parameters())


# ---- forks after torch was used: a child each of one program, as a fork in a process with threads is what is tried

PROGRAM = """
import json, multiprocessing, sys
import numpy as np, torch
torch.set_num_threads(2)
sys.path.insert(0, {tests!r})
from toy import squares_clip
from system.test_host import built
import vos_zoo
video, truth = squares_clip(frames=4)
segmenter = built("CRVOS")
expected = segmenter.propagate(video, truth[0], progress=False)
torch.randn(600, 600) @ torch.randn(600, 600)  # its threads are up
session = segmenter.start(video[0], truth[0])
session.step(video[1])

def child(answer, work):
    try:
        answer.put(eval(work))
    except Exception as error:
        answer.put(repr(error))

context = multiprocessing.get_context("fork")
answers = {{}}
for name, work in {works!r}.items():
    answer = context.Queue()
    process = context.Process(target=child, args=(answer, work))
    process.start()
    answers[name] = answer.get(timeout=60)
    process.join(60)
print(json.dumps(answers))
"""
WORKS = {
    "propagate": "np.array_equal(np.asarray(segmenter.propagate(video, truth[0], progress=False)), np.asarray(expected))",
    "a session goes on": "np.array_equal(session.step(video[2]), expected[2])",
    "build": "np.array_equal(built('CRVOS').propagate(video, truth[0], progress=False)[3], expected[3])",
    "finetune": "segmenter.finetune(video[0], truth[0], steps=1, size=48, progress=False).config.name == 'crvos-finetuned'",
    "stream": "len(list(segmenter.stream(iter(video), truth[0]))) == 4",
    "one thread": "(segmenter.start(video[0], truth[0]), torch.get_num_threads())[1] == 1",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
def test_the_children_of_a_fork_do_not_hang():
    tests = Path(__file__).parent.parent
    code = PROGRAM.format(tests=str(tests), works=WORKS)
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(tests.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment)
    assert done.stdout and json.loads(done.stdout) == dict.fromkeys(WORKS, True), done.stdout + done.stderr


def test_a_gpu_that_the_parent_had_used_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(VosZooError, match=r'forked from one that had used the GPU.*get_context\("spawn"\).*device="cpu"'):
        choose_device("auto")
    with pytest.raises(VosZooError, match="forked"):
        host.check_device(torch.device("cuda", 0))
    host.check_device(torch.device("cpu"))
    assert choose_device("cpu") == torch.device("cpu")
