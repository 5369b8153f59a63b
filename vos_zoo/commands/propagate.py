"""vos-zoo propagate VIDEO --mask MASK: the masks of every frame, from the mask of one.

vos-zoo propagate --example
vos-zoo propagate bear.mp4 --point 320,240 --preview seen.png
vos-zoo propagate bear.mp4 --mask first.png --out bear --save masks,overlay,coco

Without --save it writes into the folder --out: masks/ (an indexed PNG a frame, and sequence.json) and overlay.mp4.
Ctrl-C ends it early; the masks of the frames done so far are saved.

Many clips: VIDEO is a folder of videos or clip folders, or a manifest (.csv, .jsonl) with video, mask, masks, out.

vos-zoo propagate clips --out results
vos-zoo propagate clips.csv --out results --devices cuda:0,cuda:1

The first mask of bear.mp4, or of the folder of frames bear/, is bear.png, bear_mask.png or bear.npy beside it, or lies in --masks-dir;
that of bear/frames lies in bear/masks, where the first mask of each object is taken, so objects may begin late. Each result goes to
--out/NAME/, masks only unless --save says more. All files are looked for first; clips with problems are left out, and the exit status is
then 1. Run it again and it goes on where it stopped. See
docs/how-to/many-clips.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vos_zoo.commands import jobs
from vos_zoo.commands.options import ModelChoice, add_model_options, add_progress_option, internal_size, load_model, say
from vos_zoo.commands.prompts import add_prompt_options, prompts_of, save_preview
from vos_zoo.errors import SaveError, VosZooError, VosZooWarning
from vos_zoo.jobs.folder import VIDEO_SUFFIXES
from vos_zoo.masks.outputs import FILES, WITHOUT_VIDEO, check_forms, chosen_forms, save_form
from vos_zoo.system.leftovers import contents
from vos_zoo.system.lock import LOCK_FILE, writing_alone
from vos_zoo.system.streams import tell
from vos_zoo.videos.opening import BACKENDS, path_of

if TYPE_CHECKING:
    from vos_zoo.commands.options import Subparsers
    from vos_zoo.example.clip import Example
    from vos_zoo.masks.sequence import MaskSequence
    from vos_zoo.masks.source import MaskLike
    from vos_zoo.segmenter import Segmenter
    from vos_zoo.videos.source import VideoSource

EXAMPLE_SIZE = (480, 864)
MODEL, EXAMPLE_MODEL = "crvos", "crvos-resnet18"  # unless --model says which


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("propagate", help="masks of every frame from the mask of one", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("video", nargs="?", metavar="VIDEO", help="a video file, a folder of images, or a stream URL; for many clips a "
                        "folder of those, or a manifest")  # fmt: skip
    parser.add_argument("first_mask", nargs="?", metavar="MASK", help="the same as --mask MASK")
    parser.add_argument("--mask", help="mask of the first frame: an indexed PNG, a black-and-white or RGBA image, an .npy file")
    parser.add_argument("--colours", action="store_true", help="--mask is a picture with one colour an object, any colours: they are "
                        "numbered, and told")  # fmt: skip
    parser.add_argument("--masks", metavar="FOLDER", help="masks of several frames, named or numbered (from 0) like the frames")
    parser.add_argument("--example", action="store_true", help="a clip that vos_zoo renders itself; prints J and F against its exact masks")
    parser.add_argument("--model", help=f"name (see vos-zoo list), folder, or owner/repo on the Hub (default: {MODEL}, for --example "
                        f"{EXAMPLE_MODEL}); several joined by +, as in crvos+scm, decide together")  # fmt: skip
    parser.add_argument("--out", type=jobs.place, metavar="FOLDER", help="where the results go (default: VIDEO_masks); of many "
                        "clips also an address that fsspec knows, such as s3://BUCKET/FOLDER")  # fmt: skip
    parser.add_argument("--save", metavar="FORM,...",
                        help=f"what to write, of {', '.join(FILES)} (default: masks,overlay; of many clips masks)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace results in --out; of many clips, do all again")
    parser.add_argument("--direction", choices=("forward", "backward", "both"), default="forward",
                        help="forward from the first mask (default), backward from the last of --masks, or both")  # fmt: skip
    parser.add_argument("--size", type=internal_size, help="size inside the model: shorter side, HEIGHTxWIDTH or native; results keep the "
                        "video's size")  # fmt: skip
    parser.add_argument("--finetune", nargs="?", type=int, const=True, default=None, metavar="STEPS",
                        help="first adapt a copy of the model to the annotated frames: slower, better for most")  # fmt: skip
    parser.add_argument("--tta", choices=("flip", "scales", "both"), help="average over mirrored frames, over three sizes, or over both")
    parser.add_argument("--resize-mask", action="store_true", help="bring a mask of another size to the video's")
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="video reader")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_prompt_options(parser)
    add_progress_option(parser)
    add_model_options(parser)
    jobs.add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    _take_position(args)
    args.model = args.model or (EXAMPLE_MODEL if args.example else MODEL)
    if (clips := jobs.clips_of(args)) is not None:
        return jobs.run(args, clips)
    _check_what(args)
    forms = _checked_forms(args)
    out, overwrite = _checked_out(args)
    with writing_alone(out):
        return _run_alone(args, forms, out, overwrite)


def _run_alone(args: argparse.Namespace, forms: list[str], out: Path, overwrite: bool) -> int:
    """One video, into a folder that no other run is writing to."""
    example: Example | None = None
    if args.example:
        segmenter = load_model(ModelChoice.of(args))
        say("rendering the example", args.no_progress)
        from vos_zoo.example.clip import OVERLAY, render_example

        example = render_example(size=EXAMPLE_SIZE)
        video, first_mask = example.frames, example.masks[0]
    else:
        video, first_mask = _opened(args)
        check_forms(forms, video)
        segmenter = load_model(ModelChoice.of(args))
        _check_objects(segmenter, args)
    begun = time.perf_counter()
    masks, ended = _propagated(segmenter, video, first_mask, args)
    seconds = time.perf_counter() - begun
    done = int(masks.computed.sum())
    result: dict[str, Any] = {
        "model": segmenter.config.name,
        "device": str(segmenter.device),
        "frames": done,
        "object_ids": list(masks.object_ids),
        "seconds": round(seconds, 3),
        "frames_per_second": round(done / seconds, 2),
        "interrupted": ended is not None,
    }
    if example is not None:
        result |= _scores(example, masks)
        masks.fps = example.fps
    numbers = masks.frame_indices
    result["lost"] = {str(k): [numbers[t] for t in masks.lost[:, n].nonzero()[0]] for n, k in enumerate(masks.object_ids)}
    with warnings.catch_warnings():
        if ended is not None:  # that the video goes on after the last mask is no news
            warnings.simplefilter("ignore", VosZooWarning)
        colours = OVERLAY if example is not None else None
        result["files"] = _save(args, masks, video, out, forms, overwrite, colours)
    print(json.dumps(result, indent=2) if args.json else f"{_words(result)}\n{_next(args, result)}")
    if ended is not None:
        tell(f"vos-zoo: ended early; {_count(done, 'finished frame')} saved in {out}")
        raise ended
    return 0


def _take_position(args: argparse.Namespace) -> None:
    """MASK behind VIDEO is --mask. VosZooError if both are given, or if they were swapped."""
    if args.first_mask is not None:
        if args.mask is not None:
            raise VosZooError(f"two first masks are given, {args.first_mask} and {args.mask}: leave one out")
        args.mask = args.first_mask
    if args.video and args.mask and _is_picture(args.video) and (_is_clip(args.mask) or Path(args.mask).is_dir()):
        raise VosZooError(
            f"{args.video} is an image and {args.mask} is none: were they swapped? vos-zoo propagate {args.mask} --mask {args.video}"
        )


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".npy")


def _is_clip(name: str) -> bool:
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def _check_what(args: argparse.Namespace) -> None:
    if args.example:
        if args.video or args.mask or args.masks or prompts_of(args):
            raise VosZooError("--example brings its own video and mask: leave VIDEO, --mask, --masks and --point out")
        return
    if not args.video:
        raise VosZooError("which video? Try vos-zoo propagate --example, or give yours: vos-zoo propagate VIDEO --point X,Y")
    if args.colours and not args.mask:
        raise VosZooError("--colours says how --mask is to be read: give the picture, --mask FILE")
    if args.direction == "backward" and not args.masks:
        raise VosZooError("--direction backward has nothing to go back to from the first frame: give the masks of later frames by --masks "
                          "FOLDER")  # fmt: skip


def _check_objects(segmenter: Segmenter, args: argparse.Namespace) -> None:
    if not (args.mask or args.masks or prompts_of(args) or segmenter.finds_objects):
        raise VosZooError(f"which objects? Point at one in the first frame, vos-zoo propagate {args.video} --point X,Y, or give its mask, "
                          "--mask first.png (an indexed or black-and-white image of the video's size)")  # fmt: skip


def _checked_forms(args: argparse.Namespace) -> list[str]:
    forms = chosen_forms("masks,overlay" if args.save is None else args.save)
    if _is_stream(args.video) and set(forms) - WITHOUT_VIDEO:
        raise VosZooError("a stream can be read only once, so nothing can be drawn on it afterwards: add --save masks, zip or coco, or "
                          "record it to a file first")  # fmt: skip
    return forms


def _checked_out(args: argparse.Namespace) -> tuple[Path, bool]:
    """The folder for the results, and whether results in it may be replaced."""
    out = args.out
    if isinstance(out, str):
        raise SaveError(f"the results of one video go to a folder here, not to {out}: choose another --out")
    if out is None and args.example:
        return _writable(Path("vos_zoo_example")), True
    if out is None:
        name = Path(urlsplit(args.video).path) if _is_stream(args.video) else (path_of(args.video) or Path(args.video)).resolve()
        out = Path(f"{name.stem or 'video'}_masks")
    if out.exists() and not out.is_dir():
        raise SaveError(f"{out} is a file, and the results need a folder: choose another --out")
    if out.exists() and any(each.name != LOCK_FILE for each in contents(out)) and not args.overwrite:
        raise SaveError(f"{out} is there already and not empty: choose another --out, or add --overwrite")
    return _writable(out), args.overwrite


def _writable(out: Path) -> Path:
    nearest = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise SaveError(f"nothing can be written to {out}, since {nearest} is {'read-only' if nearest.is_dir() else 'a file'}: choose "
                        "another --out")  # fmt: skip
    return out


def _is_stream(video: str | None) -> bool:
    return video is not None and path_of(video) is None


def _opened(args: argparse.Namespace) -> tuple[Any, Any]:
    """The video and the first mask, so that a wrong one is told before a model is loaded."""
    from vos_zoo.masks.read import read_mask
    from vos_zoo.videos.video import open_video

    video = open_video(args.video, backend=args.backend)
    size = (video.height, video.width)
    mask = None
    if args.mask is not None:
        given = _numbered(args.mask) if args.colours else args.mask
        mask = read_mask(given, size=size, resize=args.resize_mask, name=f"the mask {args.mask}")
    prompts = prompts_of(args, mask)
    if prompts is None:
        if args.preview:
            raise VosZooError("--preview shows what was understood of --point, --box or --scribble: give one of them, or leave it out")
        return video, mask
    from vos_zoo.pointing.video import mask_of

    prompts.read(size, mask.ids if mask else ())
    found = mask_of(video.first(), prompts, device=args.device)
    if args.preview:
        save_preview(args.preview, video.first(), found.labels, prompts)
        tell(f"vos-zoo: {args.preview} shows what was understood; if that is not it, stop with Ctrl-C and point again")
    return video, found


def _numbered(path: str) -> Any:
    """The mask of a picture in any colours; tells which colour became which number."""
    from vos_zoo.masks.colours import number_colours

    labels, colours = number_colours(path)
    tell("vos-zoo: " + ", ".join(f"object {k} is #{r:02x}{g:02x}{b:02x}" for k, (r, g, b) in colours.items()))
    return labels


def _propagated(
    segmenter: Segmenter, video: VideoSource, first_mask: MaskLike | None, args: argparse.Namespace
) -> tuple[MaskSequence, BaseException | None]:
    """The masks, and what ended the work early, if anything did: then the masks are those of the frames done."""
    try:
        masks = segmenter.propagate(
            video,
            first_mask,
            masks=args.masks,
            direction=args.direction,
            size=args.size,
            resize_mask=args.resize_mask,
            tta=True if args.tta == "both" else args.tta,
            finetune=args.finetune,
            progress=False if args.no_progress else None,
        )
        return masks, None
    except BaseException as ended:
        found: MaskSequence | None = getattr(ended, "masks", None)
        if found is None or not found.computed.any():
            raise
        computed = found.computed.nonzero()[0]
        return found[int(computed[0]) : int(computed[-1]) + 1], ended


def _save(
    args: argparse.Namespace,
    masks: MaskSequence,
    video: VideoSource,
    out: Path,
    forms: list[str],
    overwrite: bool,
    colours: Mapping[int, str] | None,
) -> dict[str, str]:
    saved: dict[str, str] = {}
    try:
        for form in forms:
            say(f"writing {out / FILES[form]}", args.no_progress)
            saved[form] = str(save_form(form, masks, video, out, overwrite=overwrite, colours=colours))
    except BaseException:
        if saved:
            tell(f"vos-zoo: not everything could be written, but this was: {', '.join(saved.values())}")
        raise
    return saved


def _scores(example: Example, masks: MaskSequence) -> dict[str, float]:
    import numpy as np

    from vos_zoo.evaluation.metrics import boundary_f, jaccard

    scored = range(1, len(masks) - 1)  # as DAVIS does
    if not scored:
        return {}
    truth = example.masks[scored.start : scored.stop] == 1
    found = np.stack([masks.mask_of(t, 1) for t in scored])
    return {
        "J": round(100 * float(jaccard(truth, found).mean()), 1),
        "F": round(100 * float(boundary_f(truth, found).mean()), 1),
    }


def _words(result: dict[str, Any]) -> str:
    lines = [
        f"{result['model']} on {result['device']}: {_count(result['frames'], 'frame')}, {_count(len(result['object_ids']), 'object')}, "
        f"{result['frames_per_second']} frames per second"
    ]
    if "J" in result:
        lines.append(f"against the exact masks: J {result['J']}, F {result['F']} (of 100)")
    for k, frames in result["lost"].items():
        if frames:
            lines.append(f"object {k} was out of sight or uncertain in {_count(len(frames), 'frame')}, first in frame {frames[0]}")
    lines += [f"{form + ':':<14}{path}" for form, path in result["files"].items()]
    return "\n".join(lines)


def _next(args: argparse.Namespace, result: dict[str, Any]) -> str:
    """The command that is most likely of use after this one."""
    if args.example:
        return "next:         vos-zoo propagate VIDEO --point X,Y, with a video and a pixel of the object in its first frame"
    if first := min((frames[0] for frames in result["lost"].values() if frames), default=0):
        return f"next:         vos-zoo frame {args.video} --at {first} --out {first:05d}.png, to point at what was lost there"
    return f"next:         vos-zoo propagate {args.video} ... --save coco,cutouts --overwrite, for other forms: {', '.join(FILES)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
