"""Has a viewer been shown a stop? A recording without holes does not tell: it may stand still, or end early.

Two figures tell. A client's own report says for how long nothing new has come: while that is less than its
`--latency`, its buffer hides it. And the content's clock says how much of it was due by now, wherever in the
overlay the stream has stopped: at the server, too, when the viewers are as far as the witness.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from mcast.media.source.prepared import Prepared
from mcast.wire.rtp import CLOCK_RATE
from tools.demo.check import Sent
from tools.experiments.recordings import sent_between

TOLERANCE = 0.5
"""Seconds by which a recording may be behind its clock: one picture's worth waits for its packets (0.1 s at
most), a thread writes what another one puts out, and the machine lets both wait. A stream that has stopped
lacks more: a run goes on for seconds behind its failure."""

_FULL = 1 << 32  # RTP timestamps are counted modulo this

Output = tuple[int, float]
"""The RTP timestamp of something that went out, and when it did (Unix seconds): of a client's report."""


def gap_between(figures: Mapping[str, Any], since: float, until: float) -> float:
    """Return the longest time without anything new (ms) that ended after `since` and began before `until`.

    A report tells the longest ones only. If none of them was then, none was longer than the least of them.
    """
    gaps = figures["longest_gaps"]
    then = [length for began, length in gaps if began <= until and began + length / 1000 >= since]
    return float(max(then or [length for _, length in gaps[-1:]], default=0.0))


def stops_of(name: str, figures: Mapping[str, Any], gap: float, limit_ms: float) -> list[str]:
    """Return which stops a client was shown that got nothing for `gap`, and whose buffer hides `limit_ms`."""
    late, stops = figures["late_datagrams"], []
    if gap > limit_ms:
        stops.append(f"{name} got nothing for {gap:.0f} ms: a stop, as {limit_ms:.0f} are hidden")
    if late:
        stops.append(f"{name} got {late} datagrams too late")
    return stops


def arrears_of(
    figures: Mapping[str, Any],
    sent: Sent,
    size: int,
    moment: float,
    since: float,
    tolerance: float = TOLERANCE,
) -> list[str]:
    """Return what is wrong unless a recording of `size` bytes has all that was due at a `moment`.

    What was due follows from when it was put out in the time from `since` on, and just before. Both are
    Unix seconds.
    """
    outputs = [(ticks, at) for ticks, at in figures["output_times"] if at <= moment]
    if figures["first_number"] is None or not outputs:
        return ["the witness has put out nothing"]
    earlier = sum(at < since for _, at in outputs)
    owed = owed_bytes(sent, figures["first_number"], outputs[max(0, earlier - 1) :], moment - tolerance)
    lacks = f"the stream has stopped, or lost time: the witness has {size:,} of {owed:,} bytes due"
    return [] if size >= owed else [lacks]


def owed_bytes(sent: Sent, first: int, outputs: Sequence[Output], moment: float) -> int:
    """Return how much a recording that begins with the datagram `first` must have at a moment.

    The output that was earliest for its timestamp sets the clock: a stream that once was in time stays so.
    """
    with Prepared(sent.entry, sent.datagram_packets, loop=True) as prepared:
        begun = prepared.train_at(first, 0, 1).timestamp(0)
        clock = max(_since(begun, ticks) - at for ticks, at in outputs)
        due = int((clock + moment) * CLOCK_RATE)
        end = prepared.due_by(prepared.time_of(first) + max(0, due))
    return sent_between(sent, first, end)


def longest_pause_ms(sent: Sent) -> float:
    """Return the longest time between two datagrams of a content: so much later the next one is due."""
    with Prepared(sent.entry, sent.datagram_packets, loop=True) as prepared:
        times = [prepared.time_of(number) for number in range(prepared.datagrams + 1)]
    return 1000 * max(later - earlier for earlier, later in pairwise(times)) / CLOCK_RATE


def _since(begun: int, ticks: int) -> float:
    """Return the seconds from one RTP timestamp to another, which may be a little older."""
    return ((ticks - begun + _FULL // 2) % _FULL - _FULL // 2) / CLOCK_RATE
