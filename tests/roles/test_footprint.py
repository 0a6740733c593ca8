"""What a node holds: it loads nothing that only its options need, and a child is small."""

import contextlib
import gc
import logging
import socket
import subprocess
import sys
import types

from mcast.net.connection import Connection
from mcast.net.ratelimit import RateLimitedLog
from media.plane.parts import family
from media.plane.streams import train

NEEDLESS = (
    "ssl", "_hashlib",  # OpenSSL: for who has a key
    "subprocess", "mcast.roles.node.workers.pool",  # for who has workers
    "shutil", "bz2", "lzma", "zlib",  # argparse, for the terminal's width
    "http", "email", "urllib.request", "tomllib", "asyncio", "base64", "tempfile",
    "mcast.client", "mcast.gateway", "mcast.web", "mcast.media.source",
)  # fmt: skip

SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
"""They lead to everything that is loaded."""


def own_bytes(thing: object, other: object) -> int:
    """Return the bytes of all objects that live on with one thing, and not with another one of its kind."""
    others = reached(other)
    return sum(sys.getsizeof(each) for place, each in reached(thing).items() if place not in others)


def reached(start: object) -> dict[int, object]:
    """Return all objects that live on with this one, by their place."""
    found, waiting = dict[int, object](), [start]
    while waiting:
        each = waiting.pop()
        if id(each) not in found and not isinstance(each, SHARED):
            found[id(each)] = each
            waiting += gc.get_referents(each)
    return found


def test_a_node_loads_nothing_that_only_its_options_or_other_programs_need() -> None:
    script = f"""
import sys
from mcast.roles import cli
from mcast.roles.node.main import PROGRAM
cli.parser_of(PROGRAM).parse_args(["--bootstrap", "127.0.0.1:4000"])
print(*sys.modules.keys() & set({NEEDLESS!r}))
"""
    environment = {"PYTHONPATH": ":".join(sys.path)}
    loaded = subprocess.run(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    assert not loaded.stdout.split()


def test_a_child_that_asks_for_nothing_again_has_a_media_side_of_one_and_a_half_kilobytes() -> None:
    with family() as parent:
        parent.fanout.push(train(0, 40, keys=[0]))
        viewers = [parent.join() for _ in range(3)]
        parent.wait_next(40, *viewers)
        parent.wait_live()
        _, other, child = parent.fanout._children.children()
        assert 1_000 < own_bytes(child, other) < 1_500


def test_a_connection_has_700_bytes_of_its_own_and_shares_the_listeners_address() -> None:
    log = RateLimitedLog(logging.getLogger("peers"))
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as opened:

        def connect() -> Connection:
            opened.enter_context(socket.create_connection(listening.getsockname()))
            return opened.enter_context(Connection(listening.accept()[0], log))

        first, second = connect(), connect()
        assert first.local is second.local
        assert 400 < own_bytes(first, second) < 800
