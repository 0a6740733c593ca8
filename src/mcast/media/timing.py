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
    """Between two reports while datagrams are missing or no media comes."""
    silence: float = 0.3
    """Neither media nor SR for so long: something above is broken. The source is never silent for more
    than 100 ms, and a parent without media sends an SR each 100 ms."""
    start_silence: float = 1.0
    """The same before the first sign: some hellos and their answers may be lost."""
    starved: float = 1.0
    """The parent says it is fed, and no media comes: its own watch would have told within `silence`."""
    repair: float = 1.5
    """A missing datagram is asked for until then. Longer than any sensible `--latency` waits for it."""

    lease: float = 2.5
    """Without valid RTCP for so long a child is gone: a dozen lost reports at the 200 ms of a lossy link."""
    first_hello: float = 5.0
    """How long the first hello may take: PORT travels by TCP, which repairs a loss in seconds."""
    look: float = 0.1
    """Between two looks at the leases, and between two SRs to a child that gets no media."""
    sender_report: float = 1.0
    """Between two SRs to a child that gets media."""
    quiet: float = 0.15
    """No media for so long: from then on the SRs of every `look` are the sign of life."""


DEFAULT_TIMING = Timing()
