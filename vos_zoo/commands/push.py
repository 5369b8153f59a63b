"""vos-zoo push: publish a checkpoint, or a Space, on the Hugging Face Hub.

vos-zoo push my_checkpoint --repo-id me/crvos-cells --dry-run
vos-zoo push my_checkpoint --repo-id me/crvos-cells --tag v1
vos-zoo push --space me/vos-zoo --browser

Config, licence, card and weights are checked before anything is sent; all goes in one commit, which is then loaded back. The token is
that of `hf auth login`, or HF_TOKEN.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.commands import demo
from vos_zoo.errors import VosZooError

if TYPE_CHECKING:
    from vos_zoo.commands.options import Subparsers


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("push", help="publish a checkpoint on the Hugging Face Hub", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="a checkpoint folder, or a name of vos-zoo list; with --space: demo/ of this vos_zoo"
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--repo-id", metavar="OWNER/NAME", help="repository for the checkpoint, made if it is not there")
    target.add_argument("--space", metavar="OWNER/NAME", help="send FOLDER as a Space instead")
    parser.add_argument("--browser", action="store_true",
                        help=f"with --space: the page that computes in the browser, a static Space; built into FOLDER unless it is there "
                             f"(default: {demo.SITE})")  # fmt: skip
    parser.add_argument("--private", action="store_true", help="make a new repository private; an existing one keeps its visibility")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--revision", metavar="BRANCH", help="branch to commit to, made if it is not there (default: main)")
    where.add_argument("--create-pr", action="store_true", help="open a pull request instead of committing to the branch")
    parser.add_argument("--tag", help="name for the commit, for instance v1; a tag that is there is never moved")
    parser.add_argument("--commit-message", metavar="TEXT", help="default: Publish or Update NAME with vos_zoo")
    parser.add_argument("--dry-run", action="store_true", help="check everything, print what would be sent and the card, send nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from vos_zoo.publish.checkpoint import checkpoint_parcel
    from vos_zoo.publish.parcel import checked_repo_id
    from vos_zoo.publish.push import push
    from vos_zoo.publish.space import space_parcel
    from vos_zoo.segmenter import Segmenter

    load = Segmenter.from_source
    if args.browser and not args.space:
        raise VosZooError("--browser is for the page as a Space: say which, --space owner/name")
    if args.browser:
        checked_repo_id(args.space)  # before the page is built
        site = Path(args.folder or demo.SITE).expanduser()
        demo.built(site)
        parcel = space_parcel(site, args.space)
    elif args.space:
        parcel = space_parcel(args.folder or demo.folder(), args.space)
    else:
        parcel = checkpoint_parcel(_folder(args.folder), args.repo_id, load=load)
    print(parcel.table())
    if args.dry_run:
        print(f"\nREADME.md:\n\n{parcel.text('README.md')}\nThis was a dry run: nothing was sent.")
        return 0
    done = push(parcel, load=load, private=args.private, revision=args.revision, create_pr=args.create_pr, tag=args.tag,
                message=args.commit_message, say=lambda line: print(line, flush=True))  # fmt: skip
    print(done)
    return 0


def _folder(given: str | None) -> str:
    from vos_zoo.checkpoints import catalogue

    if given is None:
        raise VosZooError("what is to be published? Give the folder of a checkpoint: vos-zoo push FOLDER --repo-id owner/name")
    if not Path(given).expanduser().is_dir() and given in catalogue.names():
        return str(catalogue.folder_of(given))
    return given
