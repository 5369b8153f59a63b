"""The command line: vos-zoo COMMAND.

Exit codes: 0 done, 1 an unexpected failure, 2 wrong arguments or input (the message says what to do), 130 interrupted,
141 nobody reads the output any more (as after | head), 143 ended by SIGTERM.
Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vos_zoo import __version__
from vos_zoo.commands import demo, download, evaluate, export, frame, info, listing, point, propagate, push, train
from vos_zoo.errors import VosZooError, VosZooWarning
from vos_zoo.system.machine import shortage
from vos_zoo.system.streams import tell, usable_streams
from vos_zoo.system.termination import BROKEN_PIPE, INTERRUPTED, Terminated, TerminationAsInterrupt

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

FIRST_STEPS = """\
first steps:
  vos-zoo propagate --example                  a clip that needs no download
  vos-zoo propagate bear.mp4 --point 320,240   your own; a pixel of the object in the first frame
  vos-zoo frame bear.mp4 --out first.jpg       the first frame, to draw a mask on
  vos-zoo propagate bear.mp4 --mask first.png  the same, by a mask of the first frame
  vos-zoo COMMAND --help                       all options

exit codes: 0 done, 1 unexpected failure, 2 wrong arguments or input, 130 interrupted, 141 nobody reads the output,
143 ended by SIGTERM
"""


class Parser(argparse.ArgumentParser):
    """One that tells when nobody reads its help; argparse passes over that."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        if file is sys.stdout:
            print(message, end="")
        else:
            super()._print_message(message, file)


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog="vos-zoo",
        description="Video object segmentation: a video and one mask in, every mask out.",
        epilog=FIRST_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"vos_zoo {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (listing, info, frame, point, propagate, evaluate, train, export, push, download, demo):
        module.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """The program.

    Args:
        argv: its arguments; default: those of the process.

    Returns:
        The exit status, as this module's first lines list them.
    """
    with usable_streams():
        try:
            args = parser().parse_args(argv)
        except BrokenPipeError:
            _flushed()
            return BROKEN_PIPE
        except SystemExit:  # what --help says may have nobody who reads it
            if not _flushed():
                return BROKEN_PIPE
            raise
        with TerminationAsInterrupt() as termination, warnings.catch_warnings():
            warnings.showwarning = _warning_printer(warnings.showwarning)
            return termination.status(_status(args))


def _status(args: argparse.Namespace) -> int:
    try:
        code = int(args.run(args) or 0)
        return code if _flushed() else BROKEN_PIPE
    except VosZooError as error:
        tell(f"vos-zoo: {_with_options(str(error))}")
        return 2
    except KeyboardInterrupt as interrupt:
        tell(f"vos-zoo: {'ended by SIGTERM' if isinstance(interrupt, Terminated) else 'interrupted'}")
        return INTERRUPTED
    except BrokenPipeError:  # as after `vos-zoo list | head`
        _flushed()
        return BROKEN_PIPE
    except (MemoryError, RuntimeError, OSError) as error:
        if not (lacking := shortage(error)):
            raise
        tell(f"vos-zoo: {lacking}")
        return 2


def _flushed() -> bool:
    """Whether all that was printed has been read. If not, what is still buffered must not hit the closed pipe at exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _with_options(message: str) -> str:
    """The message with arguments of Python functions put as options of the command line."""
    message = re.sub(r"\b(resize_mask|overwrite|local_files_only)=True\b", lambda found: _option(found[1]), message)
    options = "backend|device|direction|dtype|revision|runtime"
    message = re.sub(rf"\b({options})='([\w.-]+)'", lambda found: f"{_option(found[1])} {found[2]}", message)
    return message.replace("first_mask and masks[0]", "--mask and one in --masks")


def _option(argument: str) -> str:
    return "--" + argument.replace("_", "-")


def _warning_printer(plain: Callable[..., None]) -> Callable[..., None]:
    """Prints our own warnings in a line each, the same one once; others as Python does."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: object, **more: object) -> None:
        if not issubclass(category, VosZooWarning):
            plain(message, category, *rest, **more)
            return
        text = f"vos-zoo: warning: {_with_options(str(message))}"
        if text in shown:
            return
        shown.add(text)
        if "tqdm" in sys.modules:  # a bar may stand on the line
            with contextlib.suppress(OSError, ValueError):
                sys.modules["tqdm"].tqdm.write(text, file=sys.stderr, nolock=True)  # its lock may be held by a fork that was killed
        else:
            tell(text)

    return show


if __name__ == "__main__":
    sys.exit(main())
