"""Network namespaces: working inside one for a moment, finding and ending the processes in it."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from mcast.errors import ConfigError
from tools.lab.enter import set_namespace

NETNS_DIRECTORY = Path("/run/netns")  # where `ip netns` keeps the named ones
KILL_TIMEOUT = 5.0  # s; a process that survives SIGKILL so long hangs in the kernel

T = TypeVar("T")


def namespace_path(name: str) -> Path:
    return NETNS_DIRECTORY / name


def inside(namespace: Path, work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own that has entered the namespace, and return its result.

    A namespace belongs to a thread, so nothing else in this process notices. What `work` opens (sockets,
    TAP devices, files below /proc/sys/net) stays in the namespace when the thread has ended.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            set_namespace(str(namespace))
            result.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name=f"inside-{namespace.name}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def processes_in(namespaces: Iterable[Path]) -> list[int]:
    """Return the processes in any of these namespaces; this process is never among them."""
    wanted = set()
    for path in namespaces:
        with contextlib.suppress(FileNotFoundError):
            wanted.add(path.stat().st_ino)
    return [pid for pid in _all_processes() if _network_of(pid) in wanted and pid != os.getpid()]


def kill_processes_in(namespaces: Iterable[Path]) -> None:
    """Kill everything in these namespaces, and what is forked meanwhile. Raises ConfigError."""
    paths = list(namespaces)
    deadline = time.monotonic() + KILL_TIMEOUT
    while victims := processes_in(paths):
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise ConfigError(f"processes {victims} do not end after SIGKILL: they hang in the kernel")
        time.sleep(0.002)


def _all_processes() -> Iterable[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 (twice as fast)


def _network_of(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino  # noqa: PTH116 (twice as fast)
    except OSError:  # it has ended, or is a zombie, which has no namespace any more
        return None
