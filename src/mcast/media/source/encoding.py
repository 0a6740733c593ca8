"""What ffmpeg is told: how a source becomes H.264 and AAC in a transport stream.

A stream is copied only where the source already is what viewers need: H.264 4:2:0 8 bit whose every
keyframe is an IDR at most 2 s after the last (the IDR part shows only in the result, see `survey`), AAC
LC, and both beginning and ending together. Everything else is encoded, by rules that give the same bytes
on every machine: x264's output depends on its number of threads, and on the CPU's features unless it is
told otherwise.

Picture and sound must end together, as a loop repeats the longer one's time: the shorter sound is padded
with silence, a little more sound (up to CUT) is cut, and for much more the last picture stays.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from mcast.media.source.probe import Audio, Extent, Probe, Video

PREPARE_VERSION = 1
"""Part of the cache's key: change it whenever the same source would be prepared otherwise."""

KEYFRAME_INTERVAL = 2  # seconds
KEYFRAME_TOLERANCE = 0.01  # 60 frames at 29.97 Hz last 2.002 s
MISMATCH = 0.05  # seconds by which ends of picture and sound may differ: a frame, or two of AAC
CUT = 1.0  # seconds of sound behind the last picture that are left out
MIN_FRAME_RATE, MAX_FRAME_RATE = 5, 60  # a slower clock makes packets late, see `cutting`
STILL_SECONDS = 10
THREADS = 4  # fixed: the output depends on it

_PLAIN_PIXELS = {"yuv420p", "yuvj420p"}
_BIT_RATES = ((360, 1_500_000), (480, 2_500_000), (720, 5_000_000), (1080, 8_000_000))
_BIT_RATE_ABOVE = 20_000_000

_MUXER = (
    # No -muxrate: its padding lands between PMT and picture. PATs come before keyframes by themselves,
    # the period serves sound without pictures. A PCR with each frame.
    *("-flags", "+bitexact", "-fflags", "+bitexact", "-pat_period", "2.5", "-sdt_period", "3600"),
    *("-pcr_period", "20", "-muxdelay", "0.3", "-muxpreload", "0.3"),
)


@dataclass(frozen=True, slots=True)
class Quality:
    """What the operator decides about an encoding."""

    max_bit_rate: int = 0  # of the picture, bit/s; 0: by its height
    audio_bit_rate: int = 128_000


DEFAULT_QUALITY = Quality()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one file is prepared."""

    arguments: tuple[str, ...]  # ffmpeg's, from the input to before the output
    seconds: float  # what to expect
    copies: bool  # something is copied, so the result may turn out not to be fit
    description: str  # for the log


def decide(
    path: str, probe: Probe, extents: Mapping[int, Extent], quality: Quality, *, may_copy: bool
) -> Recipe:
    """Choose between copy and encode for picture and sound."""
    video, audio = probe.video, probe.audio
    seen = extents.get(video.index) if video else None
    heard = extents.get(audio.index) if audio else None
    end = _common_end(probe, seen, heard)
    why_video = _why_encode_video(probe, seen, heard, end, quality) if may_copy else "a copy is not fit"
    why_audio = _why_encode_audio(probe, seen, heard) if may_copy else "a copy is not fit"
    arguments: list[str] = [*(("-loop", "1") if probe.is_still else ()), "-i", path]
    said: list[str] = []
    if video:
        arguments += ["-map", f"0:{video.index}"]
        arguments += _video_encoder(probe, video, seen, end, quality) if why_video else ["-c:v", "copy"]
        said.append(f"picture: {f'encode ({why_video})' if why_video else 'copy'}")
    if audio:
        arguments += ["-map", f"0:{audio.index}"]
        whole = end if video else None
        arguments += _audio_encoder(audio, whole, quality) if why_audio else ["-c:a", "copy"]
        said.append(f"sound: {f'encode ({why_audio})' if why_audio else 'copy'}")
    if not video:
        arguments += ["-pes_payload_size", "0"]  # a clock with each frame of sound, not each 170 ms
    arguments += ["-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn", *_MUXER]
    copies = bool((video and not why_video) or (audio and not why_audio))
    return Recipe(tuple(arguments), end, copies, "; ".join(said))


def live_arguments(
    source: str,
    form: str | None,
    input_options: tuple[str, ...],
    quality: Quality,
    *,
    paced: bool,
    offset: float | None,
) -> tuple[str, ...]:
    """Give ffmpeg's arguments for a live input; with an offset, it goes on there after a break."""
    return (
        *(("-re",) if paced else ()),
        *(("-f", form) if form else ()),
        *input_options,
        *("-i", source, "-map", "0:V:0?", "-map", "0:a:0?", "-map_metadata", "-1", "-sn", "-dn"),
        *("-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"),
        *("-force_key_frames", f"expr:gte(t,n_forced*{KEYFRAME_INTERVAL})", "-x264-params", "open-gop=0"),
        *_rate_limit(quality.max_bit_rate or 5_000_000),
        *("-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"),
        *("-c:a", "aac", "-b:a", str(quality.audio_bit_rate), "-ar", "48000", "-ac", "2"),
        *_MUXER,
        *("-pes_payload_size", "0", "-flush_packets", "1"),  # each frame leaves at once
        *_continuation(offset),
    )


def _continuation(offset: float | None) -> tuple[str, ...]:
    """Let timestamps go on at so many seconds, and announce that the counters do not."""
    if offset is None:
        return ()
    return "-mpegts_flags", "initial_discontinuity", "-output_ts_offset", f"{offset:.3f}"


def _common_end(probe: Probe, seen: Extent | None, heard: Extent | None) -> float:
    """Say when the content ends, in seconds from its start."""
    if probe.is_still:
        return STILL_SECONDS
    ends = [extent.end - probe.start for extent in (seen, heard) if extent]
    if seen and heard and 0 < heard.end - seen.end <= CUT:
        return seen.end - probe.start
    return max(ends, default=0.0)


def _why_encode_video(
    probe: Probe, seen: Extent | None, heard: Extent | None, end: float, quality: Quality
) -> str:
    """Say why the picture cannot be copied; empty if it can."""
    video = probe.video
    if video is None:
        return ""
    if video.codec != "h264" or video.pixel_format not in _PLAIN_PIXELS:
        return f"{video.codec} {video.pixel_format}".strip()
    if quality.max_bit_rate:
        return "a bit rate is given"
    if seen is None or probe.is_still:
        return "no timestamps"
    if video.rotated or seen.hidden:
        return "rotated or trimmed by its container"
    if seen.longest > 1 / MIN_FRAME_RATE or not MIN_FRAME_RATE <= video.frame_rate <= 4 * MAX_FRAME_RATE:
        return "an unusual frame rate"
    times = sorted([*seen.keyframes, seen.end])
    gaps = [after - before for before, after in itertools.pairwise(times)]
    if times[0] > seen.start + MISMATCH or max(gaps, default=0.0) > KEYFRAME_INTERVAL + KEYFRAME_TOLERANCE:
        return f"keyframes more than {KEYFRAME_INTERVAL} s apart"
    if heard and (seen.start - probe.start > MISMATCH or end - (seen.end - probe.start) > MISMATCH):
        return "shorter than the sound"
    return ""


def _why_encode_audio(probe: Probe, seen: Extent | None, heard: Extent | None) -> str:
    """Say why the sound cannot be copied; empty if it can."""
    audio = probe.audio
    if audio is None:
        return ""
    if audio.codec != "aac" or audio.profile != "LC":
        return f"{audio.codec} {audio.profile}".strip()
    if audio.channels > 2 or not 32_000 <= audio.sample_rate <= 48_000:
        return f"{audio.channels} channels, {audio.sample_rate} Hz"
    if heard is None:
        return "no timestamps"
    if seen and max(abs(seen.start - heard.start), abs(seen.end - heard.end)) > MISMATCH:
        return "it begins or ends with another time than the picture"
    return ""


def _video_encoder(
    probe: Probe, video: Video, seen: Extent | None, end: float, quality: Quality
) -> list[str]:
    rate = Fraction(MIN_FRAME_RATE) if probe.is_still else _frame_rate(video.frame_rate)
    # A constant rate from the content's start: no picture lacks, whatever the source's timestamps do.
    filters = [f"fps={rate.numerator}/{rate.denominator}:start_time=0"]
    if seen and (missing := end - (seen.end - probe.start)) > MISMATCH and not probe.is_still:
        filters.append(f"tpad=stop_mode=clone:stop_duration={missing:.6f}")
    if video.width % 2 or video.height % 2:
        filters.append("pad=ceil(iw/2)*2:ceil(ih/2)*2")
    return [
        *("-filter:v", ",".join(filters), "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"),
        *("-sws_flags", "bicubic+accurate_rnd+bitexact", "-g", str(int(KEYFRAME_INTERVAL * rate))),
        *("-threads", str(THREADS), "-x264-params", "open-gop=0:cpu-independent=1"),
        *_rate_limit(quality.max_bit_rate or _default_bit_rate(video.height)),
        *(("-t", str(STILL_SECONDS)) if probe.is_still else ()),
    ]


def _audio_encoder(audio: Audio, end: float | None, quality: Quality) -> list[str]:
    filters = ["aresample=48000:async=1:first_pts=0"]  # silence where the source has holes
    if end is not None:
        filters += [f"apad=whole_dur={end:.6f}", f"atrim=end={end:.6f}"]
    return [
        *("-filter:a", ",".join(filters), "-c:a", "aac", "-b:a", str(quality.audio_bit_rate)),
        *("-ac", str(min(max(audio.channels, 1), 2))),
    ]


def _rate_limit(bit_rate: int) -> tuple[str, ...]:
    return "-maxrate", str(bit_rate), "-bufsize", str(bit_rate)


def _default_bit_rate(height: int) -> int:
    return next((rate for limit, rate in _BIT_RATES if height <= limit), _BIT_RATE_ABOVE)


def _frame_rate(rate: Fraction) -> Fraction:
    """Keep the source's rate where it is usual, else give one near to it."""
    if not rate:
        return Fraction(25)
    if rate > MAX_FRAME_RATE:
        return Fraction(MAX_FRAME_RATE)
    if rate < MIN_FRAME_RATE:
        return rate * -(-MIN_FRAME_RATE // rate)  # each picture several times
    return rate
