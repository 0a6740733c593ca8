"""What is served under which URL.

/                     the page              /NAME.ts            endless transport stream
/api/contents         what it shows         /NAME/index.m3u8    HLS, /NAME/NUMBER.ts its segments
/playlist.m3u         all contents          /NAME.mp4           fragmented MP4
                                            /NAME.jpg           a picture of now
"""

import math
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from mcast.client.directory import Directory, kind_of
from mcast.errors import ConfigError, McastError
from mcast.gateway.bodies import FIRST_SECONDS, mp4_body, nothing_yet, stream_body
from mcast.gateway.channel import Figures
from mcast.gateway.channels import RETRY_SECONDS, Channels, Hold
from mcast.gateway.contents import KnownContents
from mcast.gateway.picture import FRESH_SECONDS
from mcast.web.request import Request, RequestError
from mcast.web.response import Response, Stream, json_answer
from mcast.web.static import StaticFiles

API_VERSION = 1
SEGMENTS_AWAY = 3
"""Segments that a player of HLS may take to come back; then it has gone."""
MAX_AGE = 600.0
"""Seconds that a picture may be old, if somebody asks for an older one: the page's previews."""

PUBLIC = (".ts", ".m3u8", ".mp4", ".jpg")
"""Endings of what pages of other origins may have, with `--cors`."""

TS = "video/mp2t"
M3U8 = "application/vnd.apple.mpegurl"
M3U = "audio/x-mpegurl; charset=utf-8"
_NEVER_STORED = {"Cache-Control": "no-store"}


class Site:
    """Answers requests. Called by many threads."""

    def __init__(self, channels: Channels, known: KnownContents, cut: Callable[[], int]) -> None:
        """`cut` tells how many viewers were cut so far."""
        self._channels, self._known, self._cut = channels, known, cut
        self._files = StaticFiles("mcast.web", "mcast.gateway")

    @property
    def page_bytes(self) -> int:
        """Return what the page weighs, all its files together."""
        return self._files.size

    def answer(self, request: Request) -> Response:
        """Return what is at a URL. Raises RequestError."""
        try:
            return self._answer_or_configure(request)
        except RequestError as error:  # who may have a stream may know why there is none
            error.is_public = request.parts[-1].endswith(PUBLIC)
            raise

    def _answer_or_configure(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except ConfigError as error:  # ffmpeg is missing
            raise RequestError(HTTPStatus.NOT_IMPLEMENTED, str(error)) from None

    def _answer(self, request: Request) -> Response:
        match request.parts:
            case ("playlist.m3u",):
                return self._playlist(request)
            case ("api", "contents"):
                return self._contents()
            case (content, "index.m3u8"):
                return self._index(content)
            case (content, name) if name.endswith(".ts") and not _is_relay(content, name):
                return self._segment(content, name.removesuffix(".ts"))
            case ("udp" | "rtp", *_):
                raise _no_relay(request)
            case (name,) if name and name not in self._files.names:
                return self._stream(name, request)
        return self._files.answer(request)

    def _stream(self, name: str, request: Request) -> Response:
        content, _, ending = name.rpartition(".")
        if not content or ending not in ("ts", "mp4", "jpg"):
            text = f"there is nothing at {request.path}: see / for what there is"
            raise RequestError(HTTPStatus.NOT_FOUND, text)
        if ending == "jpg":
            return self._picture(content, request)
        # HEAD joins, too: nothing else tells what GET would be answered (RFC 9110, 9.3.2), which comes next.
        hold = self._channels.open(content)
        try:
            body: Stream = stream_body(hold) if ending == "ts" else mp4_body(hold)
        except BaseException:
            hold.close()
            raise
        kind = TS if ending == "ts" else "video/mp4"
        return Response(body, kind, headers=_NEVER_STORED, is_public=True)

    def _picture(self, content: str, request: Request) -> Response:
        with self._channels.open(content) as hold:
            channel = hold.channel
            if not channel.wait_start(FIRST_SECONDS):
                raise nothing_yet(hold.channel)
            if channel.programme.streams and channel.programme.video is None:
                raise RequestError(HTTPStatus.NOT_FOUND, f"'{content}' has no pictures, only sound")
            picture = channel.pictures.get(channel.newest, _age(request))
        return Response(picture, "image/jpeg", headers={"Cache-Control": "max-age=2"}, is_public=True)

    # HLS

    def _index(self, content: str) -> Response:
        with self._channels.ended(content) or self._channels.open(content) as hold:
            segments = hold.channel.segments
            self._stay(hold)
            if not segments.wait_first(FIRST_SECONDS):
                raise nothing_yet(hold.channel)
            playlist = segments.playlist().encode()
        return Response(playlist, M3U8, headers=_NEVER_STORED, is_public=True)

    def _segment(self, content: str, number: str) -> Response:
        hold = self._channels.running(content)
        if hold is None:
            raise RequestError(HTTPStatus.NOT_FOUND, f"nobody watches '{content}': begin with its index.m3u8")
        with hold:
            self._stay(hold)
            is_number = number.isascii() and number.isdigit() and len(number) < 19
            segment = hold.channel.segments.get(int(number)) if is_number else None
        if segment is None:
            raise RequestError(HTTPStatus.NOT_FOUND, f"the segment {number} is kept no more, or yet to come")
        headers = {"Cache-Control": "max-age=60"}
        return Response(segment.data, TS, headers=headers, is_public=True, has_ranges=True)

    def _stay(self, hold: Hold) -> None:
        hold.stay(SEGMENTS_AWAY * hold.channel.segments.longest)

    # What there is

    def _playlist(self, request: Request) -> Response:
        lines = ["#EXTM3U"]
        for info in self._directory().contents:
            lines += [f"#EXTINF:-1,{info.name}", f"{request.base}/{quote(info.name, safe='')}.ts"]
        headers = {**_NEVER_STORED, "Content-Disposition": 'inline; filename="playlist.m3u"'}
        return Response("\n".join([*lines, ""]).encode(), M3U, headers=headers)

    def _contents(self) -> Response:
        directory, figures = self._directory(), self._channels.figures()
        return json_answer(
            {
                "version": API_VERSION,
                "text": directory.text,
                "cut_viewers": self._cut(),
                "contents": [
                    {
                        "name": info.name,
                        "kind": kind_of(info),
                        "format": info.format,
                        "duration_ms": info.duration_ms,
                        "bit_rate": info.bit_rate,
                        "frame_rate": info.frame_rate_milli / 1000,
                        "width": info.width,
                        "height": info.height,
                        "url": quote(info.name, safe=""),
                        "channel": _channel(*figures[info.name]) if info.name in figures else None,
                    }
                    for info in directory.contents
                ],
            }
        )

    def _directory(self) -> Directory:
        try:
            return self._known.get()
        except McastError as error:
            raise RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, str(error), retry_after=RETRY_SECONDS
            ) from None


def _channel(figures: Figures, viewers: int) -> dict[str, object]:
    """Return what the page shows of a content that is watched."""
    told = figures.statistics
    return {
        "viewers": viewers,
        "path": told.path,
        "bit_rate": round(figures.bit_rate),
        "seconds": round(told.duration_s, 1),
        "latency_ms": told.latency_ms,
        "clock_delay_ms": told.clock_delay_ms,
        "join_ms": told.join_ms,
        "lost_datagrams": told.lost_datagrams,
        "repaired_datagrams": told.repaired_datagrams,
        "parent_changes": told.parent_changes,
        "awaited": figures.awaited,
        "unplayable": figures.programme.unplayable,
    }


def _age(request: Request) -> float:
    text = request.query.get("age")
    if text is None:
        return FRESH_SECONDS
    try:
        age = float(text)
    except ValueError:
        age = -1.0
    if not 0 <= age < math.inf:  # so is nan
        raise RequestError(HTTPStatus.BAD_REQUEST, "age is a number of seconds from 0 on")
    return min(max(age, FRESH_SECONDS), MAX_AGE)


def _is_relay(first: str, name: str) -> bool:
    """Return whether a URL is one of udpxy's, not that of a segment of a content called `udp` or `rtp`."""
    return first in ("udp", "rtp") and not name.removesuffix(".ts").isdigit()


def _no_relay(request: Request) -> RequestError:
    text = f"{request.path}: contents have names here: /playlist.m3u lists them, /NAME.ts plays one"
    return RequestError(HTTPStatus.NOT_FOUND, text)
