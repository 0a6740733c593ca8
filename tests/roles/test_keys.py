"""Every pair of programs with one key, with different ones, with one at one end, and while keys change."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from helpers import Recorder, wait_until
from mcast.config.key_file import KeyRing
from mcast.config.layout_file import parse_layout
from mcast.hostport import HostPort
from mcast.net.entrance import Rules
from mcast.net.handshake import Credentials
from mcast.net.ports import MediaPorts
from mcast.net.watcher import Watcher
from mcast.overlay.actions import Ask, ServerParent, Subscribe
from mcast.overlay.events import Accepted, Answered, Introduced, Refused, ServerListed, ServerLost, Unasked
from mcast.peer.flooder import Flooder
from mcast.peer.watching import NeighbourWatch, WatchTiming
from mcast.roles.bootstrap.bootstrapper import Bootstrapper
from mcast.roles.node.program import NodeProgram
from mcast.roles.node.server_upstream import ServerUpstream
from mcast.roles.node.servers import ServerMonitors
from mcast.roles.node.session import BootstrapSession, SessionTiming
from mcast.roles.server.program import ServerProgram
from mcast.wire.bootstrap import LayoutMessage, NodeKind, Register
from mcast.wire.handshake import Role
from mcast.wire.identity import Identity
from mcast.wire.node import StopReason
from roles.overlay_parts import LOCALHOST, Contents
from roles.partners import disc

OLD, NEW, FOREIGN = b"o" * 32, b"n" * 32, b"f" * 32
Keys = tuple[bytes, ...]
Meeting = tuple[Keys, Keys, bool, str, str]

MEETINGS: list[Meeting] = [  # the caller's keys, the listener's, whether they meet; what each log says if not
    ((), (), True, "", ""),
    ((OLD,), (OLD,), True, "", ""),
    ((OLD,), (NEW, OLD), True, "", ""),
    ((NEW, OLD), (NEW,), True, "", ""),
    ((FOREIGN,), (OLD, NEW), False, "the key is not that of this", "is none of ours"),
    ((OLD,), (), False, "was started without --key-file", "has none: start it with"),
    ((), (OLD,), False, "that wants a key: give its --key-file", "--key-file"),
]


class Pairs:
    """Starts one program of each kind with some keys, and calls it as other programs do."""

    def __init__(self, watcher: Watcher, ours: Keys, theirs: Keys) -> None:
        self._watcher, self._ours, self._theirs = watcher, ours, theirs
        self._all, self.crash = ExitStack(), Recorder()

    def close(self) -> None:
        self._all.close()
        assert self.crash.calls == []

    def _caller(self, role: Role) -> Credentials:
        return Credentials(role, KeyRing(self._ours))

    def _listener(self, role: Role) -> Credentials:
        return Credentials(role, KeyRing(self._theirs))

    def _server(self) -> str:
        rules = Rules(credentials=self._listener(Role.SERVER))
        server = ServerProgram(
            Contents("news").catalogue(), LOCALHOST, MediaPorts(), 0.01, self.crash, rules=rules
        )
        server.start()
        self._all.callback(server.stop)
        return str(server.address)

    def node_and_bootstrapper(self) -> str:
        """Return "" if the node gets its layout, else why it does not."""
        layout = parse_layout({"rendezvous": "rp", "nodes": {"rp": {"address": "127.0.0.1:5000"}}}, "x")
        bootstrapper = self._all.enter_context(
            Bootstrapper(
                layout, "x", HostPort("127.0.0.1", 0), self.crash,
                credentials=self._listener(Role.BOOTSTRAPPER),
            )
        )  # fmt: skip
        session = BootstrapSession(
            bootstrapper.address, Register("rp", 0, bytes(16)), self.crash,
            credentials=self._caller(Role.NODE), timing=SessionTiming(first_retry=0.01, last_retry=0.01),
        )  # fmt: skip
        failed = Recorder()
        session._failed = lambda error: failed(str(error)) or 0.05  # type: ignore[func-returns-value, method-assign]
        session.start()
        self._all.callback(session.stop)
        wait_until(lambda: session.connected or failed.calls)
        return "" if session.connected else str(failed.calls[0])

    def client_and_node(self) -> str:
        return self._ask_node(Role.CLIENT)

    def node_and_node(self) -> str:
        return self._ask_node(Role.NODE)

    def neighbour_to_watch(self) -> str:
        """Return where a node listens."""
        return str(self._node().address)

    def watch(self, address: str, told: Recorder) -> NeighbourWatch:
        watch = NeighbourWatch(
            "n1", address, Identity.node("n2"), told, lambda event: told(event) is None, self.crash,  # type: ignore[func-returns-value]
            WatchTiming(first_retry=0.01, last_retry=0.01, unknown_retry=0.01),
            credentials=self._caller(Role.NODE),
        )  # fmt: skip
        self._all.callback(watch.stop)
        return watch

    def _node(self) -> NodeProgram:
        layout = LayoutMessage("n1", NodeKind.OVERLAY, "127.0.0.1:0")
        node = NodeProgram(
            layout,
            LOCALHOST,
            MediaPorts(),
            Recorder(),
            lambda: 1,
            self.crash,
            credentials=self._listener(Role.NODE),
        )
        node.start(layout)
        self._all.callback(node.stop)
        return node

    def _ask_node(self, role: Role) -> str:
        node, told = self._node(), Recorder()
        flooder = Flooder(self._watcher, told, self.crash, credentials=self._caller(role))
        self._all.callback(flooder.stop)
        flooder.update({"n1": str(node.address)})
        flooder.ask(Ask("n1", disc()))
        wait_until(lambda: [event for event in told.calls if isinstance(event, Answered | Unasked)])
        event = next(event for event in told.calls if isinstance(event, Answered | Unasked))
        return "" if isinstance(event, Answered) else event.text

    def rendezvous_and_servers_list(self) -> str:
        told = Recorder()
        monitors = ServerMonitors(self._watcher, told, self.crash, credentials=self._caller(Role.NODE))
        self._all.callback(monitors.stop)
        monitors.update([self._server()])
        wait_until(lambda: [event for event in told.calls if isinstance(event, ServerListed | ServerLost)])
        event = next(event for event in told.calls if isinstance(event, ServerListed | ServerLost))
        return "" if isinstance(event, ServerListed) else event.text

    def rendezvous_and_servers_stream(self) -> str:
        told = Recorder()
        subscribe = Subscribe(1, "news", bytes(16), ServerParent(self._server()), hops=0)
        upstream = ServerUpstream(
            subscribe, MediaPorts(), self._watcher, told, self.crash, credentials=self._caller(Role.NODE)
        )
        upstream.start()
        wait_until(lambda: told.calls)
        upstream.leave(StopReason.UNSUBSCRIBE)
        upstream.join()
        (event, *_) = told.calls
        return (
            "" if isinstance(event, Accepted) else event.text if isinstance(event, Refused) else repr(event)
        )


PAIRS: list[Callable[[Pairs], str]] = [
    Pairs.node_and_bootstrapper,
    Pairs.client_and_node,
    Pairs.node_and_node,
    Pairs.rendezvous_and_servers_list,
    Pairs.rendezvous_and_servers_stream,
]


@pytest.fixture
def make_pairs(watcher: Watcher) -> Iterator[Callable[[Keys, Keys], Pairs]]:
    with ExitStack() as made:

        def make(ours: Keys, theirs: Keys) -> Pairs:
            pairs = Pairs(watcher, ours, theirs)
            made.callback(pairs.close)
            return pairs

        yield make


@pytest.mark.parametrize("meeting", MEETINGS)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.__name__)
def test_programs_meet_if_they_share_a_key_and_else_both_say_why(
    make_pairs: Callable[[Keys, Keys], Pairs], pair: Callable[[Pairs], str], meeting: Meeting,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    ours, theirs, do_meet, here, there = meeting
    caplog.set_level("INFO")
    reason = pair(make_pairs(ours, theirs))
    assert (reason == "") == do_meet, reason
    assert here in reason
    wait_until(
        lambda: do_meet or any("refused 127.0.0.1" in line and there in line for line in caplog.messages)
    )


@pytest.mark.parametrize("meeting", MEETINGS)
def test_a_node_tells_what_it_streams_only_to_who_shares_its_key(
    make_pairs: Callable[[Keys, Keys], Pairs], meeting: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs, do_meet, here, there = meeting
    caplog.set_level("DEBUG")
    pairs, told = make_pairs(ours, theirs), Recorder()
    pairs.watch(pairs.neighbour_to_watch(), told)
    if do_meet:
        assert isinstance(told.wait_for(1)[0], Introduced)
        return
    wait_until(lambda: any("refused 127.0.0.1" in line and there in line for line in caplog.messages))
    wait_until(lambda: any("watching n1" in line and here in line for line in caplog.messages))
    assert told.calls == []
