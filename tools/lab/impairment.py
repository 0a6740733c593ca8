"""What happens to packets inside shaped links: packets and times in, deliveries out. Pure.

The model is netem's, so that a figure does not depend on which of the two carries a link:

1. *Loss* and *duplication* are decided when a packet enters: none, one or two copies go on. Losses are
   independent, or come in runs: a chain of two states (Gilbert; every packet in the bad state is lost)
   whose runs have the wanted mean length and whose long-run share is the wanted loss.
2. *Queue*: a copy that finds `queue` packets inside the link is dropped. As in netem and CORE, packets that
   are merely on their way count: a link of 500 ms and a queue of 22 never holds more than 22 in flight.
3. *Time*: it is delivered at

       due = max(due of the packet before, now + delay + jitter) + size / rate

   so the delay comes first and the serialisation after it, and packets keep their order.

**Jitter keeps the order** here: FIFO queues make jitter in real networks, and they do not reorder. A packet
with a small draw waits for the one before it, so the mean delay grows a little above `delay` when packets
follow each other within the jitter. Plain netem reorders instead; `reorder=yes` asks for that (it takes the
`max` away, and with a rate it has no meaning, as in netem).

Options may change while packets are inside: those keep their time and the new ones do not overtake them.

Decided against: a timer or queue per direction. One heap for all links costs a microsecond per packet and
has one next deadline, which is what the process that serves all links waits for.
"""

import heapq
from collections.abc import Iterator
from random import Random

from tools.lab.options import LinkOptions

NS_PER_US = 1_000
NS_PER_S = 1_000_000_000


class Direction:
    """One direction of one link. Randomness is handed in; equal seeds lose the same packets."""

    def __init__(self, options: LinkOptions, random: Random, outlet: int) -> None:
        self.outlet = outlet  # whatever the caller delivers to: a file descriptor
        self.inside = 0  # packets between entry and delivery
        self._random = random
        self._last_due = 0
        self._in_bad_state = False
        self.shape(options)

    def shape(self, options: LinkOptions) -> None:
        self._options = options
        self._queue = options.queue
        self._loss, self._duplicate = options.loss / 100, options.duplicate / 100
        self._bursts = options.loss_burst > 1
        self._delay_ns, self._jitter_ns = options.delay_us * NS_PER_US, options.jitter_us * NS_PER_US
        self._ns_per_byte = 8 * NS_PER_S / options.rate if options.rate else 0.0
        self._ordered = not options.reorder or bool(options.rate)

    def enter(self, size: int, now: int) -> list[int]:
        """Take a packet of `size` bytes; return when its copies (none: dropped) are due."""
        copies = 1 + (self._duplicate > 0 and self._random.random() < self._duplicate) - self._lost()
        return [self._due(size, now) for _ in range(copies) if self._has_room()]

    def _lost(self) -> bool:
        if not self._loss:
            return False
        if not self._bursts:
            return self._random.random() < self._loss
        to_bad, to_good = self._options.gilbert
        chance = to_good if self._in_bad_state else to_bad
        if self._random.random() < chance:
            self._in_bad_state = not self._in_bad_state
        return self._in_bad_state

    def _has_room(self) -> bool:
        if self.inside >= self._queue:
            return False
        self.inside += 1
        return True

    def _due(self, size: int, now: int) -> int:
        due = now + self._delay_ns
        if self._jitter_ns:
            due = max(now, due + round(self._random.uniform(-self._jitter_ns, self._jitter_ns)))
        if not self._ordered:
            return due
        due = max(self._last_due, due)
        if self._ns_per_byte:
            due += round(size * self._ns_per_byte)
        self._last_due = due
        return due


class Schedule:
    """The packets inside all links, by the time at which they are due (nanoseconds, any epoch)."""

    def __init__(self) -> None:
        # The running number keeps equal times in order of entry and the heap from comparing directions.
        self._heap: list[tuple[int, int, Direction, bytes]] = []
        self._entered = 0

    def enter(self, direction: Direction, packet: bytes, now: int) -> None:
        for due in direction.enter(len(packet), now):
            self._entered += 1
            heapq.heappush(self._heap, (due, self._entered, direction, packet))

    def next_due(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def leave(self, now: int) -> Iterator[tuple[Direction, bytes]]:
        """Return the packets that are due, the earliest first."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, _, direction, packet = heapq.heappop(heap)
            direction.inside -= 1
            yield direction, packet
