"""Which streams of a live input are sent: found out by ffprobe, in front of ffmpeg's first run.

A multiplex from the air or the network holds several programmes, and ffmpeg by itself takes the first sound
that comes along. Inputs that hold one picture and one sound at most (devices, ffmpeg's own test pictures)
are not looked into: that would only cost the viewer time. Neither are addresses at which a sender calls: he
would take the look for the real thing, and be cut off. Standard input and FIFOs cannot be opened twice,
either, but there the server holds what the look has taken, and ffmpeg gets it again.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mcast.media.source.complaints import SourceError
from mcast.media.source.ffmpeg import Child
from mcast.media.source.probe import Probe, live_probe, parse
from mcast.media.source.server_config import STDIN_SOURCE, ContentSpec
from mcast.media.source.tracks import ALL, NO_WISH, Audio, Video, Wish, choose

_CONTAINERS = (None, "mpegts", "hls", "dash")  # of several streams
_REOPENED = {"udp", "rtp", "rtsp", "srt", "http", "https", "ftp", "ftps", "sftp", "file"}
_AS_IT_IS = ("-map", "0", "-c", "copy", "-f", "data", "-flush_packets", "1")
LOOK_US = 2_000_000
"""Microseconds that are looked into of what cannot be opened twice: the first viewer waits for them, and a
multiplex repeats its tables ten times a second."""
_MAX_OUTPUT = 4 << 20  # bytes: a multiplex of a hundred programmes takes some 200 KB


@dataclass(frozen=True, slots=True)
class LiveTracks:
    """What ffmpeg is told to take."""

    maps: tuple[str, ...] = ("0:V:0?", "0:a:0?")
    may_have_fields: bool = True  # else no picture is ever interlaced
    is_top_first: bool = True  # if so: which field is shown first
    left_out: tuple[str, ...] = ()  # subtitles, for the log


def input_arguments(spec: ContentSpec) -> tuple[str, ...]:
    """Return what makes ffmpeg or ffprobe open a live input."""
    form = ("-f", spec.format) if spec.format else ()
    return (*form, *spec.input_options, "-i", _opened(spec))


def is_fifo(spec: ContentSpec) -> bool:
    """Return whether the server reads a FIFO, and hands its bytes to ffmpeg."""
    if spec.copy or "://" in spec.source:
        return False
    try:
        return Path(spec.source).is_fifo()
    except OSError:  # it may not be looked at, or its name is too long: said when it is opened
        return False


def _is_held(spec: ContentSpec) -> bool:
    return spec.source == STDIN_SOURCE or is_fifo(spec)


def _opened(spec: ContentSpec) -> str:
    """Return what ffmpeg calls a source."""
    return "pipe:0" if _is_held(spec) else spec.source


def copy_arguments(spec: ContentSpec) -> tuple[str, ...]:
    """Return what makes ffmpeg hand on the bytes of a live input, whatever they mean.

    RTP is read as UDP, with its headers: ffmpeg would mix RTCP into the stream.
    """
    source = re.sub(r"^rtp://", "udp://", _opened(spec), flags=re.IGNORECASE)
    return ("-f", "data", *spec.input_options, "-i", source, *_AS_IT_IS)


def without_look(spec: ContentSpec) -> LiveTracks | None:
    """Return what to take of an input that is not looked into; None for the others."""
    if spec.copy:
        return LiveTracks()
    if not _is_held(spec) and not _may_be_opened_twice(spec):
        return by_wish(spec.wish)
    if spec.wish == NO_WISH and spec.format not in _CONTAINERS:
        return LiveTracks(may_have_fields=spec.format != "lavfi")
    return None


def by_wish(wish: Wish) -> LiveTracks:
    """Return what to take of an input about which nothing is known but the operator's wish."""
    within = f"p:{wish.programme}:" if wish.programme.isdecimal() else ""
    audio = "a:0"
    if wish.audio == ALL:
        audio = "a"
    elif wish.audio:
        audio = f"a:{wish.audio}" if wish.audio.isdecimal() else f"a:m:language:{wish.audio}"
    return LiveTracks((f"0:{within}V:{wish.video or 0}?", f"0:{within}{audio}?"))


def _may_be_opened_twice(spec: ContentSpec) -> bool:
    scheme, is_url, _ = spec.source.partition("://")
    if not is_url:
        return not spec.source.startswith(("pipe:", "fd:"))
    is_called = "listen" in f"{spec.source} {' '.join(spec.input_options)}"
    return scheme.lower() in _REOPENED and not is_called


def look_command(spec: ContentSpec) -> list[str]:
    """Return the command that looks into a live input."""
    bounded = ("-analyzeduration", str(LOOK_US)) if _is_held(spec) else ()
    return live_probe((*bounded, *input_arguments(spec)))


class Look:
    """Collects what ffprobe writes, without waiting for it."""

    def __init__(self, wish: Wish) -> None:
        self._wish, self._text = wish, bytearray()

    def read(self, ffprobe: Child) -> LiveTracks | None:
        """Take what has come, return the result at its end. Raises SourceError."""
        try:
            while block := os.read(ffprobe.stdout.fileno(), 1 << 16):
                self._text += block
                if len(self._text) > _MAX_OUTPUT:
                    raise SourceError("ffprobe tells too much of it")
        except BlockingIOError:
            return None
        return live_tracks(parse(self._text.decode(errors="replace")), self._wish)


def live_tracks(found: Probe, wish: Wish) -> LiveTracks:
    """Choose from what a live input holds. Raises SourceError."""
    choice = choose(found.streams, wish)
    video, audios = choice.video, choice.audios if wish.audio == ALL else choice.audios[:1]
    sent = [*((video,) if video else ()), *audios]
    fields = video is not None and (video.is_interlaced or video.field_order in ("", "unknown"))
    top_first = not (video and video.is_interlaced) or video.is_top_first
    left_out = (*(f"{text.codec} {text.language}".strip() for text in choice.subtitles), *choice.dropped)
    return LiveTracks(tuple(_place(stream) for stream in sent), fields, top_first, left_out)


def _place(stream: Video | Audio) -> str:
    # By its PID where it has one: the order changes with what is heard first.
    return f"0:i:{stream.pid}" if stream.pid else f"0:{stream.index}"
