"""One programme of a transport stream (ISO 13818-1, 2.4.4.8), and what browsers can show of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from mcast.wire.mpegts import NULL_PID, WRAP, pes_at, timestamp_at

KINDS = {
    0x01: "MPEG-1 video",
    0x02: "MPEG-2 video",
    0x03: "MP2 audio",
    0x04: "MP2 audio",
    0x0F: "AAC",
    0x10: "MPEG-4 video",
    0x11: "AAC (LATM)",
    0x1B: "H.264",
    0x24: "HEVC",
    0x81: "AC-3",
    0x87: "E-AC-3",
}
"""Stream types by number (ISO 13818-1, table 2-34; 0x81 and 0x87: ATSC A/53, A/52)."""

CLOCK = 90_000
_VIDEO = {0x01, 0x02, 0x10, 0x1B, 0x24}
_AUDIO = {0x03, 0x04, 0x0F, 0x11, 0x81, 0x87}
_ADTS = 0x0F
_PRIVATE = 0x06  # PES packets of which a descriptor tells what they are: subtitles, teletext, DVB's sound
_OF_DVB = {0x6A: 0x81, 0x7A: 0x87}
"""Descriptors of AC-3 and E-AC-3 by DVB (ETSI EN 300 468, annex D); they count as those of ATSC."""
_TABLES = {0x05, 0x0A, 0x0B, 0x0C, 0x0D, 0x86}
"""Stream types of which there are sections, no PES packets: applications, carousels, SCTE 35."""
_DATA = _TABLES | {_PRIVATE, 0x08, *range(0x12, 0x1A)}
_PLAYABLE = {0x1B, _ADTS} | _DATA
"""What browsers can play, or leave alone: subtitles and data."""


@dataclass(frozen=True, slots=True)
class Programme:
    """The streams of one programme: PIDs and stream types."""

    streams: tuple[tuple[int, int], ...] = ()
    clock: int | None = None  # the PID that carries the PCR; None: none does, or it is not known

    @property
    def pids(self) -> frozenset[int]:
        """Return where picture, sound and all else is."""
        return frozenset(pid for pid, _ in self.streams)

    def kind_of(self, pid: int | None) -> int | None:
        """Return the stream type of a PID."""
        return dict(self.streams).get(-1 if pid is None else pid)

    @property
    def video(self) -> int | None:
        """Return the PID of the picture, None if there is only sound."""
        return next((pid for pid, kind in self.streams if kind in _VIDEO), None)

    @property
    def audio(self) -> int | None:
        """Return the PID of the first sound."""
        return next((pid for pid, kind in self.streams if kind in _AUDIO), None)

    @property
    def leading(self) -> int | None:
        """Return the PID that decides: the picture's, else the sound's, else the first with PES packets."""
        others = (pid for pid, kind in self.streams if kind not in _TABLES)
        return next((pid for pid in (self.video, self.audio) if pid is not None), next(others, None))

    @property
    def accompanying(self) -> frozenset[int]:
        """Return the PIDs of what belongs to the picture, or to the first sound: in PES packets, too."""
        return frozenset(pid for pid, kind in self.streams if kind not in _TABLES) - {self.leading}

    @property
    def has_adts(self) -> bool:
        """Return whether there is AAC as a transport stream frames it."""
        return any(kind == _ADTS for _, kind in self.streams)

    @property
    def unplayable(self) -> tuple[str, ...]:
        """Return what most browsers cannot play."""
        kinds = (
            KINDS.get(kind, f"stream type {kind:#x}") for _, kind in self.streams if kind not in _PLAYABLE
        )
        return tuple(dict.fromkeys(kinds))


def programme_of(body: bytes) -> Programme | None:
    """Return what a PMT lists, given what stands behind its long header; None if it contradicts itself."""
    if len(body) < 4:
        return None
    at = 4 + _twelve_bits(body, 2)
    streams: list[tuple[int, int]] = []
    while at + 5 <= len(body):
        end = at + 5 + _twelve_bits(body, at + 3)
        streams.append((_pid(body, at + 1), _kind(body[at], body[at + 5 : end])))
        at = end
    clock = _pid(body, 0)
    return Programme(tuple(streams), None if clock == NULL_PID else clock) if at <= len(body) else None


def _kind(kind: int, descriptors: bytes) -> int:
    """Return the stream type, also of what only its descriptors tell."""
    if kind != _PRIVATE:
        return kind
    return next((_OF_DVB[tag] for tag in _tags(descriptors) if tag in _OF_DVB), kind)


def _tags(descriptors: bytes) -> Iterator[int]:
    at = 0
    while at + 2 <= len(descriptors):
        yield descriptors[at]
        at += 2 + descriptors[at + 1]


def _pid(data: bytes, at: int) -> int:
    return (data[at] & 0x1F) << 8 | data[at + 1]


def _twelve_bits(data: bytes, at: int) -> int:
    return (data[at] & 0x0F) << 8 | data[at + 1]


def presentation_time(packet: bytes) -> int | None:
    """Return the PTS of the PES packet that begins here, in ticks of 90 kHz; None if it has none."""
    found = pes_at(packet, 0) if packet[3] & 0x10 else None
    return timestamp_at(packet, found[0] + 9) if found is not None and found[1] else None


def seconds_between(earlier: int | None, later: int | None) -> float:
    """Return the time from one PTS to another, negative if it runs backwards; 0 where one is missing."""
    if earlier is None or later is None:
        return 0.0
    ticks = (later - earlier) % WRAP
    return (ticks - WRAP if ticks > WRAP // 2 else ticks) / CLOCK
