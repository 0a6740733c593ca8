"""Endless answers: a channel's transport stream, and its fragments of MP4, each viewer at its own pace."""

from collections.abc import Iterator
from http import HTTPStatus

from mcast.gateway.channel import Channel
from mcast.gateway.channels import Hold
from mcast.gateway.remux import Remux
from mcast.web.connection import Cut
from mcast.web.request import RequestError
from mcast.web.ring import FellBehind, Ring

STEP = 0.5
"""Seconds between two looks at whether the viewer is still there."""
FIRST_SECONDS = 10.0
"""Until there must be something to begin with."""


class RingBody:
    """A ring from a number on, for one viewer, who has a hold on its channel as long."""

    def __init__(self, hold: Hold, ring: Ring[bytes], number: int, head: bytes = b"") -> None:
        self._hold, self._ring, self._number, self._head = hold, ring, number, head

    def __iter__(self) -> Iterator[bytes]:
        """Yield what comes, and b"" at least every half second. Raises Cut for a viewer that is too slow."""
        yield self._head
        while True:
            try:
                items = self._ring.read(self._number, STEP)
            except FellBehind:
                raise Cut("it is slower than the stream") from None
            if not items and self._ring.is_over:
                return
            self._number += len(items)
            yield b"".join(items)

    def close(self) -> None:
        """Let go of the channel."""
        self._hold.close()


def stream_body(hold: Hold) -> RingBody:
    """Return the transport stream from the last keyframe on. Raises RequestError if nothing comes."""
    channel = hold.channel
    if not channel.wait_start(FIRST_SECONDS):
        raise nothing_yet(channel)
    return RingBody(hold, channel.ring, channel.start_number())


def mp4_body(hold: Hold) -> RingBody:
    """Return the head of an MP4 and its fragments, from the last keyframe on.

    Raises RequestError if nothing comes, or if ffmpeg can make no MP4 of it, and ConfigError without ffmpeg.
    """
    channel = hold.channel
    if not channel.wait_start(FIRST_SECONDS):
        raise nothing_yet(channel)
    remux = channel.remux()
    if remux is None:
        raise nothing_yet(channel)
    head = remux.head(FIRST_SECONDS)
    if not head:
        raise _no_mp4(channel, remux)
    return RingBody(hold, remux.fragments, max(remux.start_number, remux.fragments.tail), head)


def nothing_yet(channel: Channel) -> RequestError:
    """Return the error for a content of which nothing has come, with what it waits for."""
    why = f" ({channel.doubt})" if channel.doubt else ""
    text = f"nothing comes of '{channel.content}' yet{why}: try again soon"
    return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, text, retry_after=2)


def _no_mp4(channel: Channel, remux: Remux) -> RequestError:
    if remux.is_over:
        text = f"ffmpeg makes no MP4 of '{channel.content}': use its .ts or index.m3u8"
        return RequestError(HTTPStatus.NOT_IMPLEMENTED, text)
    return nothing_yet(channel)
