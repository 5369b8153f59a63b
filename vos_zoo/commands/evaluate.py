"""vos-zoo evaluate: J and F of models, or of saved masks, on annotated clips, by the rules of DAVIS and YouTube-VOS.

vos-zoo evaluate --model crvos --dataset folder:CLIPS
vos-zoo evaluate --model crvos rvos --dataset davis2017:DAVIS --out scores --jobs 2
vos-zoo evaluate --results MASKS --dataset davis2017:DAVIS --only 'dogs-*'
vos-zoo evaluate --model crvos --dataset mose:MOSE --subset valid --submission mose.zip

With --out it writes OUT/report.html and, for each model or folder of masks, OUT/NAME/ with masks, scores.json and the official CSV files.
Run it again and it goes on where it stopped; run it with another model and the same --out, and the report compares both.
With --submission it writes the zip that the benchmark's server takes, also of a set without truth, where nothing is scored.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo import __version__
from vos_zoo.commands import clicks
from vos_zoo.commands.options import ModelChoice, add_model_options, add_progress_option, internal_size, label_of, load_model, settings_of
from vos_zoo.errors import SaveError, VosZooError
from vos_zoo.system.leftovers import contents
from vos_zoo.system.streams import is_terminal, tell
from vos_zoo.system.termination import INTERRUPTED

if TYPE_CHECKING:
    import numpy as np

    from vos_zoo.commands.options import Subparsers
    from vos_zoo.evaluation.clip import Clip
    from vos_zoo.evaluation.entry import Entry
    from vos_zoo.evaluation.run import Watch
    from vos_zoo.evaluation.scores import Scores
    from vos_zoo.evaluation.scoring import ClipScore
    from vos_zoo.segmenter import Segmenter
    from vos_zoo.system.workers import Job

LAYOUTS = (
    "folder:ROOT (ROOT/CLIP/frames and ROOT/CLIP/masks), folder-unsupervised:, davis2016:, davis2017:, davis2017-full:, "
    "davis2017-unsupervised:, youtubevos:, mose:, lvos:, sav: or vipseg:ROOT"
)
BEGIN = ("mask", "1-click", "3-clicks", "box", "circle", "snapped-circle")
TTA = {"flip": "flip", "scales": "scales", "both": True}


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("evaluate", help="J and F on annotated clips", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--model", nargs="+", metavar="MODEL", help="name (see vos-zoo list), folder, or owner/repo on the Hub; "
                        "several joined by +, as in crvos+scm, decide together")  # fmt: skip
    parser.add_argument("--results", nargs="+", type=Path, metavar="FOLDER", help="score these masks instead: FOLDER/CLIP/*.png")
    parser.add_argument("--dataset", required=True, metavar="LAYOUT:ROOT", help=LAYOUTS)
    parser.add_argument("--clicks", action="store_true", help="how many clicks of a simulated user a mask takes (NoC), and how good it is "
                        "after 1, 2, 3, 5; --model is one that points (default: pointer), --dataset stills:FOLDER,FOLDER, or a "
                        "LAYOUT:ROOT for its first true masks")  # fmt: skip
    parser.add_argument("--kept-out", type=int, default=0, metavar="N", help="with --clicks: of stills only the one in N that training "
                        "kept out (24 for pointer; default: all)")  # fmt: skip
    parser.add_argument("--begin", choices=BEGIN, default="mask", help="what a model is given of each object: its true mask "
                        "(default); what the pointer makes of 1 or 3 clicks of a simulated user, or of a box; a loose circle around it, "
                        "as it is or fitted to the object")  # fmt: skip
    parser.add_argument("--subset", default="val", help="list of sequences in DAVIS's ImageSets, or folder of the others (default: val)")
    parser.add_argument("--submission", type=Path, metavar="FILE.zip", help="write the masks as the benchmark's server takes them")
    parser.add_argument(
        "--seen", type=Path, metavar="FILE", help="youtubevos: categories trained on, one a line, or the training set's meta.json"
    )
    parser.add_argument("--only", action="append", metavar="PATTERN", help="clip names, shell patterns; may be repeated")
    parser.add_argument("--size", type=internal_size, help="size inside the model: shorter side, HEIGHTxWIDTH or native")
    parser.add_argument("--tta", choices=tuple(TTA), help="test-time augmentation: mirrored frames, several scales, or both")
    parser.add_argument("--finetune", nargs="?", type=int, const=True, default=None, metavar="STEPS",
                        help="adapt a copy of the model to each clip's annotated frames first")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="masks, tables and a report; goes on where an earlier run stopped")
    parser.add_argument("--jobs", type=_jobs, default=1, help="videos at once, each in a process with one thread (default: 1, all threads)")
    parser.add_argument("--legacy-decay", action="store_true", help="the official tool's decay, wrong beyond 256 frames")
    parser.add_argument("--save-masks", type=Path, metavar="FOLDER", help="write the masks to FOLDER/CLIP/")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line an object to this file")
    add_progress_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model or a folder of masks that is to be scored."""

    label: str
    job: Job[Clip, ClipScore]
    settings: dict[str, Any]  # what its masks depend on
    about: dict[str, Any]  # for the report
    masks: Path | None  # where they lie, or will


def run(args: argparse.Namespace) -> int:
    if args.submission is None or args.results or args.out or args.save_masks:
        return _run(args, args.save_masks)
    with tempfile.TemporaryDirectory(prefix="vos_zoo-") as folder:
        return _run(args, Path(folder))


def _run(args: argparse.Namespace, kept: Path | None) -> int:
    """kept: where the masks of a model go, if not into --out."""
    from vos_zoo.evaluation.datasets import load_dataset
    from vos_zoo.evaluation.entry import Entry
    from vos_zoo.evaluation.evaluate import checked
    from vos_zoo.evaluation.run import run as run_job
    from vos_zoo.evaluation.submission import check_submission, write_submission

    if args.clicks:
        return clicks.run(args)
    _check(args)
    clips = load_dataset(args.dataset, only=args.only, subset=args.subset, seen=args.seen)
    layout, _, root = args.dataset.partition(":")
    submits = args.submission is not None
    if submits:
        check_submission(args.submission, layout, clips, whole=args.only is None)
    to_score = [clip for clip in clips if not (submits and clip.withheld)]
    candidates = _folders(args, checked(clips, withheld=submits)) if args.results else _models(args, clips, kept)
    labels = [each.label for each in candidates]
    if len(set(labels)) < len(labels):
        raise VosZooError(
            f"two of them would both be called {max(labels, key=labels.count)!r}: rename a folder, or score one after the other"
        )
    dataset = f"{layout}:{Path(root).expanduser().resolve()}"
    watch, done, interrupted = _watch(args, len(candidates) > 1), {}, False
    for each in candidates:
        entry = None
        if args.out:
            about = {**each.about, "command": shlex.join(["vos-zoo", *sys.argv[1:]])}
            entry = Entry.open(args.out, each.label, dataset, each.settings, masks=each.masks, about=about, tell=watch.tell)
        if entry and args.results:
            entry.forget()  # these masks may have changed, and scoring them again is cheap
        scores = run_job(
            each.job,
            to_score if args.results else clips,
            label=each.label,
            entry=entry,
            jobs=args.jobs,
            watch=watch,
            legacy_decay=args.legacy_decay,
            subset=args.subset,
        )
        done[each.label] = scores
        interrupted = scores.interrupted
        if interrupted:
            break
    if len(to_score) == len(clips):
        _print(args, done)
        if args.out:
            print(f"report: {_report(args, clips, dataset, done, watch.tell)}")
    else:
        print(f"nothing is scored: {len(clips) - len(to_score)} of {len(clips)} clips have no true masks but those that are given")
    if submits and not interrupted:
        where = Path(candidates[0].masks or "")
        print(f"submission: {write_submission(args.submission, layout, clips, lambda clip, frame: where / clip.name / f'{frame}.png')}")
    return INTERRUPTED if interrupted else 0


def _check(args: argparse.Namespace) -> None:
    if (args.model is None) == (args.results is None):
        raise VosZooError("what is to be scored? Give either --model NAME or --results FOLDER, not both")
    if args.results and (args.save_masks or args.size or args.tta or args.finetune):
        raise VosZooError("--size, --tta, --finetune and --save-masks are for --model: leave them out, saved masks are scored as they are")
    single = [name for name in ("save_masks", "json", "csv", "submission") if getattr(args, name)]
    if len(args.model or args.results) > 1 and single:
        raise VosZooError(f"--{single[0].replace('_', '-')} is for one model: give --out FOLDER, which gets all of that for each")
    if args.out and args.save_masks:
        raise VosZooError("--out keeps the masks already: leave --save-masks out")
    if args.save_masks and args.save_masks.exists() and not (args.save_masks.is_dir() and not contents(args.save_masks)):
        raise SaveError(f"{args.save_masks} is there already: give --save-masks an empty or new folder, or delete it first")


def _folders(args: argparse.Namespace, clips: Sequence[Clip]) -> list[Candidate]:
    """Every folder is checked before any is scored."""
    from vos_zoo.evaluation.evaluate import Scoring
    from vos_zoo.evaluation.saved import Saved

    found = []
    for folder in args.results:
        saved = Saved(folder)
        saved.check(clips)
        where = folder.expanduser().resolve()
        found.append(Candidate(where.name, Scoring(saved), {"results": str(where)}, {"masks": str(folder)}, where))
    return found


def _models(args: argparse.Namespace, clips: Sequence[Clip], kept: Path | None) -> list[Candidate]:
    """Every model is loaded once before any runs, so that a wrong one is told at the beginning."""
    from vos_zoo.evaluation.evaluate import Propagating, checked

    options: dict[str, Any] = {"size": args.size} | ({"tta": TTA[args.tta]} if args.tta else {})
    if args.finetune is not None:
        options["finetune"] = args.finetune
    found = []
    for name in args.model:
        choice = ModelChoice.of(args, name)
        segmenter: Any = load_model(choice)
        checked(clips, segmenter, withheld=args.submission is not None)
        label = (
            label_of(name)
            + f"+{args.quality}" * (args.quality != "normal")
            + f"+{args.tta}" * bool(args.tta)
            + "+finetune" * (args.finetune is not None)
        )
        label += "+no-redetection" * args.no_redetection
        label += f"+{args.begin}" * (args.begin != "mask")
        label += f"+{args.runtime}+{segmenter.precision}" * (args.runtime != "torch")
        save = args.out / label / "masks" if args.out else kept
        loader: Callable[[], Any] = partial(_again, choice)
        if len(args.model) == 1 and args.jobs == 1:
            loader = partial(_same, segmenter)
        job = Propagating(loader, options, save, args.jobs, None if args.begin == "mask" else args.begin)
        found.append(
            Candidate(
                label,
                job,
                {**_settings(segmenter, options), **({} if args.begin == "mask" else {"begin": args.begin})},
                _about(segmenter, args),
                save,
            )
        )
        del segmenter
    return found


def _again(choice: ModelChoice) -> Any:
    return load_model(dataclasses.replace(choice, quiet=True))


def _same(segmenter: Segmenter) -> Segmenter:
    return segmenter


def _settings(segmenter: Segmenter, options: Mapping[str, Any]) -> dict[str, Any]:
    return {**settings_of(segmenter), "device": segmenter.device.type, **options}


def _about(segmenter: Segmenter, args: argparse.Namespace) -> dict[str, Any]:
    from vos_zoo.system.machine import environment

    machine = environment(segmenter.device)
    config, parameters = segmenter.config, segmenter.info()["parameters"]
    members = [member.config for member in getattr(segmenter, "members", (segmenter,))]
    sizes = [args.size or member.preprocess.size or member.preprocess.short_side or "that of the video" for member in members]
    return {
        "model": f"{config.name} ({config.architecture}, {parameters / 1e6:.1f} M parameters)",
        "weights": ", ".join(f"sha256 {member.weights.sha256[:16]}" if member.weights else "none" for member in members),
        "size inside": ", ".join(map(str, sizes)),
        "precision": segmenter.precision,
        **({} if segmenter.runtime == "torch" else {"runtime": segmenter.runtime}),
        "augmentation": args.tta or "none",
        "adapted to the first mask": "yes" if args.finetune is not None or segmenter.adapts else "no",
        "lost objects found by the features of": segmenter.describer.config.name if segmenter.describer else "none",
        "versions": {"vos_zoo": __version__, **{name: machine[name] for name in ("torch", "timm", "numpy", "python")}},
    }


def _print(args: argparse.Namespace, done: Mapping[str, Scores]) -> None:
    if len(args.model or args.results) == 1:
        (scores,) = done.values()
        print(scores.table())
        if args.json:
            scores.to_json(args.json)
        if args.csv:
            scores.to_csv(args.csv)
        return
    width = max(map(len, done))
    print(f"{'':<{width}}    J&F  J mean  recall   decay  F mean  recall   decay  frames/s")
    for label, scores in done.items():
        figures = "".join(f"{100 * value:8.1f}" for value in (*scores.j, *scores.f))
        speed = f"{scores.fps:10.2f}" if scores.fps else f"{'-':>10}"
        ended = "  interrupted" if scores.interrupted else ""
        print(f"{label:<{width}}{100 * scores.mean_jf:7.1f}{figures}{speed}{ended}")


def _report(
    args: argparse.Namespace, clips: Sequence[Clip], dataset: str, done: Mapping[str, Scores], tell: Callable[[str], object]
) -> Path:
    """Of this run's entrants, and of those that an earlier one left in the same folder."""
    from vos_zoo.evaluation.entry import entries
    from vos_zoo.evaluation.report.page import write_report
    from vos_zoo.evaluation.report.parts import Entrant
    from vos_zoo.evaluation.scores import Scores

    found: dict[str, tuple[Entry, Scores]] = {}
    for entry in entries(args.out):
        scores = done.get(entry.label)
        if scores is None:
            kept = entry.finished(clips, tell)
            scores = Scores([kept[clip.name] for clip in clips if clip.name in kept], legacy_decay=args.legacy_decay)
        if scores.clips:
            found[entry.label] = entry, scores
    order = [*(label for label in done if label in found), *(label for label in found if label not in done)]
    entrants = [Entrant(label, found[label][1], Path(found[label][0].masks), found[label][0].about) for label in order]
    return write_report(args.out / "report.html", entrants, clips, dataset)


def _watch(args: argparse.Namespace, several: bool) -> Watch:
    from vos_zoo.evaluation.run import Watch

    class Lines(Watch):
        """A line a clip; on a terminal the frames done below them."""

        terminal = is_terminal(sys.stderr)

        def begin(self, label: str, clips: int, finished: int) -> None:
            self._label, self._clips, self._done = label, clips, finished
            self._frames: dict[str, int] = {}
            if finished:
                self.tell(f"{label}: {finished} of {clips} clips were finished before")

        def frame(self, clip: str, done: int) -> None:
            self._frames[clip] = done
            if self.terminal:
                under_way = ", ".join(f"{name} frame {number}" for name, number in self._frames.items())
                tell(f"\r\033[K{self._label} {self._done}/{self._clips}: {under_way}"[:160], end="")

        def clip(self, score: ClipScore, done: int, clips: int) -> None:
            self._done = done
            self._frames.pop(score.name, None)
            who = f"{self._label} " if several else ""
            if not score.frames:
                self.tell(f"{who}{done}/{clips} {score.name}")
                return
            j, f = (100 * float(_mean(values)) for values in (score.j, score.f))
            self.tell(f"{who}{done}/{clips} {score.name}: J {j:.1f}, F {f:.1f}")

        def end(self) -> None:
            if self.terminal:
                tell("\r\033[K", end="")

        def tell(self, what: str) -> None:
            tell(f"{chr(13)}\033[K{what}" if self.terminal else what)

    class Quiet(Watch):
        """Only what was not expected."""

        def tell(self, what: str) -> None:
            tell(what)

    return Quiet() if args.no_progress else Lines()


def _mean(values: np.ndarray) -> float:
    import numpy as np

    return float(np.nanmean(values, axis=1).mean())


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)
