"""Train a model by its recipe: the program behind `vos-zoo train`, for torchrun and accelerate launch.

    python tools/train.py hub_configs/crvos/recipe.yaml --data DATA --backbones DATA/backbones --out runs/crvos
    torchrun --nproc-per-node 4 tools/train.py hub_configs/crvos/recipe.yaml --data DATA --out runs/crvos

DATA holds the recipe's folders of stills (NAME/images, NAME/masks), clips (NAME/frames, NAME/masks) and sources.
"""

from __future__ import annotations

import sys

from vos_zoo.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
