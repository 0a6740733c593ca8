"""What a process holds, from /proc."""

import time
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024 * 1024
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Sample:
    """What one program held at one moment."""

    moment: float  # monotonic seconds
    resident: float  # MiB
    threads: int
    descriptors: int


def sample(pid: int) -> Sample | None:
    """Look at a process; None if it has ended."""
    folder = Path(f"/proc/{pid}")
    try:
        pages = int((folder / "statm").read_text().split()[1])
        threads = sum(1 for _ in (folder / "task").iterdir())
        descriptors = sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return None
    return Sample(time.monotonic(), pages * _PAGE / _MIB, threads, descriptors) if pages else None
