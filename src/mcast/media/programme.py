"""What is in a transport stream: its tables (ISO 13818-1, 2.4.4), and which browsers can show that.

Tables that do not fit one packet are not read: mcast's servers write none, and a stream of theirs that has
any plays all the same, cut by time.
"""

from dataclasses import dataclass

from mcast.media.source.restamp import pes_at, timestamp_at
from mcast.wire.mpegts import PACKET

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
"""Stream types by number (ISO 13818-1, table 2-34; 0x81 and 0x87: ATSC A/53)."""

CLOCK = 90_000
WRAP = 1 << 33
_VIDEO = {0x01, 0x02, 0x10, 0x1B, 0x24}
_AUDIO = {0x03, 0x04, 0x0F, 0x11, 0x81, 0x87}
_ADTS = 0x0F
_PLAYABLE = {0x1B, _ADTS, 0x06, 0x05, 0x15, 0x86}
"""What browsers can play, or leave alone: subtitles and data."""


@dataclass(frozen=True, slots=True)
class Programme:
    """The streams of the one programme: PIDs and stream types."""

    streams: tuple[tuple[int, int], ...] = ()
    clock: int | None = None  # the PID that carries the PCR

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


def pmt_pid(packet: bytes) -> int | None:
    """Return where the first programme's table is, as a PAT says; None if it is none."""
    section = _section(packet, 0x00)
    for at in range(5, len(section) - 3, 4):
        if section[at : at + 2] != b"\0\0":  # programme 0 is the network's table
            return (section[at + 2] & 0x1F) << 8 | section[at + 3]
    return None


def programme(packet: bytes) -> Programme | None:
    """Return what a PMT lists; None if it is none."""
    section = _section(packet, 0x02)
    if len(section) < 9:
        return None
    at = 9 + ((section[7] & 0x0F) << 8 | section[8])
    streams: list[tuple[int, int]] = []
    while at + 5 <= len(section):
        streams.append(((section[at + 1] & 0x1F) << 8 | section[at + 2], section[at]))
        at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
    return Programme(tuple(streams), clock=(section[5] & 0x1F) << 8 | section[6])


def _section(packet: bytes, table: int) -> bytes:
    """Return a section that begins in a packet, from behind its length to before its checksum; or nothing."""
    start = _payload_start(packet)
    if start >= PACKET - 4:
        return b""
    at = start + 1 + packet[start]  # the pointer field
    if at + 3 > PACKET or packet[at] != table:
        return b""
    length = (packet[at + 1] & 0x0F) << 8 | packet[at + 2]
    return packet[at + 3 : at + 3 + length - 4] if at + 3 + length <= PACKET and length >= 9 else b""


def _payload_start(packet: bytes) -> int:
    """Return where the payload begins; at the packet's end or behind it if there is none."""
    if not packet[3] & 0x10:
        return PACKET
    return 5 + packet[4] if packet[3] & 0x20 else 4


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
