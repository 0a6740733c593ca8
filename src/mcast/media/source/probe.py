"""What a source holds, as ffprobe tells."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mcast.media.cancelling import Cancelled, never
from mcast.media.source.complaints import SourceError
from mcast.media.source.ffmpeg import lines_of
from mcast.media.source.tracks import Audio, Programme, Streams, Subtitle, Video, is_secondary
from mcast.media.tools import find_tool

_ENTRIES = ("-of", "json", "-show_format", "-show_streams", "-show_programs")


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file holds: its container and all streams."""

    container: str
    start: float  # seconds; ffmpeg shifts the content so that this becomes 0
    streams: Streams
    input_options: tuple[str, ...] = ()  # what ffmpeg must be told to see all of it

    @property
    def has_clock_jumps(self) -> bool:
        """Return whether the container's clock may jump, and ffmpeg then goes on as if it had not."""
        return bool({"mpegts", "mpeg", "flv", "hls"} & set(self.container.split(",")))


def probe(path: str, cancelled: Cancelled = never) -> Probe:
    """Look into a file. Raises SourceError and CancelledError."""
    found = _show(path, cancelled=cancelled)
    if found.container == "image2":
        return _joined_pictures(path, found, cancelled)
    return found


def live_probe(input_arguments: Sequence[str]) -> list[str]:
    """Return the command that looks into a live input; its output is for `parse`."""
    return [find_tool("ffprobe"), "-v", "error", *_ENTRIES, *input_arguments]


def parse(text: str) -> Probe:
    """Read what ffprobe has written. Raises SourceError."""
    try:
        found = _read(json.loads(text))
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError):  # not as ffprobe writes
        raise SourceError("ffprobe tells nothing of it") from None
    # ffmpeg reads any text as "tty", an animation of letters: surely not what was meant.
    if not (found.streams.videos or found.streams.audios) or found.container == "tty":
        raise SourceError("it holds neither picture nor sound that ffmpeg can read")
    return found


def _read(found: dict[str, Any]) -> Probe:
    about: dict[str, Any] = found.get("format", {})
    container = str(about.get("format_name", ""))
    streams: list[dict[str, Any]] = found.get("streams", [])
    held = Streams(
        tuple(_video(stream, _pid(stream, container)) for stream in streams if _is_video(stream)),
        tuple(_audio(stream, _pid(stream, container)) for stream in streams if _is(stream, "audio")),
        tuple(_subtitle(stream) for stream in streams if _is(stream, "subtitle")),
        tuple(_programme(programme) for programme in found.get("programs", [])),
    )
    return Probe(container, number(about.get("start_time")), held)


def _show(path: str, *options: str, cancelled: Cancelled) -> Probe:
    command = [find_tool("ffprobe"), "-v", "error", *_ENTRIES, *options, path]
    return parse("\n".join(lines_of(command, path, cancelled)))


def _joined_pictures(path: str, found: Probe, cancelled: Cancelled) -> Probe:
    """Look again into a file of one picture: ffmpeg takes its name for it that there is only one.

    Cameras put a small picture behind the large one; only pictures of one size are a film.
    """
    codec = found.streams.videos[0].codec if found.streams.videos else ""
    options = ("-f", f"{'jpeg' if codec == 'mjpeg' else codec}_pipe")
    entries = ("-show_entries", "frame=width,height", "-of", "csv=p=0")
    try:
        command = [find_tool("ffprobe"), "-v", "error", *options, *entries, path]
        sizes = list(lines_of(command, path, cancelled))
        joined = _show(path, *options, cancelled=cancelled) if _are_a_film(sizes) else None
    except SourceError:  # no such demuxer: this codec's pictures are never joined
        joined = None
    return Probe(joined.container, joined.start, joined.streams, options) if joined else found


def _are_a_film(sizes: Sequence[str]) -> bool:
    return len(sizes) > 1 and len(set(sizes)) == 1


def _is(stream: dict[str, Any], kind: str) -> bool:
    return stream.get("codec_type") == kind and bool(stream.get("codec_name"))


def _is_video(stream: dict[str, Any]) -> bool:
    return _is(stream, "video") and int(stream.get("width", 0)) > 0


def _pid(stream: dict[str, Any], container: str) -> int:
    return int(str(stream.get("id", "0")), 0) if container == "mpegts" else 0


def _video(stream: dict[str, Any], pid: int) -> Video:
    rates = [_fraction(stream.get(name)) for name in ("avg_frame_rate", "r_frame_rate")]
    sides = stream.get("side_data_list", [])
    disposition = stream.get("disposition", {})
    return Video(
        index=int(stream["index"]),
        codec=str(stream["codec_name"]),
        pixel_format=str(stream.get("pix_fmt", "")),
        width=int(stream["width"]),
        height=int(stream["height"]),
        frame_rate=next((rate for rate in rates if rate), Fraction(0)),
        rotated=any(side.get("rotation") for side in sides),
        field_order=str(stream.get("field_order", "")),
        is_cover=bool(disposition.get("attached_pic") or disposition.get("timed_thumbnails")),
        is_default=bool(disposition.get("default")),
        pictures=int(number(stream.get("nb_frames"))),
        pid=pid,
    )


def _audio(stream: dict[str, Any], pid: int) -> Audio:
    disposition, tags = stream.get("disposition", {}), stream.get("tags", {})
    return Audio(
        index=int(stream["index"]),
        codec=str(stream["codec_name"]),
        profile=str(stream.get("profile", "")),
        channels=int(stream.get("channels", 0)),
        sample_rate=int(stream.get("sample_rate", 0)),
        language=str(tags.get("language", "")),
        is_default=bool(disposition.get("default")),
        is_secondary=is_secondary(disposition, str(tags.get("title", ""))),
        pid=pid,
    )


def _subtitle(stream: dict[str, Any]) -> Subtitle:
    language = str(stream.get("tags", {}).get("language", ""))
    return Subtitle(int(stream["index"]), str(stream["codec_name"]), language)


def _programme(programme: dict[str, Any]) -> Programme:
    streams = frozenset(int(stream["index"]) for stream in programme.get("streams", []))
    name = str(programme.get("tags", {}).get("service_name", ""))
    return Programme(int(programme.get("program_num", programme.get("program_id", 0))), name, streams)


def number(text: object) -> float:
    """Read a number of ffprobe's; 0 for "N/A" and what is missing."""
    try:
        return float(str(text))
    except ValueError:
        return 0.0


def _fraction(text: object) -> Fraction:
    try:
        return Fraction(str(text))
    except (ValueError, ZeroDivisionError):  # "0/0"
        return Fraction(0)
