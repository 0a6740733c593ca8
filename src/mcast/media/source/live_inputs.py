"""The live inputs of a server, and what they share: standard input, and what is known of their streams."""

import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

from mcast.errors import ConfigError
from mcast.media.source.encoding import AUDIO_ENCODER, VIDEO_ENCODER
from mcast.media.source.ffmpeg import require_encoders
from mcast.media.source.live import LiveSource
from mcast.media.source.live_tracks import LiveTracks, is_fifo
from mcast.media.source.server_config import STDIN_SOURCE, ContentSpec
from mcast.media.source.standard_input import STDIN, Fifo, StandardInput, Taking
from mcast.net.threads import NoThreadError, OnCrash
from mcast.wire.position import Position

logger = logging.getLogger(__name__)


class LiveInputs:
    """Opens live inputs. Owns what reads standard input, once a content is what comes from there."""

    def __init__(self) -> None:
        self._known: dict[ContentSpec, LiveTracks] = {}  # a small memory of the streamers' threads
        self._standard_input: StandardInput | None = None
        self._on_crash: OnCrash | None = None

    def check(self, spec: ContentSpec) -> None:
        """Raises ConfigError if a live input cannot be used on this machine."""
        if not spec.copy:
            require_encoders((VIDEO_ENCODER, AUDIO_ENCODER))
        if spec.source == STDIN_SOURCE:
            if os.isatty(STDIN):
                raise ConfigError(
                    f"content '{spec.name}': source: standard input is a terminal: pipe into it"
                )
        elif spec.format is None and "://" not in spec.source and not _is_there(Path(spec.source)):
            logger.warning("[%s] there is no %s yet", spec.name, spec.source)

    def follow(self, specs: Iterable[ContentSpec], on_crash: OnCrash) -> None:
        """Begin to read what is read all the time. Raises ConfigError if that is not possible."""
        self._on_crash = on_crash
        is_wanted = any(spec.source == STDIN_SOURCE for spec in specs)
        if is_wanted and self._standard_input is None:
            self._standard_input = _standard_input(on_crash)

    def stop(self) -> None:
        """Read nothing any more. Harmless when repeated."""
        if self._standard_input is not None:
            self._standard_input.stop()
            self._standard_input = None

    def is_over(self, spec: ContentSpec) -> bool:
        """Return whether an input has come to its end, and cannot be opened again."""
        piped = self._standard_input
        return spec.source == STDIN_SOURCE and piped is not None and piped.is_over

    def open(self, spec: ContentSpec, position: Position) -> LiveSource:
        """Begin to play a live input at a position. Raises ConfigError if ffmpeg is missing."""
        now, taking = time.monotonic(), self._taking(spec)
        if taking is None:
            return LiveSource(spec, position, now, known=self._known)
        return LiveSource(
            spec, position, now, start_child=taking.start_child, start_look=taking.start_look,
            let_go=taking.let_go, known=self._known,
            is_over=lambda: self.is_over(spec),
        )  # fmt: skip

    def _taking(self, spec: ContentSpec) -> Taking | Fifo | None:
        """Return what reads an input in ffmpeg's place; None where ffmpeg opens it."""
        if spec.source == STDIN_SOURCE:
            return None if self._standard_input is None else self._standard_input.taking()
        if self._on_crash is not None and is_fifo(spec):
            return Fifo(Path(spec.source), spec.name, self._on_crash)
        return None


def _standard_input(on_crash: OnCrash) -> StandardInput:
    try:
        piped = StandardInput(on_crash)
    except OSError as error:
        raise ConfigError(f"standard input cannot be read: {error.strerror}") from None
    try:
        piped.start()
    except NoThreadError:
        piped.stop()
        raise
    return piped


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # it may not be looked at: said when it is opened
        return True
