"""The children of one content: what each is sent, and the exact change from catching up to live.

Two threads send: the *pusher* (the one that owns the stream) to live children, the *feedback
thread* to those that catch up. No lock is held while sending. Each child belongs to one of the two
at any time, and changes hands only under the lock, at a number:

    feedback -> pusher   under the lock the child's cursor equals the history's head: whatever is
                         pushed before is sent, whatever is pushed later finds the child live
    pusher -> feedback   the child's socket was full at number n: it goes on from n, out of the
                         history. The history is its queue, so its lag is bounded and its own

Who is live, and how each is sent to, is a plan that is replaced, never changed (live_children.py), so the
pusher takes it with the head in one step. A socket is closed only when no push that may know it is under
way (`epoch`).

The lock protects the history, who there is, and of each child what child.py names as the lock's.
"""

import socket
import threading
from collections import deque
from collections.abc import Callable

from mcast.media.catch_up import SAVED_SECONDS, catch_up_rate
from mcast.media.child import MAX_LATE, Child, ChildState, Front
from mcast.media.history import History
from mcast.media.live_children import ALONE_SECONDS, Group, LiveChildren, Plan
from mcast.media.token_bucket import TokenBucket
from mcast.net.addresses import SockAddr
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.udp import TrainSender
from mcast.overlay.actions import ConnectionId
from mcast.wire.train import Train

FEED_STEP = 49
"""Datagrams per look into the history: one train."""
MAX_LATE_SENT = 4_096
"""Numbers remembered that came late and were passed on."""
FORMER_TOKENS = 64
"""Tokens of children that have left, so that a BYE behind a STOP is not taken for a stranger's."""
SETTLED_SECONDS = 0.5
"""A child that has lost something, and has not asked for it for so long, has given it up: it asks again
after two round trips at the latest, or after 20 ms where these are shorter (round_trip.py)."""


class Children:
    """A content's history and children. Thread-safe as told above.

    The pusher's side is in forwarding.py, for which what it needs has names without an underscore.
    """

    def __init__(self, content: str, history: History, log: RateLimitedLog) -> None:
        self.last_push = 0.0  # the pusher's: monotonic seconds
        self.newest: Train | None = None  # the pusher's
        self.late_sent: dict[int, float] = {}  # the pusher's: numbers that came late, and when
        self.epoch = 0  # the pusher's: odd while a push is under way
        self._content, self._log = content, log
        self.lock = threading.Lock()
        # All that follows is the lock's.
        self.history, self.live, self.front = history, LiveChildren(), Front(history.head)
        self._children: dict[ConnectionId, Child] = {}
        self._tokens: dict[bytes, Child] = {}
        self._former: deque[bytes] = deque(maxlen=FORMER_TOKENS)
        self._caught_up: list[ConnectionId] = []  # who has come to resume, and lags behind no more
        self._catching: dict[ConnectionId, Child] = {}
        self._retired: list[tuple[int, socket.socket]] = []
        self._counted = 0  # the feedback thread's: bytes of the stream, of `take_live_bytes`

    def __len__(self) -> int:
        return len(self._children)

    @property
    def head(self) -> int:
        """Return the number of the stream's next datagram."""
        return self.history.head

    def due_at(self, number: int) -> float | None:
        """Return when a number was due: the newest was when it came, others by the media between them."""
        with self.lock:
            lag = self.history.lag(number)
        return self.last_push - lag if self.last_push else None

    def forget_media(self) -> None:
        """Hold no media any more. Nothing is pushed, and nobody is fed, from now on."""
        with self.lock:
            self.history.clear()
        self.newest = None

    # Who there is

    def add(self, child: Child) -> Child | None:
        """Take in a child; return the one that had its key."""
        with self.lock:
            old = self._remove(child.key)
            self._children[child.key] = self._tokens[child.token] = child
        return old

    def remove(self, key: ConnectionId) -> Child | None:
        """Take a child out; nothing is sent to it any more but what is on its way in this moment."""
        with self.lock:
            return self._remove(key)

    def remove_exactly(self, child: Child) -> bool:
        """Take this child out, and none that has replaced it; return whether it was there."""
        with self.lock:
            return self._children.get(child.key) is child and self._remove(child.key) is child

    def by_token(self, token: bytes) -> Child | None:
        """Return whose token this is. Without the lock: it is one look into a dict."""
        return self._tokens.get(token)

    def was_token(self, token: bytes) -> bool:
        """Return whether this was the token of a child that has just left: its last words may follow it."""
        with self.lock:
            return token in self._former

    def children(self) -> tuple[Child, ...]:
        """Return all children."""
        with self.lock:
            return tuple(self._children.values())

    def drained(self, last: int, now: float) -> frozenset[ConnectionId]:
        """Return the children that have everything up to the number `last`."""
        with self.lock:
            return frozenset(
                child.key
                for child in self._children.values()
                if child.has_all(last, self.history, now - SETTLED_SECONDS)
            )

    def take_caught_up(self) -> list[ConnectionId]:
        """Return the children that came to resume and have become live since the last call."""
        with self.lock:
            caught_up, self._caught_up = self._caught_up, []
        return caught_up

    @property
    def catching_up(self) -> int:
        """Return how many children are to be fed soon."""
        return len(self._catching)

    def take_live_bytes(self) -> int:
        """Return how many bytes have been sent to live children since the last call, about."""
        octets = self.front.done[2]
        sent, self._counted = octets - self._counted, octets
        return sent * len(self.live)

    def release(self, close: Callable[[socket.socket], None]) -> bool:
        """Close the sockets of children that are gone; return whether none is left."""
        if not self._retired:  # without the lock: what is added in this moment has its turn the next time
            return True
        with self.lock:
            epoch, retired, self._retired = self.epoch, self._retired, []
        for then, sock in retired:
            if then % 2 == 0 or then != epoch:
                close(sock)
            else:
                self._retired.append((then, sock))
        return not self._retired

    def equip(self, child: Child, sender: TrainSender, common: socket.socket | None = None) -> bool:
        """Give a child its socket, and the one it may share; return whether it is still there."""
        with self.lock:
            if child.state is ChildState.GONE:
                return False
            child.sender, child.common = sender, common
        return True

    def move(self, child: Child, address: SockAddr) -> None:
        """Take in where a child is reached."""
        with self.lock:
            child.address = address
            self.live.changed()

    # The pusher's side: what forwarding.py leaves

    def see_why(self, group: Group, served: int, train: Train, now: float) -> None:
        """Take in that the common socket of a group took a train for so many of it only.

        Either it is full, or the address of the next one was refused: who is sent to alone for a while.
        """
        if not group.sender.refused:
            self._log.counters.add("common_socket_full")
            group.sender.make_room(train, served)
            return
        with self.lock:
            group.children[served].alone_until = now + ALONE_SECONDS
            self.live.changed()

    def fall_back(self, train: Train, stalled: list[tuple[Child, int]], now: float) -> None:
        """Have those whose own socket took so many datagrams of a train only go on from the history."""
        with self.lock:
            for child, sent in stalled:
                missed = train.count - sent
                child.sent(-missed, sent * train.size - len(train.data))
                child.stalls += 1
                child.alone_until = now + ALONE_SECONDS
                if child.state is ChildState.LIVE:
                    child.part(train.first + sent)
                    self._change(child, ChildState.CATCHING_UP)
        self._log.info("stalls", "[%s] %s: its socket is full, it goes on from the history",
                       self._content, stalled[0][0].identity)  # fmt: skip

    def keep_late(self, train: Train, now: float) -> None:
        """Keep what came late, also for those that have passed it and are not live. With the lock held."""
        self.history.insert(train, now)
        for child in self._catching.values():
            part = _between(train, child.floor, child.cursor)
            if part is not None and len(child.late) < MAX_LATE:
                child.late += (part,)
            elif part is not None:
                child.skipped += part.count

    def send_late(self, plan: Plan, train: Train, now: float) -> None:
        """Send what came late, and remember it: who asks for it in this moment need not get it twice."""
        for child in plan.children:
            part = _between(train, child.floor, train.next)
            if part is not None and child.sender is not None:
                self._send_once(child, child.sender, part)
        sent = self.late_sent
        for number in range(train.first, train.next):
            sent.pop(number, None)  # to the end: dicts keep the order in which keys came
            sent[number] = now
        while len(sent) > MAX_LATE_SENT:
            del sent[next(iter(sent))]

    # The feedback thread's side

    def start(self, child: Child, now: float) -> None:
        """Let a child, whose hello has come, catch up from where it is to begin."""
        with self.lock:
            if child.state is not ChildState.WAITING:
                return
            child.place(self.history, now)
            self._change(child, ChildState.CATCHING_UP)

    def lower(self, child: Child, number: int) -> None:
        """Hand on to a child also what comes late from a lower number on: it has asked for that."""
        with self.lock:
            child.floor = min(child.floor, number)

    def feed(self, total: TokenBucket, now: float) -> None:
        """Send to the children that catch up what they may have by now."""
        with self.lock:
            rate = self.history.rate()
            # A keyframe for all comes first.
            catching = sorted(self._catching.values(), key=lambda child: child.datagrams > 0)
        fed = 0
        for child in catching:
            if total.left(now) <= 0:
                break
            fed += 1
            child.pace.rate = catch_up_rate(rate, beside=child.beside)
            child.pace.burst = max(child.pace.burst, child.pace.rate * SAVED_SECONDS)
            self.feed_child(child, total, now)
        with self.lock:  # they are the last the next time: the total is shared fairly
            for child in catching[:fed]:
                if self._catching.pop(child.key, None) is not None:
                    self._catching[child.key] = child

    def feed_child(self, child: Child, total: TokenBucket, now: float) -> None:
        """Send to one child, until its budget, the total, its socket or the history is at its end."""
        self._send_aside(child)
        while total.left(now) > 0 and (train := self._take(child, now)) is not None:
            assert child.sender is not None  # placed: its hello has come
            sent = child.sender.send(train)
            size = len(train.data) if sent == train.count else sent * train.size
            child.fed_at = now
            child.sent(sent, size)
            child.pace.take(sent)
            total.take(size)
            if sent < train.count:  # full: it goes on here the next time
                new = train.next - max(train.first + sent, child.refused_to)
                if new > 0:  # else it is what did not leave the last time either
                    total.note_loss(new * train.size)
                    child.refused_to = train.next
                with self.lock:  # the pusher compares what comes late with the cursor
                    child.cursor = train.first + sent
                return

    def _take(self, child: Child, now: float) -> Train | None:
        """Take what is next for a child out of the history; or make it live, if nothing is."""
        with self.lock:
            if child.state is not ChildState.CATCHING_UP:
                return None
            if not child.has_begun(self.history, now):
                return None
            if skipped := child.skip(self.history):
                self._log.warning("skipped", "[%s] %s is too far behind: %d datagrams skipped",
                                  self._content, child.identity, skipped)  # fmt: skip
            if child.cursor == self.history.head:
                if child.late:  # came while it was fed: they go out the next time, then it is live
                    return None
                if child.resume is not None and not child.began_live:
                    self._caught_up.append(child.key)
                child.began_live = True
                self._change(child, ChildState.LIVE)
                return None
            room = min(int(child.pace.left(now)), FEED_STEP)
            train = self.history.after(child.cursor, room) if room > 0 else None
            if train is not None:
                child.cursor = train.next
            return train

    def _send_aside(self, child: Child) -> None:
        with self.lock:
            late, child.late = child.late, ()
        for train in late:
            if child.sender is not None:
                self._send_once(child, child.sender, train)

    def rate(self) -> float:
        """Return the stream's rate in datagrams per second, 0 if too little is held."""
        with self.lock:
            return self.history.rate()

    def read(self, number: int) -> memoryview | None:
        """Return one datagram of the history, None if it is not held."""
        with self.lock:
            return self.history.get(number)

    # Either side's

    def _send_once(self, child: Child, sender: TrainSender, train: Train) -> None:
        """Send what came late: what does not fit is not tried again."""
        sent = sender.send(train)
        child.sent(sent, sent * train.size)
        if sent < train.count:
            with self.lock:
                child.skipped += train.count - sent

    # With the lock held

    def _remove(self, key: ConnectionId) -> Child | None:
        child = self._children.pop(key, None)
        if child is None:
            return None
        if self._tokens.get(child.token) is child:
            del self._tokens[child.token]
            self._former.append(child.token)
        self._change(child, ChildState.GONE)
        if child.sender is not None:
            self._retired.append((self.epoch, child.sender.sock))
        return child

    def _change(self, child: Child, state: ChildState) -> None:
        assert self.lock.locked()
        if child.state is ChildState.LIVE:
            self.live.remove(child)
        self._catching.pop(child.key, None)
        if state is ChildState.LIVE:
            child.join(self.front)
            self.live.add(child)
        child.state = state
        if state is ChildState.GONE:
            child.part()
        elif state is ChildState.CATCHING_UP:
            self._catching[child.key] = child


def _between(train: Train, begin: int, end: int) -> Train | None:
    """Return the part of a train from `begin` up to `end`, None if it is empty."""
    if train.next <= begin or train.first >= end:
        return None
    return train.slice(begin, end)
