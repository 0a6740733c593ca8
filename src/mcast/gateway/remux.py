"""A content as fragmented MP4, for browsers that play no transport stream: one ffmpeg for all its viewers.

channel --write--> Writer --stdin--> ffmpeg -c copy --stdout--> thread remux-CONTENT --> ring of fragments
"""

import contextlib
import os
import signal
import subprocess
import threading
from http import HTTPStatus

from mcast.gateway.boxes import BoxError, FragmentReader
from mcast.media.output import Writer
from mcast.media.programme import Programme
from mcast.media.stores import Descriptor
from mcast.media.tied import TiedProcess
from mcast.media.tools import find_tool
from mcast.net.threads import NoThreadError, OnCrash, OwnedThread
from mcast.web.request import RequestError
from mcast.web.ring import Ring

MAX_FRAGMENTS = 32 * 1024 * 1024
"""Bytes of fragments that are kept: a viewer that is further behind is cut."""
FRAGMENT_SECONDS = 0.2
"""Of a fragment, at most: a browser shows the first one at once, and is that much behind the stream."""
MAX_FED = 16 * 1024 * 1024
"""Bytes that wait for ffmpeg, which takes them at once unless the machine is too busy."""
LAST_SECONDS = 1.0
"""For ffmpeg to write what it has, once nothing more comes."""
RETRY_SECONDS = 2
"""When somebody for whom ffmpeg could not be started should ask again."""
_BLOCK = 1 << 18


def command_of(programme: Programme) -> list[str]:
    """Return ffmpeg's arguments. Raises ConfigError if it is missing."""
    has_video = programme.video is not None
    flags = "+".join([*(["frag_keyframe"] if has_video else []), "empty_moov", "default_base_moof"])
    return [
        *(find_tool("ffmpeg"), "-hide_banner", "-loglevel", "fatal"),
        *("-f", "mpegts", "-probesize", "1000000", "-analyzeduration", "500000"),
        *("-fpsprobesize", "0", "-i", "pipe:0"),
        *("-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy"),
        *(("-bsf:a", "aac_adtstoasc") if programme.has_adts else ()),
        *("-frag_duration", str(round(FRAGMENT_SECONDS * 1e6))),
        *("-f", "mp4", "-movflags", flags, "pipe:1"),
    ]


def _busy(why: object) -> RequestError:
    text = f"ffmpeg cannot be started: {why}"
    return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, text, retry_after=RETRY_SECONDS)


class Remux:
    """Owns an ffmpeg, the writer to it, and the thread that reads from it."""

    def __init__(self, content: str, programme: Programme, on_crash: OnCrash, hurry: threading.Event) -> None:
        """Start it; `hurry` is set when nobody waits for its end any more.

        Raises ConfigError if ffmpeg is missing, RequestError if the machine is at its limits.
        """
        try:
            self._process = TiedProcess(
                command_of(programme), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            raise _busy(error.strerror) from None
        self.fragments: Ring[bytes] = Ring(MAX_FRAGMENTS, len)
        self.start_number = 0  # of the last fragment that begins at a keyframe
        self._reader = FragmentReader()
        self._begun = threading.Event()  # a fragment is there, or none ever will be
        self._thread = OwnedThread(f"remux-{content}", self._run, on_crash)
        self._writer: Writer | None = None
        try:
            self._begin(on_crash, hurry)
        except (OSError, NoThreadError) as error:
            self.stop()
            raise _busy(error) from None

    def _begin(self, on_crash: OnCrash, hurry: threading.Event) -> None:
        """Raises OSError, NoThreadError."""
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            fd = os.dup(stdin.fileno())  # the writer owns its descriptor
        self._writer = Writer(Descriptor(fd, "ffmpeg"), on_crash, max_queued=MAX_FED, hurry=hurry)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Remux pid={self._process.pid} {self.fragments!r}>"

    @property
    def is_over(self) -> bool:
        """Return whether nothing more comes."""
        return self.fragments.is_over

    def write(self, data: bytes) -> None:
        """Hand on what comes. Never waits."""
        assert self._writer is not None
        self._writer.write(data)

    def head(self, timeout: float) -> bytes:
        """Wait for the first fragment; return what is to stand before all, nothing if there will be none."""
        self._begun.wait(timeout)
        return self._reader.head if self.fragments.head else b""

    def finish(self) -> None:
        """Have ffmpeg write what it has, as nothing more comes: in front of stop(), where there is time."""
        assert self._writer is not None
        self._writer.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_SECONDS)

    def stop(self) -> None:
        """End ffmpeg and the threads. Harmless when repeated."""
        if self._writer is not None:
            self._writer.close(drain=False)
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_SECONDS)
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _run(self) -> None:
        assert self._process.stdout is not None
        try:
            while data := os.read(self._process.stdout.fileno(), _BLOCK):
                for fragment in self._reader.feed(data):
                    if fragment.is_start:
                        self.start_number = self.fragments.head
                    self.fragments.append(fragment.data)
                    self._begun.set()
        except BoxError:
            self._process.kill()
        finally:
            self.fragments.finish()
            self._begun.set()
