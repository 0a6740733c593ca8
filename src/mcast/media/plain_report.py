"""A child's plain report, read at a glance.

A child says the same twice a second: RR with one block, SDES, its token, its time, how long media takes to
it. Between two of these only the block, the time and the delay differ. So what stands between them is kept
from the first report, which was read in full (reports.py), and one comparison proves that the next one is of
the same kind, from the same child, and shows the same token. Whatever else comes is read in full again. A
parent reads two of them a second from each child: at a glance is a tenth of the cost.

    | RR: header, SSRC, block | SDES, APP(TOKEN) | XR: header, SSRC, time | APP(DELAY) |
      32 bytes                  always the same    20 bytes                 16 bytes

The last one may be missing, or the last two.
"""

import struct

from mcast.media.reports import ChildReport, find_token
from mcast.wire.rtcp import (
    App,
    ExtendedReport,
    ReceiverReport,
    ReportBlock,
    Sdes,
    middle32,
    unpack_compound,
)
from mcast.wire.rtcp_app import APP_NAME, DELAY

_REPORT = struct.Struct("!HHI6I")
_REPORT_HEAD = 0x81C9, 7  # version 2, one block, RR; its length in words, less one
_TIME = struct.Struct("!HHIHHQ")
_TIME_HEAD = 0x80CF, 4
_TIME_BLOCK = ExtendedReport.REFERENCE << 8, 2
_DELAY = struct.Struct("!HHI4si")
_DELAY_HEAD = 0x8000 | DELAY << 8 | App.TYPE, 3, APP_NAME
_KINDS = (ReceiverReport, Sdes, App)
MAX_LESSONS = 4
"""How often it is tried to learn from a child. A peer that writes otherwise is read in full each time."""


class PlainReports:
    """What one child's plain reports have in common. For one thread."""

    __slots__ = ("_lessons", "_middle", "_sender", "_ssrc")

    def __init__(self, ssrc: int) -> None:
        """`ssrc` is the stream that the child gets."""
        self._ssrc = ssrc
        self._sender = 0
        self._middle = b""  # none is known yet
        self._lessons = 0

    def read(self, data: bytes) -> ChildReport | None:
        """Return what `read_child_report` returns, if this is a plain one of the same child; else None."""
        middle = self._middle
        end = _REPORT.size + len(middle)
        if not middle or data[_REPORT.size : end] != middle:
            return None
        kind, words, sender, *block = _REPORT.unpack_from(data)
        if (kind, words) != _REPORT_HEAD or sender != self._sender or block[0] != self._ssrc:
            return None
        reference, delay_us, rest = None, 0, len(data) - end
        if rest:
            if rest not in (_TIME.size, _TIME.size + _DELAY.size):
                return None
            kind, words, _, block_kind, block_words, time = _TIME.unpack_from(data, end)
            if (kind, words) != _TIME_HEAD or (block_kind, block_words) != _TIME_BLOCK:
                return None
            reference = middle32(time)
        if rest > _TIME.size:
            kind, words, _, name, delay_us = _DELAY.unpack_from(data, end + _TIME.size)
            if (kind, words, name) != _DELAY_HEAD:
                return None
        return ChildReport(ReportBlock.of(*block), True, (), False, False, sender, reference, delay_us)

    def learn(self, data: bytes) -> None:
        """Keep what plain reports have in common, if this is one. It has been read in full, and accepted."""
        if self._lessons == MAX_LESSONS:
            return
        self._lessons += 1
        first, *others = unpack_compound(data)[: len(_KINDS)]
        token = find_token(data)
        if not isinstance(first, ReceiverReport) or tuple(map(type, others)) != _KINDS[1:] or token is None:
            return
        middle = b"".join(packet.pack() for packet in others)
        if middle.endswith(token) and data[_REPORT.size : _REPORT.size + len(middle)] == middle:
            self._sender, self._middle = first.ssrc, middle
