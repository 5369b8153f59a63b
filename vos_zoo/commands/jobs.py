"""vos-zoo propagate of many clips: what is to be done, checked first; then done by several processes or a Ray cluster; a summary."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo.commands.jobs_report import count, progress, summary, words
from vos_zoo.commands.options import ModelChoice, load_model, say, settings_of
from vos_zoo.datasets.named import named
from vos_zoo.errors import SaveError, VosZooError, VosZooWarning
from vos_zoo.masks.outputs import chosen_forms
from vos_zoo.system.paths import user_path
from vos_zoo.system.streams import tell

if TYPE_CHECKING:
    from vos_zoo.jobs.destination import Place, Record
    from vos_zoo.jobs.task import Found, Problem, Task
    from vos_zoo.jobs.work import Propagating

MOST_LINES = 100  # of problems that are printed
ONLY_MANY = ("masks_dir", "on_error", "devices", "workers", "ray", "subset", "submission")


def add_options(parser: argparse.ArgumentParser) -> None:
    many = parser.add_argument_group("many clips")
    many.add_argument("--masks-dir", type=local, metavar="FOLDER", help="first masks of a folder of clips: NAME.png, NAME_mask.png, "
                      "NAME.npy or the first in a folder NAME/ (default: beside the clips)")  # fmt: skip
    many.add_argument("--subset", metavar="NAME", help="of a benchmark, VIDEO being LAYOUT:ROOT as vos-zoo evaluate has it (mose:MOSE): "
                      "val (default), test-dev, valid ...")  # fmt: skip
    many.add_argument("--submission", type=Path, metavar="FILE.zip", help="of a benchmark: also write the masks as its server takes them")
    many.add_argument("--on-error", choices=("skip", "stop"), help="leave clips with problems out (default), or stop at the first, before "
                      "any work where they show by then")  # fmt: skip
    many.add_argument("--devices", metavar="DEVICE,...", help="a process a device, such as cuda:0,cuda:1 (default: the one of --device)")
    many.add_argument("--workers", type=_number, metavar="N", help="processes on each device, which share the CPU's threads (default: 1); "
                      "with --ray, actors in all")  # fmt: skip
    many.add_argument("--ray", nargs="?", const="", metavar="ADDRESS", help="do it on a Ray cluster (pip install 'ray[data]'); without "
                      "ADDRESS the one that runs here, or this machine alone")  # fmt: skip


def place(text: str) -> Path | str:
    """--out: a folder, or an address as it stands."""
    return text if "://" in text and not text.lower().startswith("file://") else local(text)


def local(text: str) -> Path:
    """A path as it is typed, with ~ or file:// or without."""
    try:
        return user_path(text)
    except VosZooError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def clips_of(args: argparse.Namespace) -> Found | None:
    """The clips, if VIDEO means many. VosZooError if it can't be told, or options don't fit."""
    from vos_zoo.jobs.benchmarks import benchmark_tasks
    from vos_zoo.jobs.folder import find_tasks

    found = None
    if args.video and not args.example:
        found = find_tasks(args.video, args.masks_dir, one=bool(args.mask or args.masks))
        found = found or benchmark_tasks(args.video, args.subset or "val")
    if found is None:
        given = [f"--{name.replace('_', '-')}" for name in ONLY_MANY if getattr(args, name) is not None]
        if given and args.video:
            raise VosZooError(
                f"{given[0]} is for many clips, and {args.video} is no folder of clips, no manifest and no benchmark: leave it out"
            )
        return None
    if found.kind != "benchmark" and (args.subset or args.submission):
        raise VosZooError("--subset and --submission are for a benchmark: give VIDEO as LAYOUT:ROOT, for instance mose:MOSE")
    for option in ("mask", "masks"):
        if getattr(args, option):
            raise VosZooError(
                f"--{option} is for one video, and {args.video} holds many: give each its own, by --masks-dir FOLDER or a manifest"
            )
    if args.masks_dir is not None and found.kind != "folder":
        own = "a manifest has a column mask" if found.kind == "manifest" else "a benchmark has its own masks"
        raise VosZooError(f"--masks-dir is for a folder of clips; {own}: leave one of them out")
    if args.masks_dir is not None and not args.masks_dir.is_dir():
        raise VosZooError(f"--masks-dir: there is no folder {args.masks_dir}")
    return found


@dataclass
class Plan:
    """What is to be done, and how."""

    tasks: list[Task]  # all that can be done
    problems: list[Problem]
    forms: list[str]
    out: str
    options: dict[str, Any]  # of propagate
    settings: dict[str, Any]  # what the results depend on
    devices: list[str]  # a process each


def run(args: argparse.Namespace, found: Found) -> int:
    from vos_zoo.jobs.destination import place_of
    from vos_zoo.jobs.run import Run

    submit = _submission(args)
    plan = _planned(args, found)
    where = place_of(plan.out)
    taken = [task for task in plan.tasks if where.taken(task.name)]
    plan.problems += [_taken(task, plan.out) for task in taken]
    plan.tasks = [task for task in plan.tasks if task not in taken]
    if plan.problems and (args.on_error == "stop" or not plan.tasks):
        others = " Without --on-error stop the other clips are." if plan.tasks else ""
        raise VosZooError(f"{_listed(plan.problems)}\nNothing was done.{others}")
    for note in found.notes:
        _warn(note)
    if plan.problems:
        _warn(f"{_listed(plan.problems)}\nThe others go on: {count(len(plan.tasks), 'clip')}")
    where.begin()
    try:
        current = Run.open(where, plan.settings, plan.tasks, overwrite=args.overwrite)
        before, changed = current.finished(plan.tasks)
        if changed:
            _warn(f"{count(len(changed), 'clip')} will be done again, since the video or a mask has changed: {', '.join(changed)}")
        todo = [task for task in plan.tasks if task.name not in before]
        records, ended = _done(args, plan, current.id, todo, where)
        for record in current.vanished([*before.values(), *records]):
            reason = f"its result is not in {plan.out} any more: was that deleted or moved meanwhile? The same command does it again"
            _warn(f"{record['name']} was lost: {reason}")
            before.pop(record["name"], None)
            records = [each for each in records if each is not record]
            records.append({**record, "status": "failed", "error": reason})
    finally:
        where.end()
    result = summary(plan.settings["model"], plan.problems, before, records, clips=len(plan.tasks), out=plan.out, log=where.log_path())
    print(json.dumps(result, indent=2) if args.json else words(result))
    if ended is not None:
        again = "the same command without --overwrite" if args.overwrite else "the same command"
        tell(f"vos-zoo: ended early; {result['done']} of {count(len(plan.tasks), 'clip')} are done, and {again} goes on")
        raise ended
    if result["failed"] or plan.problems:
        return 1
    if submit is not None:
        tell(f"submission: {submit(Path(plan.out))}")
    return 0


def _submission(args: argparse.Namespace) -> Callable[[Path], Path] | None:
    """What writes --submission from the results, checked before there are any."""
    if args.submission is None:
        return None
    from vos_zoo.evaluation.datasets import load_dataset
    from vos_zoo.evaluation.submission import check_submission, write_submission

    if isinstance(args.out, str) or (args.save is not None and "masks" not in chosen_forms(args.save)):
        raise VosZooError("--submission is made of the masks in --out: give a folder here, and --save with masks or none")
    layout = args.video.partition(":")[0]
    clips = load_dataset(args.video, subset=args.subset or "val")
    check_submission(args.submission, layout, clips)
    return lambda out: write_submission(args.submission, layout, clips, lambda clip, frame: out / clip.name / "masks" / f"{frame}.png")


def _planned(args: argparse.Namespace, found: Found) -> Plan:
    """Every check that needs no video to be read."""
    from vos_zoo.jobs.task import checked

    if args.ray is not None:
        from vos_zoo.jobs.on_ray import check_installed

        check_installed()
    forms = chosen_forms("masks" if args.save is None else args.save)
    devices = _devices(args)
    out = _out(args)
    tta = True if args.tta == "both" else args.tta
    options = {"direction": args.direction, "size": args.size, "resize_mask": args.resize_mask, "tta": tta, "finetune": args.finetune}
    segmenter: Any = load_model(dataclasses.replace(ModelChoice.of(args), device="cpu", dtype=_dtype(args, devices)))
    name = segmenter.config.name
    segmenter.input_spec(args.size, tta)
    if segmenter.finds_objects and (args.direction != "forward" or args.finetune is not None):
        raise VosZooError(f"{name} finds the objects itself, forwards only and without --finetune: leave --direction and --finetune out")
    if args.finetune is not None and args.finetune is not True and args.finetune < 1:
        raise VosZooError(f"--finetune is a number of training steps, 1 or more, not {args.finetune}")
    settings = {**settings_of(segmenter), **options, "backend": args.backend, "save": forms}
    if args.ray is not None:
        settings["dtype"] = args.dtype
    tasks, problems = checked(found, finds_objects=segmenter.finds_objects, model=name, backward=args.direction == "backward")
    return Plan([task.absolute() for task in tasks], problems, forms, out, options, settings, devices)


def _devices(args: argparse.Namespace) -> list[str]:
    if args.devices is None:
        return [args.device] * (args.workers or 1)
    if args.device != "auto" or args.ray is not None:
        raise VosZooError(f"--devices and {'--ray' if args.ray is not None else '--device'} can't both be given: leave one out")
    devices = [device.strip() for device in args.devices.split(",") if device.strip()]
    if not devices:
        raise VosZooError("--devices names no device: give for instance cuda:0,cuda:1")
    return devices * (args.workers or 1)


def _dtype(args: argparse.Namespace, devices: Sequence[str]) -> str:
    """That of the processes, which all have to be alike; here the model is only looked at."""
    if args.ray is not None:
        return "float32"
    from vos_zoo.system.devices import choose_device, choose_dtype

    if args.runtime != "torch":
        return args.dtype
    found = {device: str(choose_dtype(args.dtype, choose_device(device))).removeprefix("torch.") for device in devices}
    if len(set(found.values())) > 1:
        each = ", ".join(f"{dtype} on {device}" for device, dtype in found.items())
        raise VosZooError(f"these devices would not give the same masks ({each}): choose one --dtype for all")
    return next(iter(found.values()))


def _out(args: argparse.Namespace) -> str:
    source = Path(args.video if (known := named(args.video)) is None else known[1]).expanduser().resolve()
    out = args.out if args.out is not None else Path(f"{source.stem}_masks")
    if isinstance(out, str):
        return out
    if out.expanduser().resolve() == source:
        raise SaveError(f"the results can't go among the clips in {out}: choose another --out")
    if out.exists() and not out.is_dir():
        raise SaveError(f"{out} is a file, and the results need a folder: choose another --out")
    return str(out.expanduser())


def _done(
    args: argparse.Namespace, plan: Plan, identity: str, todo: Sequence[Task], where: Place
) -> tuple[list[Record], KeyboardInterrupt | None]:
    """Records of the clips that were done or failed now; and Ctrl-C, if that ended it."""
    records: list[Record] = []
    try:
        with progress(args.no_progress, len(todo)) as report:
            for record in _records(args, plan, identity, todo):
                records.append(record)
                where.log(record)
                for each in record.get("warnings", []):
                    _warn(f"{record['name']}: {each}")
                if record["status"] == "failed":
                    _warn(f"{record['name']} was left out: {record['error']}")
                    if args.on_error == "stop":
                        raise VosZooError(f"{record['name']} failed: {record['error']}\nThose done are kept, and the same command goes on")
                report(len(records), sum(each["status"] == "failed" for each in records))
    except KeyboardInterrupt as interrupt:
        return records, interrupt
    return records, None


def _records(args: argparse.Namespace, plan: Plan, identity: str, todo: Sequence[Task]) -> Iterator[Record]:
    from vos_zoo.jobs.work import failed

    if not todo:
        return
    if args.ray is not None:
        yield from _on_ray(args, plan, identity, todo)
        return
    import torch

    from vos_zoo.system.workers import work_through

    jobs = [_job(args, plan, identity, device) for device in plan.devices]
    threads = max(torch.get_num_threads() // min(len(jobs), len(todo)), 1)
    say(f"starting {count(min(len(jobs), len(todo)), 'process', 'processes')}", args.no_progress)
    yield from work_through(jobs, todo, lambda name, done: None, threads=threads, lost=partial(failed, run=identity))


def _on_ray(args: argparse.Namespace, plan: Plan, identity: str, todo: Sequence[Task]) -> Iterator[Record]:
    from vos_zoo.jobs.on_ray import Cluster

    say("connecting to Ray", args.no_progress)
    with Cluster(args.ray) as cluster:
        share = cluster.share(args.workers, cpu_only=args.device == "cpu")
        each = "a GPU" if share.gpus else count(share.cpus, "CPU")
        say(f"starting {count(share.actors, 'actor')} with {each} each", args.no_progress)
        yield from cluster.work_through(_job(args, plan, identity, args.device), todo, share)


def _job(args: argparse.Namespace, plan: Plan, identity: str, device: str) -> Propagating:
    from vos_zoo.checkpoints.sources import Access, joined
    from vos_zoo.jobs.work import Propagating
    from vos_zoo.zoo import load_together

    paths = [(name, Path(name).expanduser()) for name in joined(args.model)]
    names = [os.path.abspath(path) if path.is_dir() else name for name, path in paths]
    access = Access(args.revision, local_files_only=args.local_files_only)
    loader: Callable[[], Any] = partial(
        load_together,
        names,
        access,
        device=device,
        dtype=plan.settings["dtype"],
        redetection=not args.no_redetection,
        runtime=args.runtime,
    )
    out = plan.out if "://" in plan.out else os.path.abspath(plan.out)
    return Propagating(loader, plan.options, tuple(plan.forms), out, identity, args.backend)


def _taken(task: Task, out: str) -> Problem:
    from vos_zoo.jobs.task import Problem

    return Problem(task.name, f"{out}/{task.name} is there already and holds something else: give it another name, or choose another --out")


def _listed(problems: Sequence[Problem]) -> str:
    lines = [f"  {problem.who}: {problem.what}" for problem in problems[:MOST_LINES]]
    more = [f"  and {len(problems) - MOST_LINES} more"] * (len(problems) > MOST_LINES)
    return "\n".join([f"{count(len(problems), 'problem')}:", *lines, *more])


def _warn(what: str) -> None:
    warnings.warn(what, VosZooWarning, stacklevel=2)


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)
