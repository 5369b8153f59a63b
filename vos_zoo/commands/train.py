"""vos-zoo train: train a model by its recipe, or fit a trained one to your own clips. The same command again goes on.

vos-zoo train crvos --data DATA --backbones DATA/backbones --out runs/crvos      a name's own recipe, or a file
vos-zoo train --from crvos --clips my_clips --out runs/mine                      my_clips/CLIP/frames and CLIP/masks
torchrun --nproc-per-node 4 -m vos_zoo.cli train crvos --data DATA ...           several GPUs, or machines

Any value of the recipe can be replaced: --set stages.0.lr=1e-4 --set stages.*.batch=16
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo import __version__
from vos_zoo.errors import DataError, VosZooError, VosZooWarning, did_you_mean
from vos_zoo.models.discovery import POINTING
from vos_zoo.system.streams import tell, usable_streams
from vos_zoo.system.termination import INTERRUPTED, TerminationAsInterrupt

if TYPE_CHECKING:
    from vos_zoo.commands.options import Subparsers
    from vos_zoo.models.base import VOSModel
    from vos_zoo.train.recipe import Recipe
    from vos_zoo.train.sources.stills import StillBank
    from vos_zoo.train.trainer import Trainer


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("train", help="train by a recipe, or fit a model to your clips", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", help="a YAML file, or the name of a model that comes with its recipe")
    parser.add_argument("--from", dest="start", metavar="MODEL", help="begin with these weights: a name, a folder or owner/repo")
    parser.add_argument("--clips", type=Path, metavar="FOLDER", help="your clips: fine-tune on them, no recipe needed")
    parser.add_argument("--data", type=Path, help="folder of the recipe's stills, clips and sources")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoint, log, recipe, pictures")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="replace a value of the recipe")
    parser.add_argument("--backbones", type=Path, metavar="FOLDER", help="where ImageNet trunks lie (safetensors)")
    parser.add_argument("--clips-index", type=Path, metavar="FILE", help="where the recipe's clips_index lies, if not in --data")
    parser.add_argument("--keep", type=float, default=0.7, metavar="SHARE",
                        help="fine-tuning: how much of the change is kept, the rest stays as it was (default 0.7)")  # fmt: skip
    parser.add_argument("--max-minutes", type=float, default=float("inf"), help="stop cleanly after this long")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: a GPU where there is one")
    parser.add_argument("--precision", default="auto", choices=("auto", "bfloat16", "float32"), help="of the arithmetic (default: bfloat16 "
                        "where the GPU or CPU computes in it, else float32, which is several times faster there)")  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, help="processes that draw batches ahead (default 1; 0: none)")
    parser.add_argument(
        "--memory", type=float, default=4.0, metavar="GIB", help="for decoded clips; more are decoded when drawn (default 4)"
    )
    parser.add_argument("--on-bad-data", choices=("skip", "stop"), default="skip", help="what to do when files are wrong (default skip)")
    parser.add_argument("--validate", metavar="LAYOUT:ROOT", help="score J&F on these clips now and then, and keep the best weights")
    parser.add_argument("--validate-every", type=int, default=500, metavar="STEPS")
    parser.add_argument("--save-every", type=int, default=200, metavar="STEPS")
    parser.add_argument("--log-every", type=int, default=20, metavar="STEPS")
    parser.add_argument("--sheet-every", type=int, default=500, metavar="STEPS", help="a picture of predictions (0: none)")
    parser.add_argument("--snapshot-every", type=int, default=0, metavar="STEPS", help="keep the averaged weights of these steps too")
    parser.add_argument("--no-tensorboard", action="store_true", help="no files for TensorBoard")
    parser.add_argument("--log-with", choices=("tensorboard", "trackio"), default="tensorboard", help="what draws the run's curves")


def run(args: argparse.Namespace) -> int:
    from vos_zoo.system.allocator import keep_freed_memory
    from vos_zoo.train.trainer import Trainer

    keep_freed_memory()
    fresh = not (args.out / "checkpoint.pt").exists()
    model, recipe = prepare(args, fresh)
    trainer: Trainer
    if recipe.architecture in POINTING:
        from vos_zoo.train.pointing import PointingTrainer

        if recipe.encoder is None:
            raise DataError(f"{recipe.architecture} reads the features of another model: add encoder: crvos to the recipe")
        trainer = PointingTrainer(model, trained(recipe.encoder)[0], recipe, args.device)
    else:
        trainer = Trainer(model, recipe, args.device, None if args.precision == "auto" else args.precision == "bfloat16")
    with own(args.out, trainer.processes.main):
        if recipe.keep:
            from vos_zoo.train.kept import KeptMaps

            trainer.encode = KeptMaps(model, args.out / "kept").encode
        return train_in(args, recipe, trainer, fresh)


def train_in(args: argparse.Namespace, recipe: Recipe, trainer: Trainer, fresh: bool = False) -> int:
    """Train in the run's folder, and write there what came of it. fresh: there is nothing in it yet."""
    from vos_zoo.train.batches import Batches
    from vos_zoo.train.data import load_data
    from vos_zoo.train.loop import Every, train
    from vos_zoo.train.pointing import PointingBatches
    from vos_zoo.train.provenance import record

    data = load_data(recipe, args.data, args.out / "cache", index=args.clips_index, memory=args.memory, on_bad_data=args.on_bad_data)
    if recipe.keys_from and fresh and not args.start:
        begin_keys(trainer, data.stills, recipe.keys_from)
    batches = (PointingBatches if recipe.architecture in POINTING else Batches)(recipe, data.stills, data.clips)
    validate = validator(args, recipe) if args.validate else None
    main = trainer.processes.main
    if main:
        print(f"{data}, {recipe.steps} steps on {trainer.processes.count} x {trainer.device}", flush=True)
        facts = {"data": data.fingerprint, "started_from": args.start or recipe.start, "processes": trainer.processes.count,
                 "precision": trainer.precision}  # fmt: skip
        record(args.out, recipe, __version__, facts)
    every = Every(args.log_every, args.save_every, args.sheet_every, args.validate_every if args.validate else 0, args.snapshot_every)
    try:
        done = train(
            trainer, batches, args.out, max_minutes=args.max_minutes, workers=args.workers, every=every, validate=validate,
            board="" if args.no_tensorboard and args.log_with == "tensorboard" else args.log_with,
        )  # fmt: skip
    except FloatingPointError as error:
        raise VosZooError(str(error)) from error
    if main and done and args.clips:
        print(f"done: {save_finetuned(args, recipe, trainer)}")
    elif main:
        print("done" if done else f"stopped at step {trainer.step}; the same command goes on")
    return 0


def begin_keys(trainer: Trainer, stills: StillBank | None, count: int) -> None:
    """Keys of the model, and of its average, as the recipe's `keys_from` has them begin."""
    from vos_zoo.train.keys import fit_keys

    if stills is None:
        raise DataError("keys_from wants stills, and the recipe names none: set stills, or keys_from to 0")
    fit_keys(trainer.model, stills, count)
    trainer.begin_from(trainer.model.state_dict())


def prepare(args: argparse.Namespace, fresh: bool) -> tuple[VOSModel, Recipe]:
    """The model as training begins, and what is done to it; VosZooError if the arguments don't go together."""
    from vos_zoo.train.recipe_file import load_recipe, with_changes

    if args.clips:
        if args.recipe or args.data or not args.start:
            raise VosZooError("--clips fine-tunes a model: give --from MODEL with it, and neither a recipe nor --data")
        from vos_zoo.train.finetune import check_share, finetune_recipe, size_of_clips

        check_share(args.keep)
        args.data = args.clips
        model, config = trained(args.start)
        recipe = finetune_recipe(model, config.architecture, config.model_args, size_of_clips(args.clips), config.training.get("recipe"))
        return model, with_changes(recipe, args.changes)
    if not args.recipe or not args.data:
        raise VosZooError("what is to be trained? Give a recipe and --data FOLDER, or --from MODEL and --clips FOLDER")
    recipe = load_recipe(recipe_path(args.recipe), args.changes)
    model_config(recipe, recipe.shipped_args)  # said of wrong ones before anything is loaded
    if args.start:
        return begun(args.start, recipe), recipe
    if recipe.start:
        model = begun(recipe.start, recipe, fits_keys=bool(recipe.keys_from), fresh=recipe.fresh)
        if recipe.trunk_of and fresh:
            take_trunk(model, recipe.trunk_of, recipe.fresh)
        return model, recipe
    for entry, file in (("backbone", recipe.backbone), ("dinov2", recipe.dinov2)):
        if file and fresh and args.backbones is None:
            raise VosZooError(f"this recipe starts from {file}: say --backbones FOLDER, or --set {entry}=null for random weights")
    import torch

    torch.manual_seed(recipe.seed)
    model = build(recipe, args.backbones if fresh else None)
    if recipe.trunk_of and fresh:
        take_trunk(model, recipe.trunk_of)
    return model, recipe


def begun(start: str, recipe: Recipe, fits_keys: bool = False, fresh: tuple[str, ...] = ()) -> VOSModel:
    """The recipe's model with the weights of a trained one.

    fits_keys: but for its keys, which it may be without; fresh: but for parameters of these prefixes, and its arguments may be others.
    """
    import torch

    from vos_zoo.train.keys import are_keys, keyless
    from vos_zoo.train.trainer import check_prefixes

    model, config = trained(start)
    if fresh:
        torch.manual_seed(recipe.seed)
    given, weights = build(recipe, None), model.state_dict()
    configs: list[object] = [model.config, given.config, model_config(recipe, recipe.shipped_args)]
    if fits_keys:
        configs = list(map(keyless, configs))
    if config.architecture != recipe.architecture or (not fresh and configs[0] not in configs[1:]):
        raise DataError(f"{start} is another model than the recipe's: {config.model_args} against {recipe.model_args}")
    check_prefixes("fresh", fresh, given)
    begins = {}
    for name, value in given.state_dict().items():
        if not ((fresh and name.startswith(fresh)) or (fits_keys and are_keys(name))):
            if name not in weights or weights[name].shape != value.shape:
                there = f"is {tuple(weights[name].shape)} there and {tuple(value.shape)} here" if name in weights else "is not there"
                raise DataError(f"{start} does not fit the recipe's model: {name} {there}; add it to fresh, or make model_args equal")
            value = weights[name]
        begins[name] = value
    given.load_state_dict(begins)
    return given


def recipe_path(text: str) -> Path:
    """The file, or the recipe of a model of that name."""
    from vos_zoo.checkpoints import catalogue

    if Path(text).suffix or Path(text).exists():
        return Path(text)
    path = catalogue.homes().get(text, catalogue.folder() / text) / "recipe.yaml"
    if not path.is_file():
        with_recipe = [name for name, home in catalogue.homes().items() if (home / "recipe.yaml").is_file()]
        hint = did_you_mean(text, with_recipe)
        raise DataError(f"there is no recipe {text!r}: give a YAML file, or one of {', '.join(with_recipe)}.{hint}")
    return path


def model_config(recipe: Recipe, arguments: dict[str, Any]) -> Any:
    """The Config of the recipe's architecture with these arguments; DataError or CheckpointError if they can't be."""
    from vos_zoo.checkpoints.arguments import checked_args
    from vos_zoo.models.discovery import architecture_class

    kind = architecture_class(recipe.architecture).Config
    try:
        return kind(**checked_args(kind, arguments, source="the recipe"))
    except ValueError as error:
        raise DataError(f"{recipe.architecture} as the recipe wants it: {error}") from error


def build(recipe: Recipe, backbones: Path | None) -> VOSModel:
    """The recipe's model, its trunks from a file under `backbones` where both are given."""
    from vos_zoo.models.discovery import architecture_class
    from vos_zoo.train.trainer import scale_start

    model = architecture_class(recipe.architecture)(model_config(recipe, recipe.model_args))
    scale_start(model, recipe.scaled)
    if recipe.backbone and backbones is not None:
        file, trunks = backbones / recipe.backbone, model.trunks()
        if not trunks:
            raise DataError(f"{recipe.architecture} has no trunk to start from {recipe.backbone}; take `backbone` out of the recipe")
        if not file.is_file():
            raise DataError(f"there is no {file}, the trunk that this recipe starts from; say --backbones FOLDER")
        try:
            for trunk in trunks:
                trunk.load_imagenet(file)  # type: ignore[operator]
        except ValueError as error:
            raise DataError(str(error)) from error
    if recipe.dinov2 and backbones is not None:
        dino, file = getattr(model, "dino", None), backbones / recipe.dinov2
        if dino is None:
            raise DataError(f"{recipe.architecture} has no DINOv2 to start from {recipe.dinov2}; take `dinov2` out of the recipe")
        if not file.is_file():
            raise DataError(f"there is no {file}, the DINOv2 that this recipe starts from; say --backbones FOLDER")
        try:
            dino.load_dinov2(file)
        except ValueError as error:
            raise DataError(str(error)) from error
    return model


def take_trunk(model: VOSModel, name: str, fresh: tuple[str, ...] = ("",)) -> None:
    """Start all trunks of a model whose names begin with one of these prefixes from the first trunk of a trained one.

    DataError if they are of different kinds.
    """
    source = trained(name)[0].trunks()
    those = {id(trunk) for trunk in model.trunks()}
    given: list[Any] = [trunk for at, trunk in model.named_modules() if id(trunk) in those and at.startswith(fresh)]
    if not source or not given:
        raise DataError(f"trunk_of: {name}: there is no trunk to " + ("take" if not source else "give it to"))
    for trunk in given:
        if trunk.stride_on != source[0].stride_on:
            raise DataError(
                f"trunk_of: {name}: its stride_on is {source[0].stride_on!r}, that of model_args {trunk.stride_on!r}; make them equal"
            )
    try:
        for trunk in given:
            trunk.take(source[0].net.state_dict())  # type: ignore[union-attr]
    except ValueError as error:
        raise DataError(f"trunk_of: {name}: {error}") from error


def trained(name: str) -> tuple[VOSModel, Any]:
    """A model with its weights, in float32 and ready to learn, and its config. DataError for several that are joined."""
    from vos_zoo.checkpoints.sources import joined
    from vos_zoo.zoo import load

    if len(joined(name)) > 1:
        raise DataError(f"{name}: one model is trained at a time; name one of them")
    segmenter = load(name, device="cpu", dtype="float32", redetection=False)
    return segmenter.model.requires_grad_(True), segmenter.config


def validator(args: argparse.Namespace, recipe: Recipe) -> Any:
    """A function that scores a model on --validate: J&F in percent, as `vos-zoo evaluate` computes it."""
    import copy

    from vos_zoo.checkpoints.config import ModelConfig, Preprocess
    from vos_zoo.evaluation.datasets import load_dataset
    from vos_zoo.evaluation.evaluate import evaluate
    from vos_zoo.segmenter import Segmenter

    clips = load_dataset(args.validate)
    beside = None if args.clips or args.start else recipe_path(args.recipe).parent / "config.json"
    if args.start:
        preprocess = trained(args.start)[1].preprocess
    elif beside is not None and beside.is_file():
        preprocess = ModelConfig.read(beside).preprocess
    else:
        preprocess = Preprocess(recipe.stages[-1].size[0])
    config = ModelConfig(name="in-training", architecture=recipe.architecture, preprocess=preprocess)

    def score(model: VOSModel) -> float:
        segmenter = Segmenter(copy.deepcopy(model), config, device=str(next(model.parameters()).device))
        return 100 * evaluate(segmenter, clips, progress=lambda *done: None).mean_jf

    return score


@contextmanager
def own(out: Path, main: bool) -> Iterator[None]:
    """The run's folder, for this run alone as long as the block lasts. Says at the start, not after an hour, that it can't be written."""
    from vos_zoo.system.atomic import atomic_write
    from vos_zoo.system.lock import writing_alone

    with atomic_write(out / ".writable") as temporary:
        temporary.touch()
    (out / ".writable").unlink(missing_ok=True)
    if not main:  # rank 0 writes, and holds the lock for all
        yield
        return
    with writing_alone(out):
        yield


def save_finetuned(args: argparse.Namespace, recipe: Recipe, trainer: Trainer) -> Path:
    """The checkpoint folder OUT/model: what `load` and every command take."""
    from vos_zoo.train.finetune import between
    from vos_zoo.train.provenance import provenance
    from vos_zoo.zoo import create, load

    before = load(args.start, device="cpu", dtype="float32")
    segmenter = create(before.config, device="cpu", dtype="float32")
    after = {name: value.cpu() for name, value in trainer.average.items()}
    segmenter.model.load_state_dict(between(before.model.state_dict(), after, args.keep))
    training = {
        **provenance(args.out, recipe, __version__),
        "steps": trainer.step,
        "weights": f"{args.keep:g} of the way from {args.start} to the average of the fine-tuned weights",
        "before": before.config.training,
    }
    segmenter.config = before.config.replace(name=f"{before.config.name}-finetuned", weights=None, training=training, metrics=[])
    return segmenter.save_pretrained(args.out / "model", overwrite=True)


def main(argv: list[str] | None = None) -> int:
    """The command as a program of its own: tools/train.py."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    with usable_streams(), TerminationAsInterrupt() as termination, warnings.catch_warnings():
        show = warnings.showwarning
        warnings.showwarning = lambda message, category, *rest, **more: (
            tell(f"warning: {message}") if issubclass(category, VosZooWarning) else show(message, category, *rest, **more)
        )
        try:
            return run(parser.parse_args(argv))
        except VosZooError as error:
            tell(f"error: {error}")
            return 2
        except KeyboardInterrupt:
            tell("interrupted; the same command goes on from the last checkpoint")
            return termination.status(INTERRUPTED)
