"""Store the trunk that several shipped checkpoints have once, so that the wheel holds it once.

    python tools/share_trunk.py resnet50-pruned crvos crvos-stills rvos rvos-zeroshot acclvos
    python tools/share_trunk.py resnet50-pruned scm --prefix query_trunk.net.

The trunk goes to hub_configs/trunks/NAME.safetensors, which must not hold another one; each checkpoint keeps what is left. Loading and
publishing put both together again: the weights, and their SHA-256, stay what they were.
"""

from __future__ import annotations

import argparse
import sys

from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.shared import share
from vos_zoo.errors import VosZooError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trunk", help="name of the file in hub_configs/trunks, without its ending")
    parser.add_argument("models", nargs="+", help="names of shipped checkpoints")
    parser.add_argument("--prefix", default="trunk.net.", help="of the trunk's tensors in these checkpoints")
    args = parser.parse_args()
    for name in args.models:
        share(catalogue.folder_of(name), args.trunk, args.prefix)
        print(f"{name}: its trunk is {catalogue.trunk_file(args.trunk)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VosZooError as error:
        sys.exit(f"error: {error}")
