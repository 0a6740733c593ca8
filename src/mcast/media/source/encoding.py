"""What ffmpeg is told: how a source becomes H.264 and AAC in a transport stream.

A stream is copied only where the source already is what viewers need: H.264 4:2:0 8 bit, not interlaced,
whose every keyframe is an IDR at most 2 s after the last (the IDR part shows only in the result, see
`ts_inspection`), AAC LC, and both beginning and ending together. Everything else is encoded, by rules that
give the same bytes on every machine: x264's output depends on its number of threads, and on the CPU's
features unless it is told otherwise. A copy whose parameter sets come too late (see there) gets them
once more.

Picture and sound must end together, as a loop repeats the longer one's time: the shorter sound is padded
with silence, a little more sound (up to CUT) is cut, and for much more the last picture stays. Where the
source's clock jumps, only encoding can make both fit again.

Interlaced pictures are deinterlaced, frame for frame, unless the operator keeps them: then the fields'
order is kept, too. Screens show whole pictures, and a player that does not expect fields shows combs.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction

from mcast.media.source.extents import SEAM, Extent, Extents
from mcast.media.source.probe import Probe
from mcast.media.source.tracks import Audio, Choice, Subtitle, Video

PREPARE_VERSION = 3
"""Part of the cache's key: change it whenever the same source would be prepared otherwise."""

KEYFRAME_INTERVAL = 2  # seconds
KEYFRAME_TOLERANCE = 0.01  # 60 frames at 29.97 Hz last 2.002 s
MISMATCH = 0.05  # seconds by which ends of picture and sound may differ: a frame, or two of AAC
CUT = 1.0  # seconds of sound behind the last picture that are left out
MIN_FRAME_RATE, MAX_FRAME_RATE = 5, 60  # a slower clock makes packets late, see `cutting`
STILL_SECONDS = 10
THREADS = 4  # fixed: the output depends on it
VIDEO_ENCODER, AUDIO_ENCODER = "libx264", "aac"

AUTO, KEEP, OFF = DEINTERLACING = ("auto", "keep", "off")

_PLAIN_PIXELS = {"yuv420p", "yuvj420p"}
_BIT_RATES = ((360, 1_500_000), (480, 2_500_000), (720, 5_000_000), (1080, 8_000_000))
_BIT_RATE_ABOVE = 20_000_000
_LANGUAGE = re.compile(r"[a-z]{3}(,[a-z]{3})*")
_DEINTERLACE = "bwdif=mode=send_frame:deint=interlaced"

_MUXER = (
    # No -muxrate: its padding lands between PMT and picture. PATs come before keyframes by themselves,
    # the period serves sound without pictures. A PCR with each frame.
    *("-flags", "+bitexact", "-fflags", "+bitexact", "-pat_period", "2.5", "-sdt_period", "3600"),
    *("-pcr_period", "20", "-muxdelay", "0.3", "-muxpreload", "0.3"),
)
# Behind the muxer's: ffmpeg takes the last of all flags that are meant for a stream.
_AS_FIELDS = ("-flags:v", "+ildct+ilme+bitexact")


@dataclass(frozen=True, slots=True)
class Quality:
    """What the operator decides about an encoding."""

    max_bit_rate: int = 0  # of the picture, bit/s; 0: by its height
    audio_bit_rate: int = 128_000
    deint: str = AUTO  # deinterlace; "keep" the fields; "off": take every picture as a whole one


DEFAULT_QUALITY = Quality()


class Copying(Enum):
    """What may be done with streams that are fit for viewers."""

    AS_THEY_ARE = auto()
    SETS_IN_FRONT = auto()  # H.264's parameter sets are put before each keyframe once more
    NOTHING = auto()  # encode them


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one file is prepared."""

    arguments: tuple[str, ...]  # ffmpeg's, from the input to before the output
    seconds: float  # what to expect
    encoders: tuple[str, ...]  # those that ffmpeg must have
    copies: bool  # something is copied, so the result may turn out not to be fit
    description: str  # for the log


def decide(
    path: str, probe: Probe, choice: Choice, seen: Extents, quality: Quality, copying: "Copying"
) -> Recipe:
    """Choose between copy and encode for picture and sounds."""
    return _Decision(path, probe, choice, seen, quality, copying).recipe()


def surely_encoded(choice: Choice, quality: Quality) -> tuple[str, ...]:
    """Return the encoders that are needed whatever the packets say, before they are looked at."""
    video, needed = choice.video, []
    if video and (choice.is_still or _why_encode_codec(video, quality)):
        needed.append(VIDEO_ENCODER)
    if any(_why_encode_sound_codec(audio) for audio in choice.audios):
        needed.append(AUDIO_ENCODER)
    return tuple(needed)


@dataclass(frozen=True, slots=True)
class _Decision:
    """All that is known of one file, and what follows from it."""

    path: str
    probe: Probe
    choice: Choice
    seen: Extents
    quality: Quality
    copying: Copying

    def recipe(self) -> Recipe:
        video, audios = self.choice.video, self.choice.audios
        why_video = self._why_encode_video(video) if video else ""
        why_audios = [self._why_encode_audio(audio) for audio in audios]
        arguments = [*self._input(), *(self._video_arguments(video, why_video) if video else ())]
        for number, (audio, why) in enumerate(zip(audios, why_audios, strict=True)):
            arguments += ["-map", f"0:{audio.index}", *self._audio_arguments(number, audio, why)]
        if not video:
            arguments += ["-pes_payload_size", "0"]  # a clock with each frame of sound, not every 170 ms
        arguments += [*self._subtitle_arguments(), "-map_metadata", "-1", "-map_chapters", "-1", "-dn"]
        arguments += [*_languages(audios, self.choice.subtitles), *_MUXER]
        arguments += _AS_FIELDS if why_video and self._keeps_fields else ()
        encoders = ((VIDEO_ENCODER,) if why_video else ()) + ((AUDIO_ENCODER,) if any(why_audios) else ())
        copies = bool(video and not why_video) or not all(why_audios)
        return Recipe(tuple(arguments), self.end, encoders, copies, self._described(why_video, why_audios))

    @property
    def end(self) -> float:
        """Return when the content ends, in seconds from its start."""
        if self.choice.is_still:
            return STILL_SECONDS
        seen, heard = self._picture, [self.seen.of(audio) for audio in self.choice.audios]
        ends = [extent.end - self.start for extent in (seen, *heard) if extent]
        if seen and len(ends) > 1 and 0 < max(ends) - (seen.end - self.start) <= CUT:
            return seen.end - self.start
        return max(ends, default=0.0)

    @property
    def start(self) -> float:
        """Return when picture or sound begins on the source's clock: what is left out may begin sooner."""
        begun = [extent.start for stream in self._sent if (extent := self.seen.of(stream))]
        first = min(begun, default=self.probe.start)
        return first if first - self.probe.start > MISMATCH else self.probe.start

    @property
    def _sent(self) -> tuple[Video | Audio | None, ...]:
        return self.choice.video, *self.choice.audios

    @property
    def _picture(self) -> Extent | None:
        return self.seen.of(self.choice.video)

    @property
    def _is_joined(self) -> bool:
        """Return whether the clock of something that is sent jumps."""
        return any(extent.jumps for stream in self._sent if (extent := self.seen.of(stream)))

    @property
    def _puts_sets_in_front(self) -> bool:
        return self.copying is Copying.SETS_IN_FRONT

    @property
    def _keeps_fields(self) -> bool:
        video = self.choice.video
        return self.quality.deint == KEEP and video is not None and video.is_interlaced

    def _input(self) -> tuple[str, ...]:
        joined = ("-dts_delta_threshold", f"{self.seen.threshold:g}") if self._is_joined else ()
        later = self.start - self.probe.start
        sooner = ("-itsoffset", f"{-later:.6f}") if later else ()
        return (*joined, *sooner, *self.probe.input_options, "-i", self.path)

    def _described(self, why_video: str, why_audios: Sequence[str]) -> str:
        copied = "copy with its parameter sets in front" if self._puts_sets_in_front else "copy"
        said = [f"picture: {f'encode ({why_video})' if why_video else copied}"] if self.choice.video else []
        said += [f"sound: {f'encode ({why})' if why else 'copy'}" for why in why_audios]
        said += [f"subtitles: {text.codec} {text.language}".strip() for text in self.choice.subtitles]
        if self.choice.dropped:
            said.append(f"left out, as a transport stream cannot hold it: {', '.join(self.choice.dropped)}")
        return "; ".join(said)

    # The picture

    def _why_encode_video(self, video: Video) -> str:
        """Return why the picture cannot be copied; empty if it can."""
        seen = self._picture
        if why := _why_encode_codec(video, self.quality):
            return why
        if self.copying is Copying.NOTHING:
            return "a copy is not fit"
        if seen is None or self.choice.is_still:
            return "no timestamps"
        if self._is_joined:
            return "its clock jumps"
        if video.rotated or seen.hidden:
            return "rotated or trimmed by its container"
        if seen.longest > 1 / MIN_FRAME_RATE or not MIN_FRAME_RATE <= video.frame_rate <= 4 * MAX_FRAME_RATE:
            return "an unusual frame rate"
        return self._why_not_its_times(seen)

    def _why_not_its_times(self, seen: Extent) -> str:
        times = sorted([*seen.keyframes, seen.end])
        longest = max((after - before for before, after in itertools.pairwise(times)), default=0.0)
        if times[0] > seen.start + MISMATCH or longest > KEYFRAME_INTERVAL + KEYFRAME_TOLERANCE:
            return f"keyframes more than {KEYFRAME_INTERVAL} s apart"
        heard = any(self.seen.of(audio) for audio in self.choice.audios)
        missing = self.end - (seen.end - self.start)
        if heard and max(seen.start - self.start, missing) > MISMATCH:
            return "shorter than the sound"
        return ""

    def _video_arguments(self, video: Video, why: str) -> list[str]:
        return ["-map", f"0:{video.index}", *(self._video_encoder(video) if why else self._video_copy())]

    def _video_copy(self) -> Sequence[str]:
        # What makes a transport stream's H.264 out of an MP4's puts the sets right before the picture, behind
        # what refers to them. In front they must not stand before a delimiter: the muxer adds one.
        filters = ("-bsf:v", "h264_mp4toannexb,filter_units=remove_types=9,dump_extra")
        return "-c:v", "copy", *(filters if self._puts_sets_in_front else ())

    def _video_encoder(self, video: Video) -> list[str]:
        still = self.choice.is_still
        rate = Fraction(MIN_FRAME_RATE) if still else _frame_rate(video.frame_rate)
        fields = _field_order(video.is_top_first) if self._keeps_fields else ""
        return [
            *("-filter:v", ",".join(self._video_filters(video, rate))),
            *("-c:v", VIDEO_ENCODER, "-preset", "veryfast", "-pix_fmt", "yuv420p"),
            *("-sws_flags", "bicubic+accurate_rnd+bitexact", "-g", str(int(KEYFRAME_INTERVAL * rate))),
            *("-threads", str(THREADS), "-x264-params", f"open-gop=0:cpu-independent=1{fields}"),
            *_rate_limit(self.quality.max_bit_rate or _default_bit_rate(video.height)),
            *(("-t", str(STILL_SECONDS)) if still else ()),
        ]

    def _video_filters(self, video: Video, rate: Fraction) -> list[str]:
        filters = [_DEINTERLACE] if self.quality.deint == AUTO and _may_have_fields(video) else []
        if self.choice.is_still:
            filters.append(f"tpad=stop_mode=clone:stop_duration={STILL_SECONDS}")
        # A constant rate from the content's start: no picture lacks, whatever the source's timestamps do.
        filters.append(f"fps={rate.numerator}/{rate.denominator}:start_time=0")
        if self._picture and not self.choice.is_still:
            filters += self._same_end(self.end - (self._picture.end - self.start))
        if self._keeps_fields and video.pixel_format not in _PLAIN_PIXELS:
            filters.append("scale=interl=1")  # each field's colours for itself
        if video.width % 2 or video.height % 2:
            filters.append("pad=ceil(iw/2)*2:ceil(ih/2)*2")
        return filters

    def _same_end(self, missing: float) -> list[str]:
        """Let the last picture stay for what the sound is longer, or for what is unsure at the seams."""
        if self._is_joined:
            longer = f"tpad=stop_mode=clone:stop_duration={max(missing, 0.0) + SEAM:.6f}"
            return [longer, f"trim=end={self.end:.6f}"]
        return [f"tpad=stop_mode=clone:stop_duration={missing:.6f}"] if missing > MISMATCH else []

    # Sounds and subtitles

    def _why_encode_audio(self, audio: Audio) -> str:
        """Return why a sound cannot be copied; empty if it can."""
        heard, seen = self.seen.of(audio), self._picture
        if why := _why_encode_sound_codec(audio):
            return why
        if self.copying is Copying.NOTHING:
            return "a copy is not fit"
        if heard is None:
            return "no timestamps"
        if self._is_joined:
            return "its clock jumps"
        others = [other for each in self.choice.audios if (other := self.seen.of(each))]
        for other in (seen, *others):
            if other and max(abs(other.start - heard.start), abs(other.end - heard.end)) > MISMATCH:
                return f"it begins or ends with another time than the {'picture' if seen else 'others'}"
        return ""

    def _audio_arguments(self, number: int, audio: Audio, why: str) -> list[str]:
        if not why:
            return [f"-c:a:{number}", "copy"]
        filters = ["aresample=48000:async=1:first_pts=0"]  # silence where the source has holes
        if self.choice.video or self._is_joined or len(self.choice.audios) > 1:
            filters += [f"apad=whole_dur={self.end:.6f}", f"atrim=end={self.end:.6f}"]
        return [
            *(f"-filter:a:{number}", ",".join(filters), f"-c:a:{number}", AUDIO_ENCODER),
            *(f"-b:a:{number}", str(self.quality.audio_bit_rate)),
            *(f"-ac:a:{number}", str(min(max(audio.channels, 1), 2))),
        ]

    def _subtitle_arguments(self) -> list[str]:
        if not self.choice.subtitles:
            return ["-sn"]
        maps = [part for text in self.choice.subtitles for part in ("-map", f"0:{text.index}")]
        return [*maps, "-c:s", "copy"]


def live_arguments(
    input_arguments: Sequence[str],
    maps: Sequence[str],
    quality: Quality,
    *,
    may_have_fields: bool,
    is_top_first: bool,
    offset: float | None,
) -> tuple[str, ...]:
    """Return ffmpeg's arguments for a live input; with an offset, it goes on there after a break."""
    keeps_fields = may_have_fields and quality.deint == KEEP
    filters = [_DEINTERLACE] if may_have_fields and quality.deint == AUTO else []
    filters.append("pad=ceil(iw/2)*2:ceil(ih/2)*2")
    return (
        *input_arguments,
        *(part for each in maps for part in ("-map", each)),
        *("-map_metadata", "-1", "-sn", "-dn"),
        *("-c:v", VIDEO_ENCODER, "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"),
        *("-force_key_frames", f"expr:gte(t,n_forced*{KEYFRAME_INTERVAL})"),
        *("-x264-params", f"open-gop=0{_field_order(is_top_first) if keeps_fields else ''}"),
        *_rate_limit(quality.max_bit_rate or 5_000_000),
        *("-vf", ",".join(filters)),
        *("-c:a", AUDIO_ENCODER, "-b:a", str(quality.audio_bit_rate), "-ar", "48000", "-ac", "2"),
        *_MUXER,
        *(_AS_FIELDS if keeps_fields else ()),
        *("-pes_payload_size", "0", "-flush_packets", "1"),  # each frame leaves at once
        *_continuation(offset),
    )


def _continuation(offset: float | None) -> tuple[str, ...]:
    """Let timestamps go on at so many seconds, and announce that the counters do not."""
    if offset is None:
        return ()
    return "-mpegts_flags", "initial_discontinuity", "-output_ts_offset", f"{offset:.3f}"


def _why_encode_codec(video: Video, quality: Quality) -> str:
    if video.codec != "h264" or video.pixel_format not in _PLAIN_PIXELS:
        return f"{video.codec} {video.pixel_format}".strip()
    if quality.max_bit_rate:
        return "a bit rate is given"
    if video.is_interlaced and quality.deint == AUTO:
        return "interlaced"
    return ""


def _why_encode_sound_codec(audio: Audio) -> str:
    if audio.codec != "aac" or audio.profile != "LC":
        return f"{audio.codec} {audio.profile}".strip()
    if audio.channels > 2 or not 32_000 <= audio.sample_rate <= 48_000:
        return f"{audio.channels} channels, {audio.sample_rate} Hz"
    return ""


def _field_order(is_top_first: bool) -> str:
    """Return x264's parameter, which ffmpeg does not hand over from what it reads."""
    return ":tff=1" if is_top_first else ":bff=1"


def _may_have_fields(video: Video) -> bool:
    """Return whether pictures may come as fields: where that is not known, each one's own mark decides."""
    is_known = video.field_order not in ("", "unknown")
    return video.is_interlaced or (not is_known and video.moves and video.pixel_format.startswith("yuv"))


def _languages(audios: Sequence[Audio], subtitles: Sequence[Subtitle]) -> list[str]:
    """Say which is which, where there is more than one."""
    if len(audios) < 2 and not subtitles:
        return []
    named = [(f"a:{number}", audio.language) for number, audio in enumerate(audios)]
    named += [(f"s:{number}", text.language) for number, text in enumerate(subtitles)]
    return [
        part
        for place, language in named
        if _LANGUAGE.fullmatch(language)
        for part in (f"-metadata:s:{place}", f"language={language}")
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
