"""Packets of the node protocol for tests, in the fewest words."""

from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason, Port, Start, Stream
from mcast.wire.position import Position

RP, N1, N2, N3 = (Identity.node(name) for name in ("rp", "n1", "n2", "n3"))
VIEWER, OTHER_VIEWER = Identity.client(bytes(16)), Identity.client(b"o" * 16)
R1, R2, R3 = b"1" * 16, b"2" * 16, b"3" * 16


def disc(
    request: bytes = R1,
    content: str = "news",
    *,
    sender: Identity = VIEWER,
    origin: Identity | None = None,
    excluded: tuple[Identity, ...] = (),
    hops: int = 0,
    remaining_ms: int = 4000,
) -> Disc:
    return Disc(request=request, content=content, sender=sender, origin=origin, excluded=excluded,
                hops=hops, remaining_ms=remaining_ms)  # fmt: skip


def miss(
    reason: MissReason, request: bytes = R1, *, content: str = "news", text: str = "", retry_ms: int = 0
) -> Miss:
    return Miss(request=request, content=content, reason=reason, text=text, retry_ms=retry_ms)


def found(request: bytes = R1, giver: Identity = RP, *, content: str = "news") -> Found:
    return Found(request=request, content=content, sender=giver)


def stream(
    request: bytes = R1,
    content: str = "news",
    *,
    sender: Identity = VIEWER,
    hops: int = 0,
    start: Start = Start.KEYFRAME,
    resume: Position | None = None,
) -> Stream:
    return Stream(request=request, content=content, sender=sender, hops=hops, port=40000, start=start,
                  resume=resume)  # fmt: skip


def port(
    *path: Identity,
    version: int = 1,
    ssrc: int = 7,
    position: int = 0,
    cut: bool = False,
    no_way: bool = False,
    leaving: bool = False,
    request: bytes = R1,
    content: str = "news",
) -> Port:
    return Port(request=request, content=content, port=50000, token=bytes(16), path=path,
                stream=Position(ssrc, position), version=version, cut=cut, no_way=no_way,
                leaving=leaving)  # fmt: skip
