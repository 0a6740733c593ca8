"""How a subscription goes, in numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a subscription has got so far; None where it has not come so far.

    Times are milliseconds unless the name says otherwise, and begin with the request: the DISC that
    has led to the stream. Datagrams hold up to seven TS packets of 188 bytes.
    """

    path: tuple[str, ...] = ()
    """The nodes' names, the rendezvous point first, the neighbour last."""
    request_id: str | None = None
    """A UUID: it names this request in the logs of all nodes on the way."""
    ssrc: int | None = None
    """The (newest) stream's RTP synchronisation source: all who watch the same stream have the same."""
    first_number: int | None = None
    """The number of the first datagram that went out; numbers are the same on every hop."""
    join_ms: float | None = None
    """From the request to the first media."""
    first_keyframe_ms: float | None = None
    """From the request to the first keyframe."""
    duration_s: float = 0.0
    """Seconds from the first media until now, or until the end."""
    ts_packets: int = 0
    bytes: int = 0
    """What has gone out, and is or was to be read."""
    lost_datagrams: int = 0
    """They had not come when their time was over: a hole in the stream."""
    duplicate_datagrams: int = 0
    """They came more than once; the surplus was thrown away."""
    reordered_datagrams: int = 0
    """They came after a higher number, and were put back into order."""
    repaired_datagrams: int = 0
    """They came after they had been asked for again."""
    dropped_bytes: int = 0
    """The reader did not take them in time, so the queue has given them up."""
    continuity_errors: int = 0
    """Gaps in the transport stream's own counters: what a decoder sees of the losses."""
    latency_ms: float | None = None
    """How far the output is behind the earliest moment at which it could be (median)."""
    clock_delay_ms: float | None = None
    """From the server to this client, before the buffer, by the clocks of both: right as far as these are."""
    buffered_ms: float = 0.0
    """Media that has arrived and waits for its time."""
    late_datagrams: int = 0
    """They came when their place in the output was over, and were thrown away."""
    nack_sent: int = 0
    """Packets in which lost datagrams were asked for."""
    longest_gap_ms: float = 0.0
    """The longest time between two new datagrams, before the buffer: how long the stream has stood still.

    While the content is not over, the last one lasts until now, or until the stream was left."""
    longest_gaps: tuple[tuple[float, float], ...] = ()
    """Of the eight longest of these times: Unix seconds when it began, and how long it was. Longest first."""
    discontinuities: int = 0
    """How often another stream of the content has come in the place of one that could not go on."""
    parent_changes: int = 0
    """How often the stream has gone on from another neighbour."""
    receive_buffer_bytes: int = 0
    """Of the UDP socket, as granted by the kernel."""
    output_times: tuple[tuple[int, float], ...] = ()
    """RTP timestamp, and Unix seconds when it went out: about one a second, the last 600."""
