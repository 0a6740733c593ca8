"""The list of a recording's files, `index.m3u8` (RFC 8216, 4.3): read if it is there, replaced whole."""

import contextlib
import math
from collections.abc import Iterable
from pathlib import Path

from mcast.errors import ConfigError

_FIRST = "#EXTM3U"
_LAST = "#EXT-X-ENDLIST"
_SECONDS = "#EXTINF:"
_OF_A_FILE = ("#EXT-X-DISCONTINUITY", "#EXT-X-PROGRAM-DATE-TIME:", _SECONDS)
"""With one of these the lines of the first file begin."""


class RecordingList:
    """One list. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        """Read what is there. Raises ConfigError if that is no list of ours."""
        self._path, self._lines, self._longest = path, list[str](), 0.0
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise _not_ours(path) from error
        if lines[:1] != [_FIRST]:
            raise _not_ours(path)
        begin = next((n for n, line in enumerate(lines) if line.startswith(_OF_A_FILE)), len(lines))
        self._lines = [line for line in lines[begin:] if line != _LAST]
        try:
            self._longest = max(
                (_seconds(line) for line in self._lines if line.startswith(_SECONDS)), default=0.0
            )
        except ValueError:
            raise _not_ours(path) from None

    @property
    def is_empty(self) -> bool:
        """Return whether it lists nothing."""
        return not self._lines

    def add(self, lines: Iterable[str], seconds: float) -> None:
        """Add a file."""
        self._lines += lines
        self._longest = max(self._longest, seconds)

    def write(self, *, is_over: bool = False) -> None:
        """Replace the file. Raises OSError, then the older one is still there."""
        part = self._path.with_name(f".{self._path.name}.part")
        try:
            part.write_text("\n".join([*self._head(), *self._lines, *([_LAST] if is_over else []), ""]))
            part.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise

    def _head(self) -> tuple[str, ...]:
        return (
            _FIRST,
            "#EXT-X-VERSION:6",
            f"#EXT-X-TARGETDURATION:{max(1, math.ceil(self._longest))}",
            "#EXT-X-PLAYLIST-TYPE:EVENT",
            "#EXT-X-INDEPENDENT-SEGMENTS",
        )


def _seconds(line: str) -> float:
    return float(line.removeprefix(_SECONDS).partition(",")[0])


def _not_ours(path: Path) -> ConfigError:
    return ConfigError(
        f"--output {path.parent}: its {path.name} lists no recording of ours: name another folder"
    )
