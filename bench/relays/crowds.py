"""A crowd: so many viewers join one node at the same moment; when has each its first keyframe?

All of them live in one process on the other core. How busy both cores were until the last had its keyframe
tells whom that was waiting for.
"""

from bench.relays.children import ReadingChild
from bench.relays.contenders import child_address
from bench.relays.joins import FAILED
from bench.relays.loads import Use
from bench.relays.machine import family
from bench.relays.nodes import Node
from bench.relays.setting import Setting
from bench.relays.verdict import Figures, quantile

CROWD = 1000
HALF, LAST = "half have a keyframe, s", "all have a keyframe, s"
WARM_SECONDS = 4.0
"""Before the crowd comes the node streams for one viewer: there is a whole GOP in its history."""
MOST_SECONDS = 60.0


def crowd(node: Node, setting: Setting) -> Figures:
    """Have a crowd join a node; return when they had their keyframes, from the moment they asked."""
    loop = setting.loop
    with node.started(setting) as process:
        first = _viewer(setting, 0)
        first.join()
        loop.run(MOST_SECONDS, lambda: first.times.keyframe is not None or first.has_failed)
        loop.run(WARM_SECONDS)
        viewers = [_viewer(setting, number) for number in range(1, CROWD + 1)]
        use = Use(family(process.pid))
        for viewer in viewers:
            viewer.join()
        loop.run(MOST_SECONDS, lambda: all(each.times.keyframe or each.has_failed for each in viewers))
        used = use.shares()
        for viewer in (first, *viewers):
            viewer.leave()
    waits = [wait for viewer in viewers if (wait := viewer.times.until_keyframe) is not None]
    failed = len(viewers) - len(waits)
    return {
        HALF: quantile(waits, 0.5),
        LAST: float("inf") if failed else max(waits),
        FAILED: float(failed),
        **used,
    }


def _viewer(setting: Setting, number: int) -> ReadingChild:
    overlay = setting.overlay
    return ReadingChild(
        setting.loop, overlay.addresses["n1"], overlay.contents[0], child_address(number),
        patience=MOST_SECONDS,
    )  # fmt: skip
