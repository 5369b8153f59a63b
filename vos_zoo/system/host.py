"""The host program's torch settings are not ours: default dtype and device, autocast, inference mode, a fork after torch was used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from vos_zoo.errors import VosZooError

_prepared_process = os.getpid()  # in a fork's child torch's threads, which the parent had, are gone


@contextmanager
def undisturbed(*, inference: bool = True) -> Iterator[None]:
    """In this block the host's default device, autocast and inference mode count for nothing; all are thread-local.

    In the child of a fork torch computes with one thread from here on: OpenMP's threads exist in the parent only, and a child that waits
    for them hangs.

    Args:
        inference: whether tensors made here are for inference, or may learn.
    """
    _prepare_process()
    with ExitStack() as stack:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(inference))
        yield


@contextmanager
def undisturbed_building() -> Iterator[None]:
    """`undisturbed`, for making models: also the default dtype is float32, in the whole process while the block lasts."""
    before = torch.get_default_dtype()
    with undisturbed(inference=False):
        if before == torch.float32:
            yield
            return
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def check_device(device: torch.device) -> None:
    """VosZooError for a GPU in the child of a process that has used it: CUDA does not survive a fork."""
    if device.type == "cuda" and torch.cuda._is_in_bad_fork():
        raise VosZooError(
            "this process was forked from one that had used the GPU, and CUDA does not survive that: start it with "
            'multiprocessing.get_context("spawn"), or load the model in the child only, or use device="cpu" in both'
        )


def _prepare_process() -> None:
    global _prepared_process
    if os.getpid() != _prepared_process:
        _prepared_process = os.getpid()
        torch.set_num_threads(1)
