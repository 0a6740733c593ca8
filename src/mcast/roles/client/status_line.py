"""The client's line on a terminal: time, rate, buffer, losses, and the way through the overlay.

12.0 s   2.41 Mbit/s   buffer 510 ms   lost 0   rp > n1 > n3
"""

import shutil
from dataclasses import dataclass

from mcast.net.line_writer import LineWriter
from mcast.roles import logs


@dataclass(frozen=True, slots=True)
class Status:
    """What the line shows."""

    seconds: float
    bits_per_second: float
    buffer_ms: float
    lost: int
    path: tuple[str, ...]

    def __str__(self) -> str:
        rate = f"{self.bits_per_second / 1e6:.2f} Mbit/s"
        way = " > ".join(self.path)
        return f"{self.seconds:7.1f} s   {rate}   buffer {self.buffer_ms:.0f} ms   lost {self.lost}   {way}"


class StatusLine:
    """Rewrites one line of a terminal; on anything else it is silent.

    It never waits: as long as the terminal takes nothing (Ctrl-S), the line stays as it is.
    """

    def __init__(self, lines: LineWriter | None = None) -> None:
        """`lines` is what writes the program's log unless another is named."""
        self._lines, self._shown = lines or logs.writer(), False
        self.enabled = self._lines is not None and self._lines.is_terminal

    def show(self, status: Status | str) -> None:
        """Replace the line. What stands in it may be a peer's words, so it is cleaned as a whole."""
        if self._lines is not None and self.enabled:
            width = shutil.get_terminal_size().columns - 1
            self._shown = True
            self._lines.offer(f"\r\x1b[K{logs.one_line(str(status))[:width]}")

    def close(self) -> None:
        """Leave the last line standing."""
        if self._lines is not None and self._shown:
            self._shown = False
            self._lines.put("\n")
