"""What a source holds, as ffprobe tells."""

import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mcast.errors import ConfigError
from mcast.media.source.ffmpeg import ToolError, find_tool, lines_of


class SourceError(ConfigError):
    """A source cannot be used. The text does not say whose it is: the caller knows."""


@dataclass(frozen=True, slots=True)
class Video:
    """The first stream of pictures that is no cover."""

    index: int
    codec: str
    pixel_format: str
    width: int
    height: int
    frame_rate: Fraction  # 0: unknown
    rotated: bool


@dataclass(frozen=True, slots=True)
class Audio:
    """The first stream of sound."""

    index: int
    codec: str
    profile: str
    channels: int
    sample_rate: int


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file holds. At least one of picture and sound."""

    container: str
    start: float  # seconds; ffmpeg shifts the content so that this becomes 0
    video: Video | None
    audio: Audio | None

    @property
    def is_still(self) -> bool:
        """Tell whether the file is one picture: it has no duration of its own."""
        return self.container == "image2" or self.container.endswith("_pipe")


@dataclass(slots=True)
class Extent:
    """When a stream begins and ends, from its packets; seconds."""

    start: float = float("inf")
    end: float = float("-inf")
    keyframes: list[float] = field(default_factory=list)
    longest: float = 0.0  # duration of a packet
    hidden: bool = False  # the container says that some packets are not to be shown (edit list)

    def add(self, time: float, duration: float, flags: str) -> None:
        self.start, self.end = min(self.start, time), max(self.end, time + duration)
        self.longest = max(self.longest, duration)
        if "K" in flags:
            self.keyframes.append(time)
        self.hidden = self.hidden or "D" in flags


def probe(path: str) -> Probe:
    """Look into a file. Raises SourceError."""
    command = [find_tool("ffprobe"), "-v", "error", "-of", "json", "-show_format", "-show_streams", path]
    try:
        found = json.loads("\n".join(lines_of(command)))
    except ToolError as error:
        raise SourceError(f"ffmpeg cannot read it: {_reason(error, path)}") from None
    container = str(found.get("format", {}).get("format_name", ""))
    streams: list[dict[str, Any]] = found.get("streams", [])
    video = next((_video(stream) for stream in streams if _is_video(stream)), None)
    audio = next((_audio(stream) for stream in streams if _is_audio(stream)), None)
    # ffmpeg reads any text as "tty", an animation of letters: surely not what was meant.
    if (video is None and audio is None) or container == "tty":
        raise SourceError("it holds neither picture nor sound that ffmpeg can read")
    return Probe(container, _number(found["format"].get("start_time")), video, audio)


def extents(path: str) -> dict[int, Extent]:
    """Walk through all packets, give each stream's extent by its index.

    Durations in a container's header are estimates more often than not; packets are what will be sent.
    Raises SourceError.
    """
    entries = "packet=stream_index,pts_time,duration_time,flags"
    command = [find_tool("ffprobe"), "-v", "error", "-of", "csv=p=0", "-show_entries", entries, path]
    found: dict[int, Extent] = {}
    try:
        for line in lines_of(command):
            index, time, duration, flags = [*line.split(","), "", "", "", ""][:4]
            if index.isdecimal() and time not in ("N/A", ""):
                found.setdefault(int(index), Extent()).add(float(time), _number(duration), flags)
    except ToolError as error:
        raise SourceError(f"ffmpeg cannot read it: {_reason(error, path)}") from None
    return found


def _reason(error: ToolError, path: str) -> str:
    return str(error).removeprefix(f"{path}: ")


def _is_video(stream: dict[str, Any]) -> bool:
    disposition = stream.get("disposition", {})
    return (
        stream.get("codec_type") == "video"
        and bool(stream.get("codec_name"))
        and int(stream.get("width", 0)) > 0
        and not disposition.get("attached_pic")
        and not disposition.get("timed_thumbnails")
    )


def _is_audio(stream: dict[str, Any]) -> bool:
    return stream.get("codec_type") == "audio" and bool(stream.get("codec_name"))


def _video(stream: dict[str, Any]) -> Video:
    rates = [_fraction(stream.get(name)) for name in ("avg_frame_rate", "r_frame_rate")]
    sides = stream.get("side_data_list", [])
    return Video(
        index=int(stream["index"]),
        codec=str(stream["codec_name"]),
        pixel_format=str(stream.get("pix_fmt", "")),
        width=int(stream["width"]),
        height=int(stream["height"]),
        frame_rate=next((rate for rate in rates if rate), Fraction(0)),
        rotated=any(side.get("rotation") for side in sides),
    )


def _audio(stream: dict[str, Any]) -> Audio:
    return Audio(
        index=int(stream["index"]),
        codec=str(stream["codec_name"]),
        profile=str(stream.get("profile", "")),
        channels=int(stream.get("channels", 0)),
        sample_rate=int(stream.get("sample_rate", 0)),
    )


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:  # "N/A", or missing
        return 0.0


def _fraction(text: object) -> Fraction:
    try:
        return Fraction(str(text))
    except (ValueError, ZeroDivisionError):  # "0/0"
        return Fraction(0)
