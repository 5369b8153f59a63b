"""Make a checkpoint again from data to card, by its recipe: train, export, evaluate, card.

    python tools/make_checkpoint.py crvos --data DATA --backbones DATA/backbones --clips CLIPS --runs runs

A run that was stopped goes on with the same command; what is done already is not done again, but for the evaluation. --set replaces values
of the recipe, as for vos-zoo train, and --into writes elsewhere than hub_configs/NAME. What stands behind -- goes to vos-zoo train, for
instance -- --max-minutes 60 --workers 2.
"""

from __future__ import annotations

import argparse
import runpy
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from vos_zoo import cli
from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.errors import VosZooError
from vos_zoo.train.recipe_file import load_recipe

TOOLS = Path(__file__).resolve().parent
SIX = "DAVIS-2016, 6 of its 20 sequences (car-shadow, dance-twirl, goat, kite-surf, libby, soapbox)"
SCORED = {  # data set, as the card names it -> its clips under --clips
    SIX: "davis2016val__*",
    "DAVIS-2017 dogs-jump, 3 objects, 240p": "davis2017val__dogs-jump",
    "SegTrack girl": "segtrack__girl",
}


def main(arguments: list[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words else len(words)
    options = _parser().parse_args(words[:end])
    options.train = words[end + 1 :]
    try:
        return make(options)
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def make(options: argparse.Namespace) -> int:
    home = catalogue.folder() / options.name
    recipe_file, into, run = home / "recipe.yaml", options.into or home, options.runs / options.name
    steps = load_recipe(recipe_file, options.changes).steps
    config = ModelConfig.read(home / "config.json")
    if not config.licence or not config.training.get("data"):
        where = home / "config.json"
        raise VosZooError(f"{where} lacks the terms of the weights (licence) or of their data (training: data); write them there first")
    changes = [word for change in options.changes for word in ("--set", change)]
    backbones = ["--backbones", options.backbones] if options.backbones else []
    index = ["--clips-index", options.clips_index] if options.clips_index else []
    _vos_zoo("train", recipe_file, "--data", options.data, *backbones, *index, *changes, "--out", run, *options.train)
    done = _steps(run)
    if done < steps:
        print(f"the training stopped at step {done} of {steps}; the same command goes on")
        return 1
    if into != home:
        into.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "recipe.yaml"):
            shutil.copyfile(home / name, into / name)
    _call("export_checkpoint.py", run, into, "--keep-notes")
    finds = bool(config.model_args.get("zero_shot"))  # is told no mask
    layout, how = ("folder-unsupervised", ", best proposal") if finds else ("folder", "")
    for dataset, pattern in SCORED.items() if options.clips else ():
        said = f"vos-zoo evaluate --model {options.name} --dataset {layout}:CLIPS --only {shlex.quote(pattern)}"
        with tempfile.TemporaryDirectory() as folder:
            scores = Path(folder) / "scores.json"
            _vos_zoo("evaluate", "--model", into, "--dataset", f"{layout}:{options.clips}", "--only", pattern, "--json", scores)
            _call("make_card.py", into, "--scores", scores, "--dataset", dataset + how, "--split", "val", "--command", said)
    _call("make_card.py", into)
    return 0


def _steps(run: Path) -> int:
    import torch

    return int(torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)["step"])


def _vos_zoo(*arguments: object) -> None:
    words = [str(word) for word in arguments]
    _say("vos-zoo", words)
    _check("vos-zoo " + words[0], cli.main(words))


def _call(tool: str, *arguments: object) -> None:
    """Runs a program of this folder, in this process: each new one would import torch anew."""
    before, sys.argv = sys.argv, [str(TOOLS / tool), *map(str, arguments)]
    _say(tool, sys.argv[1:])
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        _check(tool, end.code)
    finally:
        sys.argv = before


def _say(program: str, words: list[str]) -> None:
    print(f"+ {program} {shlex.join(words)}", flush=True)


def _check(program: str, status: str | int | None) -> None:
    if status:
        said = status if isinstance(status, str) else f"status {status}; see what it says above"
        raise VosZooError(f"{program} ended with {said}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="a folder of hub_configs with a config.json and a recipe.yaml")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="as for vos-zoo train")
    parser.add_argument("--backbones", type=Path, metavar="FOLDER", help="as for vos-zoo train")
    parser.add_argument("--clips-index", type=Path, metavar="FILE", help="as for vos-zoo train")
    parser.add_argument("--clips", type=Path, metavar="FOLDER", help="the validation clips; without them nothing is evaluated")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="where training runs are kept (default: runs)")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="where the checkpoint is written (default: hub_configs/NAME)")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="as for vos-zoo train")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
