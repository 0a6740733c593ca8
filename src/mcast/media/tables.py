"""What the tables of a transport stream say: which programmes there are, and what is in them.

A PAT names the programmes and where the table of each is, a PMT lists one's streams (ISO 13818-1, 2.4.4.3 and
2.4.4.8). Both are followed as they change. Of several programmes one decides where the stream may be begun:
the first in the PAT's order of which a PMT has come, one with a picture before one without. So a stream that
was filtered out of a multiplex and has kept the multiplex's PAT is known by the PMT that is left in it. A
programme whose picture does not come is passed over as long as there is another.

Pure, and any bytes are taken without a complaint.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mcast.media.programme import Programme, programme_of
from mcast.media.sections import Section, Sections
from mcast.wire.mpegts import NULL_PID, PAT_PID, pid_at

MAX_PROGRAMMES = 256
"""Programmes that are followed, of at most 65,535 that a PAT may name: a whole transponder has some 50."""
_PAT, _PMT = 0x00, 0x02  # table ids


@dataclass(frozen=True, slots=True)
class _Named:
    """A programme by what its tables say."""

    pid: int  # of its PMT
    number: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    """A programme whose PMT has come."""

    programme: Programme
    packets: tuple[bytes, ...]  # of the PMT


class Tables:
    """Those of one stream."""

    def __init__(self) -> None:
        self.programme = Programme()
        """The one that decides; the last that was known, if none is."""
        self.pids: set[int] = {PAT_PID}
        """Where tables are: each packet of these is to be shown."""
        self._sections: dict[int, Sections] = {}  # by PID
        self._version = b""  # of the PAT
        self._parts: dict[int, Section] = {}  # of the PAT, by number: one, unless there are more than 253
        self._named: dict[_Named, int] = {}  # in the PAT's order
        self._known: dict[_Named, _Known] = {}
        self._pmt: tuple[bytes, ...] = ()
        self._absent: set[int] = set()  # PIDs that should lead, and do not come

    @property
    def packets(self) -> tuple[bytes, ...]:
        """Return the packets of the newest PAT, and of the PMT of the programme that decides."""
        pat = (packet for _, part in sorted(self._parts.items()) for packet in part.packets)
        return (*dict.fromkeys(pat), *self._pmt)

    def feed(self, packet: bytes) -> None:
        """Take the next packet; only those of PIDs that tables are in say anything."""
        pid = pid_at(packet, 0)
        if pid not in self.pids:
            return
        for section in self._sections.setdefault(pid, Sections()).feed(packet):
            if not section.data[5] & 0x01:
                continue  # it is yet to be valid
            if pid == PAT_PID and section.data[0] == _PAT:
                self._take_pat(section)
            elif pid != PAT_PID and section.data[0] == _PMT:
                self._take_pmt(pid, section)

    def pass_over(self) -> None:
        """Take in that what leads the programme does not come."""
        if self.programme.leading is not None:
            self._absent.add(self.programme.leading)
            self._choose()

    def note(self, pid: int) -> None:
        """Take in that something of a PID has come."""
        if pid in self._absent:
            self._absent.discard(pid)
            self._choose()

    @property
    def is_led(self) -> bool:
        """Return whether the programme is known, and what leads it was not said to be missing."""
        leading = self.programme.leading
        return leading is not None and leading not in self._absent

    def _take_pat(self, section: Section) -> None:
        data = section.data
        version = bytes((*data[3:6], data[7]))  # the stream's id, the version, and how many parts it has
        if version != self._version:
            self._version = version
            self._parts.clear()
        self._parts[data[6]] = section
        named = _named(part.body for _, part in sorted(self._parts.items()))
        if named != self._named:
            self._named = named
            self._follow({each.pid for each in named})

    def _follow(self, pids: set[int]) -> None:
        """Look at these PMTs, and no longer at others."""
        self.pids.clear()  # in place: it is looked at while a stream is gone through
        self.pids.update(pids, {PAT_PID})
        self._sections = {pid: each for pid, each in self._sections.items() if pid in self.pids}
        self._known = {named: each for named, each in self._known.items() if named.pid in pids}
        self._absent.clear()
        self._choose()

    def _take_pmt(self, pid: int, section: Section) -> None:
        programme = programme_of(section.body)
        named = _Named(pid, section.data[3:5])
        if named not in self._named:  # who has made the PAT anew has numbered it otherwise
            named = _Named(pid, b"")
        if programme is not None:
            self._known[named] = _Known(programme, section.packets)
            self._choose()

    def _choose(self) -> None:
        if self._known:
            best = self._known[min(self._known, key=self._rank)]
            self.programme, self._pmt = best.programme, best.packets

    def _rank(self, named: _Named) -> tuple[bool, bool, int]:
        programme = self._known[named].programme
        is_absent = programme.leading in self._absent
        return is_absent, programme.video is None, self._named.get(named, MAX_PROGRAMMES)


def _named(bodies: Iterable[bytes]) -> dict[_Named, int]:
    """Return which programmes a PAT names, each with its place."""
    named: dict[_Named, int] = {}
    for body in bodies:
        for at in range(0, len(body) - 3, 4):
            pid = (body[at + 2] & 0x1F) << 8 | body[at + 3]
            is_programme = body[at : at + 2] != b"\0\0"  # 0 names the network's table
            if is_programme and pid not in (PAT_PID, NULL_PID) and len(named) < MAX_PROGRAMMES:
                named.setdefault(_Named(pid, body[at : at + 2]), len(named))
    return named
