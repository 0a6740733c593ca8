"""What holds for every test: it has what it needs or is skipped, and leaves nothing behind."""

import contextlib
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from helpers import wait_until
from machine import NEEDS

SETTLE = 5.0
"""Seconds for threads that were told to end, and sockets of handlers, to be gone."""

# A busy machine is no failure: no limit per example, and none for how fast examples are made.
settings.register_profile(
    "test", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fuzz", settings.get_profile("test"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose marker names what this machine has not (or fail, where it was promised)."""
    for marker, need in NEEDS.items():
        if item.get_closest_marker(marker):
            need()


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of this session that all workers of pytest-xdist share."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, a child process or a socket."""
    threads, sockets = set(threading.enumerate()), _sockets()
    children = _children() | _children()  # one may lack in a reading, while the thread that began it ends
    yield
    if not _left(threads, children, sockets):
        return
    gc.collect()
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not _left(threads, children, sockets), timeout=SETTLE)
    left = _left(threads, children, sockets)
    assert not left, f"left behind: {', '.join(left)}"


def pytest_unconfigure() -> None:
    """End in spite of a thread that a failed test has left: the interpreter would wait for it for ever."""
    left = [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    if left:
        print(f"threads left behind: {', '.join(thread.name for thread in left)}", flush=True)
        os._exit(pytest.ExitCode.TESTS_FAILED)


def _left(threads: set[threading.Thread], children: set[int], sockets: set[str]) -> list[str]:
    return [
        *(f"thread {thread.name}" for thread in threading.enumerate() if thread not in threads),
        *(f"process {child} ({_command(child)})" for child in _children() - children),
        *(f"descriptor {name}" for name in _sockets() - sockets),
    ]


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in (task / "children").read_text().split())
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"


def _sockets() -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- 30 times faster than iterdir()
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
            if target.startswith("socket:"):
                found.add(f"{descriptor} -> {target}")
    return found
