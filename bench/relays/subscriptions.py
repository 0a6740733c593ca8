"""Light children of a node's contents: they join, report, and leave together."""

import contextlib
from collections.abc import Iterator, Sequence

from bench.relays.children import Child, Loop
from mcast.hostport import HostPort
from mcast.wire.node import Start

JOIN_SECONDS = 120.0
AT_ONCE = 16


@contextlib.contextmanager
def subscribed(loop: Loop, children: Sequence[Child]) -> Iterator[None]:
    """Have all join, some at a time, and leave in the end.

    Raises RuntimeError if one cannot join, or was dropped meanwhile.
    """
    try:
        ask(loop, children)
        _check(children, "have not joined")
        yield
        _check(children, "have been dropped")
    finally:
        for child in children:
            child.leave()


def ask(loop: Loop, children: Sequence[Child]) -> None:
    """Have all ask to join, some at a time, until each is in or has given up."""
    waiting, going = list(children), list[Child]()

    def all_told() -> bool:
        going[:] = [child for child in going if not (child.has_joined or child.has_failed)]
        while waiting and len(going) < AT_ONCE:
            going.append(waiting.pop(0))
            going[-1].join()
        return not (waiting or going)

    loop.run(JOIN_SECONDS, all_told)


def _check(children: Sequence[Child], what: str) -> None:
    if failed := [child for child in children if not child.has_joined]:
        raise RuntimeError(f"{len(failed)} of {len(children)} children {what}: {dict(failed[0].misses)}")


def borrowing(
    loop: Loop,
    node: HostPort,
    contents: Sequence[str],
    addresses: Sequence[str],
    first_port: int,
    start: Start = Start.LIVE,
    *,
    patience: float = JOIN_SECONDS,
) -> list[Child]:
    """Return a child of each content at each address; each content has a port of its own."""
    return [
        Child(loop, node, content, address, port, start, patience=patience)
        for port, content in enumerate(contents, first_port)
        for address in addresses
    ]
