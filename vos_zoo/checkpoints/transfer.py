"""One transfer from the Hub, bounded in bytes and in time: by what the peer announces, and by what arrives.

The Hub's client has a limit for a single read only: a peer that sends a byte now and then, or asks to come back in a day, would keep it for
ever. So it works in a thread of its own, which is left alone when the time is over and ends with the next bytes that it gets.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from vos_zoo.errors import CheckpointError, ModelNotFoundError

BASE_SECONDS, BYTES_PER_SECOND = 120.0, 50_000  # a transfer may take as long as this, and as long as its bytes take at this rate
SECONDS_VARIABLE = "VOS_ZOO_HUB_SECONDS"


def seconds_for(size: int) -> float:
    """How long a transfer of so many bytes may take; the environment variable VOS_ZOO_HUB_SECONDS says otherwise."""
    text = os.environ.get(SECONDS_VARIABLE, "").strip()
    if not text:
        return BASE_SECONDS + size / BYTES_PER_SECOND
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:12]) < 10**9:
        raise ModelNotFoundError(f"{SECONDS_VARIABLE}={text[:40]!r} is no number of seconds: give a whole number above 0")
    return float(int(text))


def bounded(transfer: Callable[[type], str], what: str, *, most_bytes: int, seconds: float) -> str:
    """What `transfer` returns, which is called in a thread with a class of progress bars for the Hub's client.

    Args:
        transfer: calls the Hub's client.
        what: is fetched, at the beginning of a sentence.
        most_bytes: more are not taken.
        seconds: after which it is given up.

    Raises:
        CheckpointError: it is larger.
        ModelNotFoundError: it takes longer.
    """
    given_up = threading.Event()
    found: list[str] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(transfer(_bar(what, most_bytes, given_up)))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="vos_zoo-hub", daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:
        given_up.set()  # also after Ctrl-C
    if failed:
        raise failed[0]
    if not found:
        raise ModelNotFoundError(
            f"{what} was given up after {seconds:,.0f} seconds: the Hub, or what stands in its place, answers too slowly or asks to wait. "
            f"Try again later, or wait longer with {SECONDS_VARIABLE}={2 * seconds:.0f}."
        )
    return found[0]


def _bar(what: str, most_bytes: int, given_up: threading.Event) -> type:
    """A progress bar that refuses what is announced or arrives beyond `most_bytes`, and ends a transfer that nobody waits for."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *given: object, initial: int | None = 0, total: int | None = None, **options: object) -> None:
            self.arrived = initial or 0
            self._check(total or 0)
            super().__init__(*given, initial=self.arrived, total=total, **options)

        def update(self, n: float | None = 1) -> Any:
            self.arrived += int(n or 0)
            self._check(self.arrived)
            return super().update(n)

        def _check(self, size: int) -> None:
            if size > most_bytes:
                raise CheckpointError(
                    f"{what} has {size:,} bytes or more, at most {most_bytes:,} are taken for such a file. It was not fetched. Take "
                    "another revision, or tell its owner."
                )
            if given_up.is_set():
                raise CheckpointError(f"{what} is not waited for any more")

    return Bar
