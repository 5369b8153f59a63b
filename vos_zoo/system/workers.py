"""One thing after the other, or several at once in processes: clips to score, clips to propagate.

Each process has a pipe of its own, by which it gets one item at a time and answers. So one that dies, whatever it was doing, takes nothing
with it but the item it had; and one whose parent has died finds its pipe closed, and ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Protocol, TypeVar

from vos_zoo.errors import VosZooError

MOST_DEATHS = 3  # in a row, none having done anything: then it is not the items' fault


class Named(Protocol):
    """What is worked on."""

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)
Result = TypeVar("Result")
Work = Callable[[Item, Callable[[int], None]], Result]  # told how many frames are done
Lost = Callable[[Item, str], Result]


Given = TypeVar("Given", bound=Named, contravariant=True)
Made = TypeVar("Made", covariant=True)


class Job(Protocol[Given, Made]):
    """What is done with every item. Must be picklable where there are several processes."""

    def begin(self) -> Callable[[Given, Callable[[int], None]], Made]:
        """Called once a process: loads the model."""
        ...


def work_through(
    jobs: Sequence[Job[Item, Result]],
    items: Sequence[Item],
    frame: Callable[[str, int], None],
    *,
    threads: int = 1,
    lost: Lost[Item, Result] | None = None,
) -> Iterator[Result]:
    """The results of the items as they get done; `frame` is called with an item's name and how many of its frames are done.

    jobs: one a process, for instance each with a device of its own. With one, all is done here, with all threads, unless `lost` is given.
    threads: of torch, in each process.
    lost: makes a result of an item whose process died or failed, and of the reason; a new process takes its place. Without it that is an
        error.
    Raises what an item raised; VosZooError if a process died, or if they keep dying.
    """
    if not items:
        return
    if lost is None and (len(jobs) == 1 or len(items) < 2):
        work = jobs[0].begin()
        for item in items:
            yield work(item, partial(frame, item.name))
        return
    pool = Pool(jobs[: len(items)], threads=threads, lost=lost)
    try:
        yield from pool.work(items, frame)
    finally:
        pool.close()


class Pool(Generic[Item, Result]):
    """Processes that stay when their items are done, for those that come later. Arguments and errors are those of `work_through`."""

    def __init__(self, jobs: Sequence[Job[Item, Result]], *, threads: int = 1, lost: Lost[Item, Result] | None = None):
        self._lost, self._deaths = lost, 0
        self._workers: list[_Worker[Item, Result]] = []
        _check_portable(jobs)
        try:
            for job in jobs:
                self._workers.append(_Worker(job, threads))
        except BaseException:
            self.close()
            raise

    def work(self, items: Sequence[Item], frame: Callable[[str, int], None]) -> Iterator[Result]:
        """Results in the order in which they get done."""
        _check_portable(items)
        todo = deque(items)
        for worker in self._workers:
            if worker.ready:
                worker.give(todo)
        while todo or any(worker.item is not None for worker in self._workers):
            by_pipe: dict[Any, _Worker[Item, Result]] = {worker.pipe: worker for worker in self._workers}
            for pipe in wait(list(by_pipe)):
                yield from self._heard(by_pipe[pipe], todo, frame)

    def close(self) -> None:
        """Ends the processes, whatever they are doing."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join(5)
            worker.pipe.close()

    def _heard(self, worker: _Worker[Item, Result], todo: deque[Item], frame: Callable[[str, int], None]) -> Iterator[Result]:
        """One message of a process, or its death."""
        item = worker.item
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            kind, value = "died", worker.reason()
        if kind == "frame":
            assert item is not None
            frame(item.name, value)
        elif kind in ("ready", "done"):
            worker.ready = True
            worker.give(todo)
            if kind == "done":
                self._deaths = 0
                yield value
        else:
            self._deaths += 1
            if item is None or self._lost is None or self._deaths > MOST_DEATHS:
                raise _error(kind, value, item)
            worker.process.kill()
            worker.pipe.close()
            self._workers[self._workers.index(worker)] = _Worker(worker.job, worker.threads)
            yield self._lost(item, f"its process ended with {value}" if kind == "died" else _last_line(value))


class _Worker(Generic[Item, Result]):
    """A process, the parent's end of its pipe, and the item it has."""

    def __init__(self, job: Job[Item, Result], threads: int):
        context = multiprocessing.get_context("spawn")
        self.job, self.threads = job, threads
        self.item: Item | None = None
        self.ready = False  # the model is loaded
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(job, threads, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, todo: deque[Item]) -> None:
        """The next item; if there is none, it waits for one, or to be ended."""
        self.item = todo.popleft() if todo else None
        if self.item is not None:
            with contextlib.suppress(OSError):  # it has died meanwhile, and reading will tell so
                self.pipe.send(self.item)

    def reason(self) -> str:
        """Why it is dead."""
        self.process.join(5)
        code = self.process.exitcode
        return f"exit status {code}" if code is None or code >= 0 else f"signal {-code} ({signal.Signals(-code).name})"


def _check_portable(what: object) -> None:
    try:
        pickle.dumps(what)
    except Exception as error:  # pickle raises all kinds
        raise VosZooError(
            f"several processes need a model and clips that can be handed to them, and these can't ({error}): use 1"
        ) from error


def _last_line(value: object) -> str:
    """Of a traceback; the whole of an error of ours."""
    return str(value) if isinstance(value, Exception) else str(value).strip().splitlines()[-1]


def _error(kind: str, value: object, item: Named | None) -> Exception:
    if isinstance(value, Exception):
        return value
    if kind == "error":
        where = "a process" if item is None else f"clip {item.name!r}"
        return VosZooError(f"{where} failed{'' if item is None else ' in its process'}:\n{value}")
    return VosZooError(
        f"a process ended with {value} before all clips were done: if memory ran out, take fewer at once or a smaller size; what is "
        "finished is kept"
    )


def _serve(job: Job[Any, Any], threads: int, pipe: Connection) -> None:
    """The life of a process: an item in, its result out, until the pipe closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all of a group, they are the parent's to answer: it ends this process
        signal.signal(number, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    try:
        work = job.begin()
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        _tell(pipe, "ready", None)
        while (item := _received(pipe)) is not None:
            _tell(pipe, "done", work(item, partial(_tell_frame, pipe)))
    except VosZooError as error:
        _tell(pipe, "error", error)
    except Exception:
        _tell(pipe, "error", traceback.format_exc())


def _received(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def _tell_frame(pipe: Connection, done: int) -> None:
    if done % 5 == 0:
        _tell(pipe, "frame", done)


def _tell(pipe: Connection, kind: str, value: object) -> None:
    try:
        pipe.send((kind, value))
    except OSError:
        os._exit(1)  # nobody is left to take it
