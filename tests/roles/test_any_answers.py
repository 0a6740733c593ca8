"""Whatever parents, servers, bootstrappers and neighbours say: nodes and clients live on, and are served."""

import contextlib
import dataclasses
import itertools
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import PATIENCE, Recorder, wait_until
from mcast.client import Subscription
from mcast.errors import McastError
from mcast.hostport import HostPort
from mcast.net.connection import Connection
from mcast.net.threads import OwnedThread
from mcast.roles.node.program import NodeProgram
from mcast.roles.node.session import BootstrapSession, SessionTiming
from mcast.wire.bootstrap import LayoutMessage, NamedAddress, NodeKind, Offer, Register
from mcast.wire.endpoint import Endpoint
from mcast.wire.frame import Message, encode
from mcast.wire.node import Advert, Disc, Found, NodePacket, Port, Stream, Watch
from mcast.wire.server import ContentInfo, Ping, Send, Sending, Wake
from mcast.wire.server import Contents as ContentsMessage
from roles.overlay_parts import Contents, Viewer, World, layout_of
from wire.strategies import adverts, content_lists, founds, layouts, messages, offers, ports, sendings

pytestmark = pytest.mark.hypothesis

PAUSE = 0.02
"""Seconds: who is asked nothing for so long speaks unasked."""
ANSWERS: Mapping[object, type[Message]] = {
    Disc: Found,
    Stream: Port,
    Watch: Advert,
    Wake: ContentsMessage,
    Send: Sending,
    Ping: Ping,
}
"""What has a place behind a question."""
SOON = SessionTiming(first_retry=0.001, last_retry=0.01, refused_retry=0.01)


class Liar:
    """Listens, and says to whoever calls what the test says: some at once, some as answers."""

    def __init__(self, crash: Recorder) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._crash, self._stopping = crash, threading.Event()
        self._lock = threading.Lock()
        self._words: list[Message] = []
        self.said = 0  # messages
        self.has_said_all = threading.Event()
        self._threads: list[OwnedThread] = []
        self._thread = OwnedThread("liar", self._accept, crash)
        self._thread.start()

    def prepare(self, words: Iterable[Message]) -> None:
        """Have this said, by all connections together; each closes when there is nothing left to say."""
        self.has_said_all.clear()
        self._words = list(words)

    def close(self) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self._threads.append(thread := OwnedThread("lies", partial(self._lie, sock), self._crash))
            thread.start()

    def _lie(self, sock: socket.socket) -> None:
        asked: Message | None = None
        with Connection(sock) as connection, contextlib.suppress(McastError, IndexError):
            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    asked = connection.receive(PAUSE)
                connection.send(fitting(self._next_word(asked), asked))
        if not self._words:
            self.has_said_all.set()

    def _next_word(self, asked: Message | None) -> Message:
        """Return what is said next: an answer, if there is one. Raises IndexError if nothing is left."""
        with self._lock:
            kind = ANSWERS.get(type(asked))
            fits = [each for each in self._words if kind is not None and isinstance(each, kind)]
            word = [*fits, *self._words][0]
            self._words.remove(word)
            self.said += 1
            return word


def fitting(message: Message, asked: Message | None) -> Message:
    """Return what is said as an answer to what was asked, where it can be one."""
    if isinstance(asked, NodePacket) and isinstance(message, NodePacket):
        return dataclasses.replace(message, request=asked.request, content=asked.content)
    if isinstance(asked, Ping) and isinstance(message, Ping):
        return Ping(asked.nonce, reply=True)
    return message


def at_home(message: Message, port: int) -> Message:
    """Return a message of which nobody dials any other address than the liar's."""
    here = f"127.0.0.1:{port}"

    def those(nodes: Iterable[NamedAddress]) -> tuple[NamedAddress, ...]:
        return tuple(dataclasses.replace(each, address=here) for each in nodes)

    match message:
        case LayoutMessage():
            return dataclasses.replace(
                message, neighbours=those(message.neighbours), seniors=those(message.seniors),
                servers=(here,) * len(message.servers),
            )  # fmt: skip
        case Offer():
            return Offer(those(message.nodes))
        case Port():
            return dataclasses.replace(message, further=(Endpoint.of("127.0.0.1", port),))
        case _:
            return message


def talks(*fitting: st.SearchStrategy[Message]) -> st.SearchStrategy[list[Message]]:
    """Draw what is said: anything, but mostly what has a place where it is said."""
    return st.lists(st.one_of(*fitting, messages), min_size=1, max_size=6)


@pytest.fixture
def liar(crash: Recorder) -> Iterator[Liar]:
    liar = Liar(crash)
    yield liar
    liar.close()


@pytest.fixture
def other_liar(crash: Recorder) -> Iterator[Liar]:
    liar = Liar(crash)
    yield liar
    liar.close()


def ask_through(node: NodeProgram, content: str, liar: Liar) -> None:
    """Have a node look for a content, join if it can be, and let go when the liar has said all."""
    viewer = Viewer(node, content)
    try:
        viewer.ask()
        with contextlib.suppress(McastError, TimeoutError):
            if isinstance(viewer.connection.receive(0.3), Found):
                viewer.subscribe()
        liar.has_said_all.wait(0.3)
    finally:
        viewer.leave()


def test_whatever_a_parent_or_neighbour_says_the_node_serves_the_next_viewer(
    world: World, liar: Liar
) -> None:
    rp = world.node("rp", (str(world.server(Contents("news")).address),))
    node = world.node("n1", rp=rp)
    names = itertools.count()

    @given(talks(founds, ports, adverts))
    def talk(said: list[Message]) -> None:
        liar.prepare(at_home(each, liar.port) for each in said)
        node.update(layout_of("n1", rp=str(rp.address), **{f"liar{next(names)}": liar.address}))
        ask_through(node, "films", liar)

    talk()
    assert liar.said > 0
    world.viewer(node, "news").watch()
    assert world.crash.calls == []


def test_whatever_a_server_says_the_rendezvous_point_serves_the_next_viewer(world: World, liar: Liar) -> None:
    good = str(world.server(Contents("news")).address)
    rp = world.node("rp", (good,))
    films = ContentsMessage((ContentInfo("films"),))

    def layout(*servers: str) -> LayoutMessage:
        return LayoutMessage("rp", NodeKind.RENDEZVOUS, "127.0.0.1:1", servers=servers)

    @given(talks(content_lists, sendings))
    def talk(said: list[Message]) -> None:
        liar.prepare([films, *said])
        rp.update(layout(good, liar.address))
        ask_through(rp, "films", liar)
        rp.update(layout(good))

    talk()
    assert liar.said > 0
    world.viewer(rp, "news").watch()
    assert world.crash.calls == []


def test_whatever_a_bootstrapper_says_the_node_takes_the_next_layout(
    world: World, liar: Liar, other_liar: Liar
) -> None:
    rp = world.node("rp", (str(world.server(Contents("news")).address),))
    node = world.node("n1")
    session = BootstrapSession(
        HostPort("127.0.0.1", liar.port), Register("n1", 1, bytes(16)), world.crash, timing=SOON
    )
    session.follow(node.update, node.take_offer)
    session.start()
    try:

        @given(talks(layouts, offers))
        def talk(said: list[Message]) -> None:
            liar.prepare(at_home(each, other_liar.port) for each in said)
            assert liar.has_said_all.wait(PATIENCE)

        talk()
        assert liar.said > 0
        liar.prepare([dataclasses.replace(layout_of("n1", rp=str(rp.address)), address=liar.address)])
        world.viewer(node, "news").watch()
    finally:
        session.stop()
    assert world.crash.calls == []


@pytest.mark.parametrize("other", ["127.0.0.1 99", "127.0.0.1:+9", "\n27.0.0.1:99"])
@pytest.mark.parametrize("kind", [LayoutMessage, Offer])
def test_an_address_that_nobody_can_dial_costs_the_bootstrappers_connection_alone(
    kind: type[Message], other: str, world: World
) -> None:
    bad, good = NamedAddress("n2", "127.0.0.1:99"), encode(layout_at())
    said = layout_at(bad) if kind is LayoutMessage else Offer((bad,))
    node = world.node("n1")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)
        address = HostPort("127.0.0.1", listening.getsockname()[1])
        session = BootstrapSession(address, Register("n1", 1, bytes(16)), world.crash, timing=SOON)
        session.follow(None, node.take_offer)
        session.start()
        try:
            sock, _ = listening.accept()
            with sock:
                sock.sendall(b"" if kind is LayoutMessage else good)
                sock.sendall(encode(said).replace(b"127.0.0.1:99", other.encode()))
                wait_until(lambda: closed_by_peer(sock), "the end of the connection")
            sock, _ = listening.accept()  # it comes again
            with sock:
                sock.sendall(good)
                assert session.wait_for_layout(threading.Event()) == layout_at()
        finally:
            session.stop()
    assert world.crash.calls == []


def layout_at(*neighbours: NamedAddress) -> LayoutMessage:
    return LayoutMessage("n1", NodeKind.OVERLAY, "127.0.0.1:1", neighbours=neighbours)


def closed_by_peer(sock: socket.socket) -> bool:
    try:
        return not sock.recv(65_536)
    except OSError:
        return True


def test_whatever_a_node_says_a_client_ends_in_order_or_is_served(world: World, liar: Liar) -> None:
    good = world.line(Contents("news"))[-1]

    @given(talks(founds, ports))
    def talk(said: list[Message]) -> None:
        liar.prepare(at_home(each, liar.port) for each in said)
        subscription = Subscription(
            neighbours=[liar.address], content="news", patience=0.1, give_up=0.05, latency_ms=0
        )
        with contextlib.suppress(McastError), subscription:
            liar.has_said_all.wait(0.1)

    talk()
    assert liar.said > 0
    with Subscription(neighbours=[str(good.address)], content="news") as subscription:
        assert next(iter(subscription))
    assert world.crash.calls == []
