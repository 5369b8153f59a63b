"""Settings that hold for all tests: no network, the Hub's client offline, one thread an operation, since a process a core runs them."""

from __future__ import annotations

import os
import signal
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # under nohup, or in the background: tests interrupt, and so do their children
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))


LONGEST = (
    "test_make_checkpoint.py",
    "test_both_sizes.py",
    "test_both_sizes_results.py",
    "test_browser.py",
    "test_demo.py",
    "test_shipped.py",
    "test_graphs.py",
    "test_added.py",
    "test_models.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A worker takes whole files: the longest come first, so that none is alone with one at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tells a failure when it happens, not at the end: a run that is stopped has told it then."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        said = "".join(f"\n{title}\n{text}" for title, text in report.sections)
        print(f"\n{report.nodeid} failed in its {report.when}\n{report.longreprtext}{said}", file=sys.__stdout__, flush=True)


@pytest.fixture(scope="session", autouse=True)
def gradients_before_graphs() -> None:
    """At its first gradient autograd starts a thread for each GPU, after which no fork can compute gradients; a graph that is exported
    pretends that there are GPUs. So the first gradient comes before the first graph."""
    import torch

    torch.zeros(1, requires_grad=True).sum().backward()


@pytest.fixture(autouse=True)
def progress_lock() -> Iterator[None]:
    """No test may leave tqdm's lock locked, by a killed fork or an error amid a bar: a later one would wait for it for ever."""
    yield
    found: list[bool] = []

    def try_lock() -> None:
        for lock in getattr(tqdm.get_lock(), "locks", [tqdm.get_lock()]):
            found.append(lock.acquire(True, 2))
            if found[-1]:
                lock.release()

    thread = threading.Thread(target=try_lock)
    thread.start()
    thread.join()
    if not all(found):
        tqdm.set_lock(threading.RLock())
        pytest.fail("tqdm's lock was left locked")


@pytest.fixture
def validation_clips(tmp_path: Path) -> Callable[[str], Path]:
    """validation_clips("car-shadow"): a folder with those clips, CLIP/frames and CLIP/masks; skips where the data are not there."""
    folder = Path(os.environ.get("VOS_ZOO_DATA") or Path(__file__).parents[2] / "shared" / "data")
    archive = folder / "clips-val.tar"

    def unpack(word: str) -> Path:
        if not archive.is_file():
            pytest.skip(f"no {archive}; set VOS_ZOO_DATA to the folder with the validation clips")
        with tarfile.open(archive) as tar:
            safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4 and later have it
            tar.extractall(tmp_path, members=[m for m in tar.getmembers() if word in m.name], **safely)
        return tmp_path

    return unpack
