"""The client's line on a terminal: time, rate, buffer, losses, and the way through the overlay.

12.0 s   2.41 Mbit/s   buffer 510 ms   lost 0   rp > n1 > n3
"""

import contextlib
import shutil
import sys
from dataclasses import dataclass
from typing import TextIO


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
    """Rewrites one line of a terminal; on anything else it is silent."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """`stream` is stderr unless another is named."""
        self._stream, self._shown = stream or sys.stderr, False
        self.enabled = self._stream.isatty()

    def show(self, status: Status) -> None:
        """Replace the line."""
        if self.enabled:
            width = shutil.get_terminal_size().columns - 1
            self._shown = True
            self._write(f"\r\x1b[K{str(status)[:width]}")

    def close(self) -> None:
        """Leave the last line standing."""
        if self._shown:
            self._shown = False
            self._write("\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal has been closed: no reason to end a recording
            self._stream.write(text)
            self._stream.flush()
