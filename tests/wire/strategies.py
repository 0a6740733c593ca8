"""Hypothesis strategies: every value and packet that mcast can write, and peers' broken bytes."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.wire import bootstrap, handshake, health, node, rtcp, server
from mcast.wire.content import Readiness
from mcast.wire.endpoint import Endpoint, is_host, is_link_local
from mcast.wire.frame import Message
from mcast.wire.identity import MAX_NODE_NAME, Identity
from mcast.wire.position import MAX_NUMBER, Position

S = TypeVar("S")
T = TypeVar("T")


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << bits) - 1)


def exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def tuples_of(values: st.SearchStrategy[T], *, least: int = 0) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(values, min_size=least, max_size=4).map(tuple)


# A few characters of each size in UTF-8: all of Unicode would only make drawing slow.
printable = st.sampled_from("azAZ09 -_.é√漢🎬")
texts = st.text(printable | st.sampled_from("\0\n\x1b\u2028\ue000\U0010ffff"), max_size=40)
contents = st.text(printable, max_size=40)
names = st.text(printable, min_size=1, max_size=MAX_NODE_NAME // 4)
identities = names.map(Identity.node) | exactly(16).map(Identity.client)
numbers = st.integers(0, MAX_NUMBER)
positions = st.builds(Position, unsigned(32), numbers)
ips = st.builds(IPv4Address, unsigned(32)) | st.builds(IPv6Address, unsigned(128))
hosts = st.builds(
    Endpoint, ips.filter(lambda ip: is_host(ip) and not is_link_local(ip)), st.integers(1, 0xFFFF)
)
host_names = st.from_regex(r"[a-z_]([a-z0-9-]{0,9})(\.[a-z]{1,9}){0,2}", fullmatch=True)
addresses = hosts.map(str) | st.builds("{}:{}".format, host_names, st.integers(1, 0xFFFF))
endpoints = st.builds(Endpoint, ips.filter(lambda ip: not is_link_local(ip)), unsigned(16))

_fixed = {
    "request": exactly(16),
    "source": st.none() | endpoints,
    "hops": unsigned(8),
    "content": contents,
    "port": unsigned(16),
}

content_infos = st.builds(
    server.ContentInfo,
    name=contents,
    format=texts,
    duration_ms=unsigned(64),
    bit_rate=unsigned(64),
    frame_rate_milli=unsigned(32),
    width=unsigned(16),
    height=unsigned(16),
    loop=st.booleans(),
    digest=exactly(0) | exactly(32),
    running=tuples_of(positions),
    readiness=st.sampled_from(server.Readiness),
    viewers=st.none() | unsigned(32),
)
founds = st.builds(node.Found, **_fixed, sender=identities)
ports = st.builds(
    node.Port,
    **_fixed,
    token=exactly(16),
    path=tuples_of(identities, least=1),
    stream=positions,
    version=unsigned(32),
    cut=st.booleans(),
    no_way=st.booleans(),
    leaving=st.booleans(),
    further=st.lists(hosts, max_size=node.MAX_FURTHER).map(tuple),
)
adverts = st.builds(
    node.Advert,
    **_fixed,
    path=tuples_of(identities),
    fed=st.booleans(),
    distance=st.none() | unsigned(8),
    takes_clients=st.booleans(),
    delay_ms=st.none() | unsigned(16),
    lost_permille=unsigned(16),
)

node_messages: st.SearchStrategy[node.NodeMessage] = st.one_of(
    st.builds(
        node.Disc,
        **_fixed,
        sender=identities,
        remaining_ms=unsigned(32),
        excluded=tuples_of(identities),
        origin=st.none() | identities,
    ),
    founds,
    st.builds(node.ListContents, **_fixed, sender=identities, remaining_ms=unsigned(32), after=contents),
    st.builds(
        node.ContentsPage,
        **_fixed,
        contents=tuples_of(content_infos),
        more=st.booleans(),
        age_ms=unsigned(32),
        text=texts,
    ),
    st.builds(
        node.Miss, **_fixed, reason=st.sampled_from(node.MissReason), text=texts, retry_ms=unsigned(32)
    ),
    st.builds(
        node.Stream,
        **_fixed,
        sender=identities,
        resume=st.none() | positions,
        buffer_bytes=unsigned(32),
        start=st.sampled_from(node.Start),
    ),
    ports,
    st.builds(node.Watch, **_fixed, sender=identities, every_ms=st.integers(0, 0xFFFF)),
    adverts,
    st.builds(
        node.Stop,
        **_fixed,
        reason=st.sampled_from(node.StopReason),
        last=st.none() | numbers,
        text=texts,
    ),
)
content_lists = st.builds(server.Contents, tuples_of(content_infos))
sendings = st.builds(
    server.Sending,
    st.sampled_from(server.SendStatus),
    unsigned(16),
    exactly(0) | exactly(16),
    st.none() | positions,
    exactly(0) | exactly(32),
    texts,
)

server_messages: st.SearchStrategy[server.ServerMessage] = st.one_of(
    st.builds(server.Wake),
    content_lists,
    st.builds(
        server.Send,
        contents,
        st.none() | positions,
        unsigned(16),
        unsigned(32),
        unsigned(32),
        st.none() | numbers,
    ),
    sendings,
    st.builds(server.Ready),
    st.builds(server.ServerStop, st.sampled_from(node.StopReason), st.none() | numbers, texts),
    st.builds(server.Ping, unsigned(64), st.booleans()),
)

stream_healths = st.builds(
    health.StreamHealth,
    content=contents,
    path=tuples_of(identities),
    children=tuples_of(identities),
    position=positions,
    lost=unsigned(64),
    fed=st.booleans(),
    child_count=unsigned(32),
    round_trips_us=tuples_of(unsigned(32)),
    parents=tuples_of(
        st.builds(health.ParentHealth, texts, st.booleans(), st.booleans(), unsigned(32), unsigned(64))
    ),
    datagrams=unsigned(64),
    octets=unsigned(64),
    repaired=unsigned(64),
    delay_us=st.integers(-(1 << 31), (1 << 31) - 1),
    delays_us=tuples_of(st.integers(-(1 << 31), (1 << 31) - 1)),
    nacks=unsigned(64),
    longest_gap_ms=unsigned(32),
    parent_changes=unsigned(32),
    discontinuities=unsigned(32),
)
catalogue_pages = st.builds(
    health.CataloguePage,
    texts,
    tuples_of(
        st.builds(
            health.ContentHealth,
            contents,
            texts,
            unsigned(64),
            unsigned(64),
            unsigned(16),
            unsigned(16),
            st.booleans(),
            st.just(b"") | exactly(8),
            st.sampled_from(Readiness),
            tuples_of(texts),
        )
    ),
    st.booleans(),
)
server_healths = st.builds(health.ServerHealth, texts, *[unsigned(32)] * 4)
event_reports = st.builds(
    health.EventReport, texts, texts, unsigned(64), texts,
    tuples_of(st.builds(health.EventField, texts, texts, st.none() | unsigned(64))),
)  # fmt: skip

healths = st.builds(
    bootstrap.Health,
    uptime_ms=unsigned(64),
    streams=tuples_of(stream_healths),
    beyond=tuples_of(names),
    program=texts,
    cpu_permille=unsigned(32),
    memory_kb=unsigned(32),
    servers=tuples_of(server_healths),
    events=tuples_of(event_reports),
    part=unsigned(16),
    more=st.booleans(),
    catalogue=st.none() | catalogue_pages,
)

neighbours = st.builds(bootstrap.NamedAddress, names, addresses)
policies = st.builds(bootstrap.Policy, st.booleans(), st.booleans(), st.booleans(), unsigned(8), unsigned(16))
layouts = st.builds(
    bootstrap.LayoutMessage,
    names,
    st.sampled_from(bootstrap.NodeKind),
    addresses,
    tuples_of(host_names),
    tuples_of(neighbours),
    tuples_of(addresses),
    tuples_of(names),
    unsigned(32),
    policies,
    st.booleans(),
    tuples_of(neighbours),
)
offers = st.builds(bootstrap.Offer, tuples_of(neighbours))

bootstrap_messages: st.SearchStrategy[bootstrap.BootstrapMessage] = st.one_of(
    st.builds(bootstrap.Register, st.just("") | names, unsigned(16), exactly(16), tuples_of(names)),
    layouts,
    st.builds(bootstrap.Refused, texts, st.booleans()),
    healths,
    st.just(bootstrap.Probe()),
    st.builds(bootstrap.Seek, st.just("") | contents),
    offers,
    st.builds(bootstrap.Links, tuples_of(names)),
)

handshake_messages: st.SearchStrategy[handshake.HandshakeMessage] = st.one_of(
    st.builds(
        handshake.Greeting,
        unsigned(8),
        st.sampled_from(handshake.Role),
        st.sampled_from(handshake.Role),
        exactly(handshake.NONCE_SIZE),
    ),
    st.builds(
        handshake.Challenge, unsigned(8), st.sampled_from(handshake.Role), exactly(handshake.NONCE_SIZE)
    ),
    st.builds(
        handshake.Proof,
        st.lists(exactly(handshake.PROOF_SIZE), min_size=1, max_size=handshake.MAX_PROOFS).map(tuple),
    ),
    st.builds(handshake.Welcome, exactly(handshake.PROOF_SIZE)),
    st.builds(handshake.Refusal, texts),
)

spoken_messages: st.SearchStrategy[Message] = st.one_of(node_messages, server_messages, bootstrap_messages)
"""What is said on connections without a key: all that versions before the handshake know."""

messages: st.SearchStrategy[Message] = spoken_messages | handshake_messages

report_blocks = st.builds(
    rtcp.ReportBlock,
    unsigned(32),
    unsigned(8),
    st.integers(-(1 << 23), (1 << 23) - 1),
    unsigned(32),
    unsigned(32),
    unsigned(32),
    unsigned(32),
)
reports = st.builds(
    rtcp.SenderReport,
    unsigned(32),
    unsigned(64),
    unsigned(32),
    unsigned(32),
    unsigned(32),
    tuples_of(report_blocks),
) | st.builds(rtcp.ReceiverReport, unsigned(32), tuples_of(report_blocks))
feed_states = st.builds(
    rtcp.UpstreamState,
    st.sampled_from(rtcp.FeedState),
    unsigned(32),
    numbers | st.just(rtcp.NEXT_UNKNOWN),
    st.booleans(),
    origin=st.none() | st.builds(rtcp.Origin, st.integers(1, (1 << 64) - 1), unsigned(32)),
)
rtcp_packets: st.SearchStrategy[rtcp.Packet] = st.one_of(
    reports,
    st.builds(rtcp.Sdes, unsigned(32), contents),
    st.builds(rtcp.Bye, tuples_of(unsigned(32)), contents),
    st.builds(rtcp.token_app, unsigned(32), exactly(16)),
    st.builds(rtcp.state_app, unsigned(32), feed_states),
    st.builds(rtcp.App, unsigned(32), unsigned(5), exactly(4), exactly(8)),
    st.builds(
        rtcp.ExtendedReport,
        unsigned(32),
        st.none() | unsigned(64),
        tuples_of(st.builds(rtcp.ReferenceDelay, unsigned(32), unsigned(32), unsigned(32))),
    ),
    st.builds(rtcp.beside_app, unsigned(32)),
    st.builds(rtcp.Unknown, st.sampled_from([206, *range(208, 224)]), unsigned(5), exactly(12)),
    # Ascending, and less than 2**16 apart: what a receiver that looks for holes asks for.
    st.lists(unsigned(16), min_size=1, max_size=30, unique=True)
    .map(sorted)
    .flatmap(lambda missing: st.builds(rtcp.Nack, unsigned(32), unsigned(32), st.just(tuple(missing)))),
)
compounds = st.builds(lambda first, others: (first, *others), reports, st.lists(rtcp_packets, max_size=4))


@st.composite
def mutated(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Damage valid bytes: some changed, some put in, some cut out, the end missing."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0 if start < len(data):
                data[start] = draw(unsigned(8))
            case 1:
                data[start:start] = draw(st.binary(max_size=6))
            case 2:
                del data[start : start + draw(st.integers(1, 6))]
            case _:
                del data[start:]
    return bytes(data)


def taken(read: Callable[[S], T], data: S) -> T | None:
    """Return what data is taken for; None where it is refused, with a WireError."""
    try:
        return read(data)
    except WireError:
        return None


def hostile(valid: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return what a peer might send: any bytes, and bytes that are nearly right."""
    return st.binary(max_size=300) | mutated(valid)
