"""The clips of a run on the machines of a Ray cluster, by Ray Data: a pool of actors, each with the model, that take a clip at a time.

Needs the package ray. Videos and masks are read by the actors, so they must lie where every machine sees them under the same path; results
go to an address, or to a folder that all share.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vos_zoo.errors import VosZooError
from vos_zoo.jobs.destination import Record
from vos_zoo.jobs.task import Task
from vos_zoo.jobs.work import Propagating, failed
from vos_zoo.system.workers import Pool

CPUS_AN_ACTOR = 4  # where there is no GPU


@dataclasses.dataclass(frozen=True)
class Share:
    """What an actor gets of the cluster."""

    actors: int
    gpus: int  # 0 or 1
    cpus: int  # threads of torch


def check_installed() -> None:
    """VosZooError if Ray Data is not."""
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise VosZooError(f"--ray needs the package ray ({error}): pip install 'ray[data]'") from error


class Cluster:
    """A Ray cluster that is connected to, or begun here. With `end`, or at the end of a `with`, the connection ends."""

    def __init__(self, address: str | None):
        """address: as `ray.init` takes it; None: RAY_ADDRESS, one that runs on this machine, or else one of this machine alone."""
        check_installed()
        import ray

        self._ray, self._ours = ray, not ray.is_initialized()
        if self._ours:
            try:
                ray.init(address=address or None, log_to_driver=False, logging_level=logging.WARNING)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise VosZooError(f"no Ray cluster at {address or 'the usual address'} ({error}): look whether it runs") from error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        if self._ours:
            self._ray.shutdown()

    def share(self, actors: int | None, *, cpu_only: bool = False) -> Share:
        """actors: as many as asked for, or else one a GPU, or one for every few CPUs where there is no GPU."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        gpus = 0 if cpu_only else int(sum(node.get("GPU", 0) for node in nodes))
        cpus = max(int(sum(node.get("CPU", 0) for node in nodes)), 1)
        smallest = max(min((int(node["CPU"]) for node in nodes if node.get("CPU")), default=1), 1)
        count = actors or gpus or max(cpus // CPUS_AN_ACTOR, 1)
        return Share(count, min(gpus, 1), max(min(cpus // count, smallest), 1))

    def work_through(self, job: Propagating, tasks: Sequence[Task], share: Share) -> Iterator[Record]:
        """The records of the clips as they get done. A machine that is lost has its clip done by another.

        VosZooError if no actor can load the model, or results can't be written.
        """
        data = self._ray.data
        rows = data.from_items([{"task": _packed(task)} for task in tasks], override_num_blocks=len(tasks))
        context = rows.context
        context.enable_progress_bars = False
        for name, value in (("print_on_execution_start", False), ("execution_no_progress_timeout_s", -1)):
            if hasattr(context, name):
                setattr(context, name, value)
        records = rows.map(
            Actor,
            fn_constructor_args=(job, share.cpus),
            compute=data.ActorPoolStrategy(size=min(share.actors, len(tasks)), max_tasks_in_flight_per_actor=1),
            **({"num_gpus": 1} if share.gpus else {"num_cpus": share.cpus}),
        )
        for row in records.iter_rows():
            if row["ended"]:
                raise VosZooError(f"an actor ended: {row['ended']}. What is finished is kept")
            yield json.loads(row["record"])


class Actor:
    """Has a process beside it that does the work: one that dies by a clip fails that clip, where Ray would begin it again without end."""

    def __init__(self, job: Propagating, threads: int):
        self._pool: Pool[Task, Record] = Pool([job], threads=threads, lost=partial(failed, run=job.run))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            (record,) = self._pool.work([_unpacked(row["task"])], lambda name, done: None)
        except VosZooError as error:  # as a row, since of an exception Ray hands on only the text around it
            return {"record": "", "ended": str(error)}
        return {"record": json.dumps(record), "ended": ""}


def _packed(task: Task) -> str:
    values = dataclasses.asdict(task)
    return json.dumps({name: str(value) if isinstance(value, Path) else value for name, value in values.items()})


def _unpacked(text: str) -> Task:
    values = json.loads(text)
    paths = {name: Path(values[name]) for name in ("video", "mask", "masks", "first_of") if values[name] is not None}
    return Task(**{**values, **paths})
