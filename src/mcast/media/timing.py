"""How long a child and its parent wait for each other: every duration that a lost peer is judged by.

One value object holds them all, so that a test of what follows a silence need not wait the real one.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds. The first group is the child's, the second the parent's."""

    hello: float = 0.05
    """Between two hellos, until the parent gives a first sign."""
    report: float = 0.5
    """Between two reports while all is well."""
    lossy_report: float = 0.2
    """Between two reports while datagrams are missing or no media comes, and between two SRs to a child
    that asks for something: they carry the round trip by which it asks."""
    suspect: float = 0.15
    """Neither media nor SR for so long: the parent is suspected. The source is never silent for more than
    100 ms, and a parent without media sends an SR every 30 ms, so three in a row were lost or never sent."""
    rhythm: float = 0.05
    """A gap must be longer by so much than the longest of the last seconds to be suspect."""
    silence: float = 0.3
    """The same as `suspect`, and the parent is sure to have failed; as much later as the rhythm asks."""
    start_silence: float = 1.0
    """The same before the first sign: some hellos and their answers may be lost. Longer on a slow link (see
    silence.py)."""
    starved: float = 1.0
    """The parent says that it is fed, and no media comes. Longer than it takes the parent to be sure that
    its own parent has failed, at the slowest rhythm (700 ms), and to say so: else all that are
    below a failure would repair at once."""
    repair: float = 1.5
    """A missing datagram is asked for for so long. Time in which no parent is fed does not count: who repairs
    may find another that has it, and only then can those below be answered."""
    outdone: float = 2.0
    """Of two parents, one that has brought clearly fewer numbers first in this time may be left."""

    lease: float = 2.5
    """Without valid RTCP for so long a child is gone: nearly twenty lost reports."""
    unheard: float = 0.75
    """Without valid RTCP for so long a child is told so at each look at the leases: that its reports are lost
    it does not know by itself. More than the time of a report, which may be late."""
    unheard_report: float = 0.1
    """Between two reports of a child that is told so."""
    first_hello: float = 5.0
    """How long the first hello may take: PORT travels by TCP, which repairs a loss in seconds."""
    look: float = 0.1
    """Between two looks at the leases."""
    sender_report: float = 1.0
    """Between two SRs to a child that gets media."""
    quiet: float = 0.05
    """No media for so long: from then on SRs are the sign of life."""
    quiet_report: float = 0.03
    """Between two SRs to a child that gets no media."""


DEFAULT_TIMING = Timing()
