"""Clips one after the other, or several at once in processes of one thread each."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.scoring import ClipScore

Work = Callable[[Clip, Callable[[int], None]], ClipScore]  # told how many frames are done


class Job(Protocol):
    """What is done with every clip. Must be picklable where there are several processes."""

    def begin(self) -> Work:
        """Called once a process: loads the model."""
        ...


def work_through(job: Job, clips: Sequence[Clip], jobs: int, frame: Callable[[str, int], None]) -> Iterator[ClipScore]:
    """The scores of the clips as they get done; `frame` is called with a clip's name and how many of its frames are done.

    jobs: processes at once; with 1 all is done here, with all threads. Raises what a clip raised; EvaluationError if a process died.
    """
    if jobs == 1 or len(clips) < 2:
        work = job.begin() if clips else None
        for clip in clips:
            assert work is not None
            yield work(clip, partial(frame, clip.name))
        return
    try:
        pickle.dumps((job, clips))
    except Exception as error:  # pickle raises all kinds
        raise EvaluationError(
            f"several processes need a model and clips that can be handed to them, and these can't ({error}): use 1"
        ) from error
    context = multiprocessing.get_context("spawn")
    todo, news = context.Queue(), context.Queue()
    for number in range(len(clips)):
        todo.put(number)
    processes = [context.Process(target=_worker, args=(job, clips, todo, news), daemon=True) for _ in range(min(jobs, len(clips)))]
    try:
        for process in processes:
            process.start()
        yield from _gathered(clips, processes, news, frame)
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
        for process in processes:
            if process.pid is not None:
                process.join(5)
        for each in (todo, news):
            each.cancel_join_thread()
            each.close()


def _gathered(clips: Sequence[Clip], processes: Sequence[Any], news: Any, frame: Callable[[str, int], None]) -> Iterator[ClipScore]:
    missing = {clip.name for clip in clips}
    quiet = 0
    while missing:
        try:
            kind, name, value = news.get(timeout=0.5)
        except queue.Empty:
            dead = [process for process in processes if process.exitcode not in (None, 0)]
            quiet = quiet + 1 if dead or not any(process.is_alive() for process in processes) else 0
            if quiet > 1:  # what it had said before it died is read by now
                raise EvaluationError(
                    f"a process ended with exit status {dead[0].exitcode if dead else 0} before all clips were done: if memory ran out, "
                    "take fewer at once (--jobs) or a smaller size; what is finished is kept"
                ) from None
            continue
        if kind == "frame":
            frame(name, value)
        elif kind == "error":
            raise value if isinstance(value, Exception) else EvaluationError(f"clip {name!r} failed in its process:\n{value}")
        else:
            missing.discard(name)
            yield value


def _worker(job: Job, clips: Sequence[Clip], todo: Any, news: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business: it ends this process
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    name = ""
    try:
        work = job.begin()
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        while True:
            number = todo.get_nowait()
            name = clips[number].name
            news.put(("done", name, work(clips[number], partial(_tell, news, name))))
    except queue.Empty:
        return
    except VosZooError as error:
        news.put(("error", name, error))
    except Exception:
        news.put(("error", name, traceback.format_exc()))


def _tell(news: Any, name: str, done: int) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(1)  # nobody is left to take the result
    if done % 5 == 0:
        news.put(("frame", name, done))
