"""Publish a checkpoint folder on the Hugging Face Hub, or demo/ as a Space: with a server, or without one (--browser).

    python tools/push_to_hub.py FOLDER --repo-id owner/name [--private] [--revision BRANCH | --create-pr] [--tag v1] [--dry-run]
    python tools/push_to_hub.py --space owner/name [--browser]

The same as `vos-zoo push`; what is checked and how it is sent is in vos_zoo/publish/.
"""

from __future__ import annotations

import sys

from vos_zoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["push", *sys.argv[1:]]))
