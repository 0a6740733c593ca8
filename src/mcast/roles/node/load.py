"""What this process takes of its host: CPU time, and memory."""

import os
import time
from pathlib import Path

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
_STATM = Path("/proc/self/statm")


class ProcessLoad:
    """Looks at this process from time to time."""

    def __init__(self) -> None:
        self._then, self._used = time.monotonic(), time.process_time()

    def look(self, now: float) -> tuple[int, int]:
        """Return the thousandths of one core used since the last look, and the kB held in memory."""
        used, seconds = time.process_time() - self._used, now - self._then
        self._then, self._used = now, self._used + used
        return round(1000 * used / seconds) if seconds > 0 else 0, _resident_kb()


def _resident_kb() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_KB
    except (OSError, ValueError, IndexError):  # a system without /proc
        return 0
