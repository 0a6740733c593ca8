"""A picture of now: the last keyframe, decoded by ffmpeg, at most a few at a time."""

import subprocess
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

from mcast.media.tied import TiedProcess
from mcast.media.tools import find_tool
from mcast.web.request import RequestError

FRESH_SECONDS = 2.0
"""How old a picture may be that is given again."""
WIDTH = 640
"""Pixels, at most: a preview."""
MAX_AT_ONCE = 2
"""ffmpegs that decode pictures at a time: a page with fifty contents asks for fifty."""
PATIENCE = 10.0
"""Seconds to wait for one's turn, and then for the picture."""
MAX_BYTES = 8 * 1024 * 1024
"""Of the stream that ffmpeg is given: a keyframe is far smaller."""

_turns = threading.BoundedSemaphore(MAX_AT_ONCE)


class Pictures:
    """The last picture of one content. Safe for all threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # held while one is made: others who want it wait for the same
        self._picture, self._taken_at = b"", 0.0

    def get(self, take: Callable[[], bytes], age: float = FRESH_SECONDS) -> bytes:
        """Return a JPEG that is no older than `age` seconds; `take` gives the stream from a keyframe on.

        Raises RequestError if none can be made.
        """
        with self._lock:
            if not self._picture or self._clock() - self._taken_at > age:
                self._picture, self._taken_at = _decoded(take()[:MAX_BYTES]), self._clock()
            return self._picture


def _decoded(stream: bytes) -> bytes:
    command = [
        *(find_tool("ffmpeg"), "-hide_banner", "-loglevel", "fatal", "-threads", "1"),
        *("-f", "mpegts", "-i", "pipe:0", "-map", "0:v:0", "-frames:v", "1"),
        *("-vf", f"scale='min({WIDTH},iw)':-2", "-q:v", "5", "-f", "mjpeg", "pipe:1"),
    ]
    if not _turns.acquire(timeout=PATIENCE):
        raise _busy("too many pictures are asked for at once")
    try:
        picture = _output_of(command, stream)
    finally:
        _turns.release()
    if not picture:
        raise _busy("there is no picture yet")
    return picture


def _output_of(command: list[str], stream: bytes) -> bytes:
    try:
        process = TiedProcess(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        raise _busy(f"ffmpeg cannot be started: {error.strerror}") from None
    with process as ffmpeg:
        try:
            return ffmpeg.communicate(stream, PATIENCE)[0]
        except subprocess.TimeoutExpired:
            raise _busy("the machine is too busy for pictures") from None
        finally:
            ffmpeg.kill()  # harmless once it has ended


def _busy(text: str) -> RequestError:
    return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, text, retry_after=2)
