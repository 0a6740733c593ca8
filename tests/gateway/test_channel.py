"""One channel, of a subscription that the test plays chunk by chunk."""

from collections.abc import Callable, Iterator
from typing import cast

import pytest

from gateway.conftest import SECONDS
from helpers import PATIENCE, Recorder
from mcast.client import Subscription
from mcast.gateway.channel import Channel
from media.source.foreign import later

pytestmark = pytest.mark.ffmpeg


class Chunks:
    """A subscription to these chunks; with each number another stream begins."""

    def __init__(self, chunks: list[tuple[bytes, int]]) -> None:
        self._chunks, self.breaks, self.awaited = iter(chunks), 0, ""

    def start(self, _cancelled: Callable[[], bool]) -> None:
        """Begin at once."""

    def wait_joined(self, _timeout: float) -> bool:
        return True

    def read(self, _timeout: float) -> bytes:
        chunk, self.breaks = next(self._chunks, (b"", self.breaks))
        return chunk

    def close(self) -> None:
        """Hold nothing."""


@pytest.fixture
def tuned(crash: Recorder) -> Iterator[Callable[[list[tuple[bytes, int]]], Channel]]:
    """Give a channel that has taken some chunks to their end."""
    channels: list[Channel] = []

    def tune(chunks: list[tuple[bytes, int]]) -> Channel:
        channel = Channel("earth", cast(Subscription, Chunks(chunks)), crash)
        channels.append(channel)
        channel.start()
        while not channel.is_over:
            channel.ring.read(channel.ring.head, PATIENCE)
        channel.stop()
        return channel

    yield tune
    for channel in channels:
        channel.stop()


def test_where_another_stream_of_the_content_is_taken_hls_says_so(
    stream: bytes, tuned: Callable[[list[tuple[bytes, int]]], Channel]
) -> None:
    other = later(stream, SECONDS, is_marked=False)  # its clock goes on as if it were the same
    assert "#EXT-X-DISCONTINUITY\n" not in tuned([(stream, 0), (other, 0)]).segments.playlist()
    playlist = tuned([(stream, 0), (other, 1)]).segments.playlist()
    assert playlist.count("#EXT-X-DISCONTINUITY\n") == 1
