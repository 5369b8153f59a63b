"""Turn weights as a model's authors published them into a folder that vos_zoo.load takes.

    python tools/convert_weights.py crvos CRVOS_best.tar --out models/crvos
    python tools/convert_weights.py rvos encoder.pt decoder.pt --out models/rvos
    python tools/convert_weights.py stm STM_weights.pth --out models/stm

Then: vos_zoo.load("models/crvos"), or vos-zoo propagate --model models/crvos. The terms of the weights stay their authors'; config.json and
the card say them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vos_zoo.errors import VosZooError


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    from vos_zoo.checkpoints.config import ModelConfig
    from vos_zoo.convert import crvos, rvos, stm

    try:
        if args.model == "rvos":
            folder = rvos.convert(args.encoder, args.decoder, args.out, dtype=args.dtype)
        else:
            folder = (crvos if args.model == "crvos" else stm).convert(args.file, args.out, dtype=args.dtype)
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    config = ModelConfig.read(folder / "config.json")
    print(f"{folder}: {config.name}, {(config.parameters or 0) / 1e6:.2f} M parameters, loaded and tried")
    print(f"terms of the weights: {config.licence}")
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = top.add_subparsers(dest="model", required=True, metavar="MODEL")
    for name, files in (
        ("crvos", {"file": "CRVOS_best.tar"}),
        ("rvos", {"encoder": "encoder.pt", "decoder": "decoder.pt"}),
        ("stm", {"file": "STM_weights.pth"}),
    ):
        model = models.add_parser(name, help=f"from {' and '.join(files.values())}")
        for argument, example in files.items():
            model.add_argument(argument, type=Path, metavar=argument.upper(), help=f"the authors' {example}")
        model.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder to make")
        model.add_argument(
            "--dtype", default="float32", choices=("float32", "float16", "bfloat16"), help="of the stored weights (default float32, exact)"
        )
    return top


if __name__ == "__main__":
    sys.exit(main())
