"""Recorded conversations of an older version are understood, and can be held, by this one.

`conversations/446327c` holds bytes that the programs of that commit sent (its README says when). They
are read, written and played over a real connection here. The other way round, whatever this version
writes is taken apart by the rules of that commit, which are frozen below: it closed the connection on an
unknown value of an enumeration, and skipped an unknown TLV.
"""

import dataclasses
import functools
import socket
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from mcast.net.connection import PeerGone
from mcast.wire import bootstrap, endpoint, identity, node, position, server
from mcast.wire.frame import HEADER_SIZE, FrameDecoder, Message, encode
from mcast.wire.identity import Identity
from mcast.wire.node import Advert, ContentsPage, Disc, ListContents, Miss, NodeFlag, NodePacket, Port, Watch
from mcast.wire.position import Position
from mcast.wire.server import Send, ServerPacket
from peers import tcp_pair
from wire.strategies import spoken_messages

RECORDED = Path(__file__).parent / "conversations" / "446327c"
NAMES = sorted(file.stem for file in RECORDED.glob("*.txt"))
MODULES = (bootstrap, endpoint, identity, node, position, server)
VOCABULARY: dict[str, Any] = {name: value for module in MODULES for name, value in vars(module).items()}
VOCABULARY["Neighbour"] = bootstrap.NamedAddress  # as it was called then
ASKS, ANSWERS = ">", "<"


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """One frame of a conversation: who sent it, its bytes, and what the old code read in it."""

    side: str
    wire: bytes
    message: Message


def frames(data: bytes) -> Iterator[bytes]:
    """Yield the frames of one direction."""
    while data:
        size = HEADER_SIZE + int.from_bytes(data[4:HEADER_SIZE], "big")
        yield data[:size]
        data = data[size:]


NEW_MESSAGES = (
    Watch, Advert, ListContents, ContentsPage, bootstrap.Probe, bootstrap.Seek, bootstrap.Offer,
    bootstrap.Links,
)  # fmt: skip
"""An old node closes the connection on WATCH and ADVERT, which have one of their own, and on LIST, whose
asker then asks another: nothing else is lost.
It takes PROBE for an error and registers anew: the newcomer has the name then, as always there. An old
bootstrapper does so with SEEK, and the session begins anew.
"""
NEW_FLAGS: dict[type[IntEnum], set[IntEnum]] = {
    NodeFlag: {NodeFlag.WATCH, NodeFlag.ADVERT, NodeFlag.LIST, NodeFlag.CONTENTS},
    bootstrap.BootstrapFlag: {
        bootstrap.BootstrapFlag.PROBE,
        bootstrap.BootstrapFlag.SEEK,
        bootstrap.BootstrapFlag.OFFER,
        bootstrap.BootstrapFlag.LINKS,
    },
}


@functools.cache
def conversation(name: str) -> list[Turn]:
    sides = {
        ASKS: frames((RECORDED / f"{name}.asks.bin").read_bytes()),
        ANSWERS: frames((RECORDED / f"{name}.answers.bin").read_bytes()),
    }
    lines = (RECORDED / f"{name}.txt").read_text().splitlines()
    turns = [Turn(line[0], next(sides[line[0]]), eval(line[2:], dict(VOCABULARY))) for line in lines]
    assert [list(rest) for rest in sides.values()] == [[], []]
    return turns


def test_each_kind_of_message_was_recorded() -> None:
    recorded = {type(turn.message) for name in NAMES for turn in conversation(name)}
    kinds = {*node.NodeMessage.__args__, *server.ServerMessage.__args__, *bootstrap.BootstrapMessage.__args__}
    assert recorded == kinds - set(NEW_MESSAGES)


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_of_the_old_version_is_read_as_it_was_meant(name: str) -> None:
    turns = conversation(name)
    for side in (ASKS, ANSWERS):
        decoder = FrameDecoder()
        decoder.feed(b"".join(turn.wire for turn in turns if turn.side == side))
        assert list(iter(decoder.next, None)) == [turn.message for turn in turns if turn.side == side]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_messages_are_written_with_the_same_bytes(name: str) -> None:
    for turn in conversation(name):
        assert encode(turn.message).hex() == turn.wire.hex()


@pytest.mark.parametrize("new_side", [ASKS, ANSWERS], ids=["the new one asks", "the new one answers"])
@pytest.mark.parametrize("name", NAMES)
def test_a_conversation_with_the_old_version_takes_the_same_course(name: str, new_side: str) -> None:
    with tcp_pair() as (connection, old):
        old.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for turn in conversation(name):
            if turn.side == new_side:
                connection.send(turn.message)
                heard = b""
                while len(heard) < len(turn.wire):
                    heard += old.recv(len(turn.wire) - len(heard))
                assert heard.hex() == turn.wire.hex()
            else:
                for start in range(0, len(turn.wire), 50):
                    old.sendall(turn.wire[start : start + 50])
                assert connection.receive(10) == turn.message
        old.close()
        with pytest.raises(PeerGone, match=r"closed the connection$"):
            connection.receive(10)
        assert connection.unknown_messages == 0


# What the old version knew: its TLVs (mandatory, optional), and its enumerations.
OLD_TLVS: dict[str, tuple[set[int], set[int]]] = {
    "Disc": ({1, 2}, {3}),
    "Found": ({1}, set()),
    "Miss": ({12}, {15}),
    "Stream": ({1}, {4, 5, 6}),
    "Port": ({7, 8, 9, 10}, {11}),
    "Stop": ({13}, {14, 15}),
    "Wake": (set(), set()),
    "Contents": (set(), {1}),
    "Send": ({2}, {3, 4, 5}),
    "Sending": ({6}, {4, 7, 8, 9, 10}),
    "Ready": (set(), set()),
    "ServerStop": ({11}, {10, 12}),
    "Ping": ({13}, set()),
    "Register": ({2, 3}, {1}),
    "LayoutMessage": ({4, 5, 6}, {7, 8, 9, 10, 11}),
    "Refused": ({12}, set()),
    "Health": ({13}, {14}),
}
OLD_VALUES: dict[type[IntEnum], set[int]] = {
    node.NodeFlag: set(range(1, 7)),
    node.MissReason: set(range(1, 9)),
    node.StopReason: set(range(1, 8)),
    node.Start: {0, 1},
    server.ServerFlag: set(range(1, 7)),
    server.SendStatus: set(range(5)),
    bootstrap.BootstrapFlag: set(range(1, 5)),
    bootstrap.NodeKind: {0, 1},
    identity.IdentityKind: {0, 1},
}
SINCE_THEN = {
    ("Disc", 16), ("Miss", 24), ("Port", 17), ("Port", 18), ("Port", 19), ("Send", 14), ("Send", 32),
    ("LayoutMessage", 15), ("LayoutMessage", 21), ("LayoutMessage", 32),
    ("Register", 20), ("Refused", 22), ("Health", 23),
    *(("Health", kind) for kind in range(41, 49)),
}  # TLVs that have been added and are skipped there  # fmt: skip


def fixed_size(message: Message, body: bytes) -> int:
    """Return where the TLVs begin by the old rules."""
    if isinstance(message, ServerPacket):
        return 2
    if not isinstance(message, NodePacket):
        return 1
    source = 17 + {0: 1, 4: 7, 6: 19}[body[17]]
    return source + 1 + 1 + body[source + 1] + 2


def tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        size = int.from_bytes(data[1:3], "big")
        assert len(data) >= 3 + size
        yield data[0], data[: 3 + size]
        data = data[3 + size :]


def as_read_by_the_old(message: Message) -> bytes:
    """Return a frame's body without the TLVs that the old version skips; fail where it would not read it."""
    body = message.pack()
    start, name = fixed_size(message, body), type(message).__name__
    mandatory, optional = OLD_TLVS[name]
    found = list(tlvs(body[start:]))
    kinds = {kind for kind, _ in found}
    assert mandatory <= kinds
    assert {(name, kind) for kind in kinds - mandatory - optional} <= SINCE_THEN
    return body[:start] + b"".join(part for kind, part in found if kind in mandatory | optional)


@given(spoken_messages.filter(lambda message: not isinstance(message, NEW_MESSAGES)))
def test_whatever_this_version_writes_the_old_one_reads(message: Message) -> None:
    old = message
    if isinstance(message, Disc):
        old = dataclasses.replace(message, origin=None)
    elif isinstance(message, bootstrap.LayoutMessage):
        old = dataclasses.replace(message, policy=bootstrap.DEFAULT_POLICY, joined=False, seniors=())
    elif isinstance(message, bootstrap.Register):
        old = dataclasses.replace(message, links=())
    elif isinstance(message, bootstrap.Refused):
        old = dataclasses.replace(message, removed=False)
    elif isinstance(message, bootstrap.Health):
        old = bootstrap.Health(message.uptime_ms, message.streams)
    elif isinstance(message, Port):
        old = dataclasses.replace(message, no_way=False, leaving=False, further=())
    elif isinstance(message, Miss):
        old = dataclasses.replace(message, retry_ms=0)
    elif isinstance(message, Send):
        old = dataclasses.replace(message, overdue_ms=0, due=None)
    assert as_read_by_the_old(message) == old.pack()


def test_an_old_server_takes_a_stream_over_all_the_same_but_from_now() -> None:
    asked = Send("news", Position(1, 2))
    told = dataclasses.replace(asked, overdue_ms=350)
    assert told.pack() == asked.pack() + bytes.fromhex("0e 0004 0000015e")
    assert as_read_by_the_old(told) == asked.pack()


def test_who_asks_is_the_only_part_of_a_request_that_the_old_version_misses() -> None:
    asked = Disc(request=bytes(16), content="news", sender=Identity.node("n1"), remaining_ms=3_900)
    told = dataclasses.replace(asked, origin=Identity.node("n5"))
    assert told.pack() == asked.pack() + bytes.fromhex("10 0004 00 02 6e35")
    assert as_read_by_the_old(told) == asked.pack()


@pytest.mark.parametrize("kind", OLD_VALUES, ids=lambda kind: kind.__name__)
def test_no_value_is_written_on_which_the_old_version_closes_the_connection(kind: type[IntEnum]) -> None:
    new = NEW_FLAGS.get(kind, set())
    assert set(kind) - new == OLD_VALUES[kind]
