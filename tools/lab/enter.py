"""Runs a program inside a node: `enter.py NAMESPACE DIRECTORY NAME COMMAND...`, in place of this process.

A file of its own that imports nothing of mcast, because it is started for each program (`python -I -S`) and
because the alternative, entering the namespace between fork() and exec() of a process that has threads, can
deadlock. The program sees what it would see in CORE: its own network, host name, /sys, /run and /var/log;
everything else is the host's. Its umask is 0, as in CORE.
"""

import contextlib
import ctypes
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
COMMAND_NOT_FOUND = 127  # the shell's status for it

_libc = ctypes.CDLL(None, use_errno=True)


def set_namespace(path: str, kind: int = CLONE_NEWNET) -> None:
    """Move the calling *thread* into a namespace (os.setns came with Python 3.12). Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(fd, kind), path)
    finally:
        os.close(fd)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    kind_bytes = kind.encode() if kind else None
    _check(_libc.mount(source.encode(), target.encode(), kind_bytes, flags, None), target)


def _make_private(directory: str, name: str) -> None:
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWUTS), "unshare")
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    # Some containers forbid a second sysfs; programs then see the host's interfaces there, no more.
    with contextlib.suppress(OSError):
        _mount("sysfs", "/sys", "sysfs", 0)
    for inside, outside in (("/run", ".run"), ("/var/log", ".log")):
        _mount(os.path.join(directory, outside), inside, None, MS_BIND)  # noqa: PTH118 (starts sooner)
    hostname = name.replace("_", "-").encode()
    _check(_libc.sethostname(hostname, len(hostname)), "sethostname")


def main(namespace: str, directory: str, name: str, *command: str) -> None:
    set_namespace(namespace)
    _make_private(directory, name)
    os.umask(0)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; its successor must not
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        error.filename = command[0]  # and not the last place where it was looked for
        raise


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        print(f"mcast-lab: {sys.argv[3]}: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(COMMAND_NOT_FOUND)
