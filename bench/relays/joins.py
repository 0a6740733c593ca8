"""Single viewers who join at the end of a chain: how long until they see something?

How busy the nodes were, all together, and how busy the other core, is told beside it: who waits for a busy
core does not wait for a node.
"""

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from bench.relays.children import ReadingChild
from bench.relays.contenders import child_address
from bench.relays.loads import Use
from bench.relays.machine import family
from bench.relays.nodes import Node
from bench.relays.setting import Setting
from bench.relays.verdict import Figures, quantile

KEYFRAME, PICTURE, WORST = "first keyframe, ms", "whole picture, ms", "worst keyframe, ms"
FAILED = "failed"
"""Viewers who never saw a whole picture: a median does not see them while they are fewer than half."""
JOINS = 30
"""Of a content that streams; of the others each is joined once a round."""
JOIN_SECONDS = 30.0
WARM_SECONDS = 4.0
PAUSE_SECONDS = (0.1, 0.3)
"""Between two joins, so that they fall anywhere between two trains and two keyframes."""


@dataclass(frozen=True, slots=True)
class _Chain:
    """Nodes that run."""

    last: str
    pids: tuple[int, ...]


def streaming(node: Node, setting: Setting) -> Figures:
    """Join a content that somebody watches at the last node of the chain already."""
    with _chain(node, setting) as chain:
        last = chain.last
        first = _viewer(setting, last, setting.overlay.contents[0], 0)
        _watch(setting, first)
        setting.loop.run(WARM_SECONDS)
        viewers, use = [], Use(chain.pids)
        for number in range(1, JOINS + 1):
            viewers.append(_viewer(setting, last, setting.overlay.contents[0], number))
            _watch(setting, viewers[-1])
            viewers[-1].leave()
            setting.loop.run(random.uniform(*PAUSE_SECONDS))
        used = use.shares()
        first.leave()
    return {**figures(viewers), **used}


def not_streaming(node: Node, setting: Setting) -> Figures:
    """Join contents, each of which nobody has watched before: not even the server streams it."""
    with _chain(node, setting) as chain:
        viewers = [_viewer(setting, chain.last, content, 0) for content in setting.overlay.contents]
        use = Use(chain.pids)
        for viewer in viewers:
            _watch(setting, viewer)
            viewer.leave()
            setting.loop.run(random.uniform(*PAUSE_SECONDS))  # no node is busy with who has left any more
        used = use.shares()
    return {**figures(viewers), **used}


@contextlib.contextmanager
def _chain(node: Node, setting: Setting) -> Iterator[_Chain]:
    """Run all nodes."""
    names = [f"n{number}" for number in range(1, setting.needs.nodes + 1)]
    with contextlib.ExitStack() as stack:
        pids = [pid for name in names for pid in family(stack.enter_context(node.started(setting, name)).pid)]
        setting.loop.run(1.0)  # they have got to know each other
        yield _Chain(names[-1], tuple(pids))


def _viewer(setting: Setting, node: str, content: str, number: int) -> ReadingChild:
    return ReadingChild(
        setting.loop, setting.overlay.addresses[node], content, child_address(number), wants_picture=True
    )


def _watch(setting: Setting, viewer: ReadingChild) -> None:
    viewer.join()
    setting.loop.run(JOIN_SECONDS, lambda: viewer.times.picture is not None or viewer.has_failed)


def figures(viewers: list[ReadingChild]) -> Figures:
    """Return what joins have shown."""
    never = float("inf")
    keyframes = [1000 * (viewer.times.until_keyframe or never) for viewer in viewers]
    pictures = [1000 * (viewer.times.until_picture or never) for viewer in viewers]
    return {
        KEYFRAME: quantile(keyframes, 0.5),
        PICTURE: quantile(pictures, 0.5),
        WORST: max(keyframes),
        FAILED: float(pictures.count(never)),
    }
