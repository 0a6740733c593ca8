"""What a node holds: alone, for a content, for a child, and when many have come and gone.

Who is fed nothing costs nothing: so it is looked whether they were.
"""

import random
from collections.abc import Sequence

from bench.relays.children import ReadingChild
from bench.relays.contenders import OUTPUT_PORT, Load, child_address
from bench.relays.machine import footprint
from bench.relays.nodes import Node
from bench.relays.receivers import Receivers, sink
from bench.relays.setting import MBITS, Setting
from bench.relays.subscriptions import borrowing, subscribed
from bench.relays.verdict import Figures
from mcast.media.history import MAX_SECONDS
from mcast.wire.node import Start

BASE, CONTENT, CHILD, CHURNED = "base, MiB", "a content, MiB", "a child, KiB", "after churn, MiB"
FED = "guests fed"
"""The share of those who stayed long enough for that."""
HISTORY_MIB = MAX_SECONDS * MBITS * 1e6 / 8 * (1328 / 1316) / 2**20
"""What a history holds of one content, headers included."""
CHURN_CONTENTS = 4
CHILDREN = 200
SETTLE_SECONDS, FILL_SECONDS = 3.0, MAX_SECONDS + 2.0
CHURN_SECONDS, JOINS_A_SECOND, MOST_STAY_SECONDS = 60.0, 4, 6.0
FED_SECONDS = 3.0
"""In which a guest has media, as a keyframe comes every other second: whoever left before is not asked."""
LAST_SECONDS, MOST_LOST = 0.5, 0.2
"""Before it is weighed, all must be fed; it is too short a time to tell of single losses."""


def weigh(node: Node, setting: Setting) -> Figures:
    """Weigh a node alone, with a content, and with many children of it."""
    overlay, loop = setting.overlay, setting.loop
    addresses = [child_address(number) for number in range(1 + CHILDREN)]
    first, *others = borrowing(loop, overlay.addresses["n1"], overlay.contents[:1], addresses, OUTPUT_PORT)
    with node.started(setting) as process, sink(1, OUTPUT_PORT) as receivers:
        loop.run(SETTLE_SECONDS)
        base = footprint(process.pid).resident_mib
        with subscribed(loop, [first]):
            feed(setting, receivers, 1, FILL_SECONDS)
            one = footprint(process.pid).resident_mib
            with subscribed(loop, others):
                feed(setting, receivers, 1 + CHILDREN, SETTLE_SECONDS)
                many = footprint(process.pid).resident_mib
    return {BASE: base, CONTENT: one - base, CHILD: (many - one) * 1024 / CHILDREN}


def feed(setting: Setting, receivers: Receivers, children: int, seconds: float) -> None:
    """Let media come for some time. Raises RuntimeError if they do not."""
    setting.loop.run(seconds - LAST_SECONDS)
    receivers.take()
    setting.loop.run(LAST_SECONDS)
    lost = receivers.take().loss(children, Load(1, children).owed(LAST_SECONDS))
    if lost > MOST_LOST:
        raise RuntimeError(f"{lost:.1%} has not come to {children} children: what they cost is not known")


def churn(node: Node, setting: Setting) -> Figures:
    """Weigh a node whose children come and go, so that contents begin and end all the time."""
    loop, going = setting.loop, list[ReadingChild]()
    stays = [random.uniform(0.0, MOST_STAY_SECONDS) for _ in range(int(CHURN_SECONDS * JOINS_A_SECOND))]
    with node.started(setting) as process:
        for number, stay in enumerate(stays):
            going.append(_guest(setting, number))
            going[-1].join()
            loop.after(stay, going[-1].leave)
            loop.run(1 / JOINS_A_SECOND)
        churned = footprint(process.pid).resident_mib
        for child in going:
            child.leave()
    return {CHURNED: churned, FED: fed_share(going, stays)}


def fed_share(guests: Sequence[ReadingChild], stays: Sequence[float]) -> float:
    """Return the share of the guests who had media, of those who stayed long enough; 0 if nobody did."""
    waited = [guest for guest, stay in zip(guests, stays, strict=True) if stay >= FED_SECONDS]
    return sum(guest.times.media is not None for guest in waited) / max(len(waited), 1)


def _guest(setting: Setting, number: int) -> ReadingChild:
    overlay, chosen = setting.overlay, random.randrange(CHURN_CONTENTS)
    return ReadingChild(
        setting.loop,
        overlay.addresses["n1"],
        overlay.contents[chosen],
        child_address(number),
        start=Start.LIVE,
    )
