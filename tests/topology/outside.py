"""What the kernel says of processes and sockets: no program is believed about itself."""

import contextlib
import os
from pathlib import Path

READINGS = 3
"""How often a table is read that the kernel gives in pieces."""


def descriptors(pid: int) -> list[str]:
    """Return what a process's descriptors point to."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 -- as in tests/conftest.py
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{number}"))  # noqa: PTH115
    return found


def sockets(pid: int) -> int:
    """Count a process's sockets."""
    return sum(target.startswith("socket:") for target in descriptors(pid))


def udp_sockets(pid: int) -> int:
    """Count a process's UDP sockets: those of its media."""
    return len(udp_ports(pid))


def udp_rows(*tables: str) -> list[list[str]]:
    """Return the rows of the kernel's tables of UDP sockets; some may be of sockets that are closed by now.

    The kernel gives a table in pieces: a row may lack while others, of other tests, come and go.
    """
    rows: dict[str, list[str]] = {}
    for _ in range(READINGS):
        for name in tables:
            lines = Path(f"/proc/net/{name}").read_text().splitlines()[1:]
            rows.update((fields[9], fields) for fields in map(str.split, lines))
    return list(rows.values())


def udp_ports(pid: int) -> list[int]:
    """Return the ports of a process's UDP sockets."""
    ports = {row[9]: int(row[1].rpartition(":")[2], 16) for row in udp_rows("udp", "udp6")}
    inodes = [target.removeprefix("socket:[").rstrip("]") for target in descriptors(pid)]
    return [ports[inode] for inode in inodes if inode in ports]


def threads(pid: int) -> list[str]:
    """Return the names of a process's threads (the kernel keeps 15 characters, Python 3.11 sets none)."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found.append((task / "comm").read_text().strip())
    return found


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still exist.

    A child may lack in one reading: it passes to another thread when the one that has started it ends.
    """
    found: dict[int, None] = {}
    for _ in range(READINGS):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found.update((int(child), None) for child in (task / "children").read_text().split())
    return [child for child in found if Path(f"/proc/{child}").exists()]


def descendants(pid: int) -> list[int]:
    """Return the processes below a process, of whatever process group."""
    try:
        below = children(pid)
    except OSError:
        return []
    return [*below, *(pid for child in below for pid in descendants(child))]


def group_members(group: int) -> list[int]:
    """Return the processes of a process group, zombies too."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == group:
                    found.append(int(entry.name))
    return found


def command(pid: int) -> str:
    """Return a process's command line."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def exists(pid: int) -> bool:
    """Return whether there is such a process, a zombie excepted."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
