"""What a node holds: alone, for a content, for a child, and when many have come and gone."""

import random

from bench.relays.children import Child
from bench.relays.contenders import OUTPUT_PORT, child_address
from bench.relays.machine import footprint
from bench.relays.nodes import Node
from bench.relays.receivers import sink
from bench.relays.setting import MBITS, Setting
from bench.relays.subscriptions import borrowing, subscribed
from bench.relays.verdict import Figures
from mcast.media.history import MAX_SECONDS
from mcast.wire.node import Start

BASE, CONTENT, CHILD, CHURNED = "base, MiB", "a content, MiB", "a child, KiB", "after churn, MiB"
HISTORY_MIB = MAX_SECONDS * MBITS * 1e6 / 8 * (1328 / 1316) / 2**20
"""What a history holds of one content, headers included."""
CHURN_CONTENTS = 4
CHILDREN = 200
SETTLE_SECONDS, FILL_SECONDS = 3.0, MAX_SECONDS + 2.0
CHURN_SECONDS, JOINS_A_SECOND, MOST_STAY_SECONDS = 60.0, 4, 6.0


def weigh(node: Node, setting: Setting) -> Figures:
    """Weigh a node alone, with a content, and with many children of it."""
    overlay, loop = setting.overlay, setting.loop
    addresses = [child_address(number) for number in range(1 + CHILDREN)]
    first, *others = borrowing(loop, overlay.addresses["n1"], overlay.contents[:1], addresses, OUTPUT_PORT)
    with node.started(setting) as process, sink(1, OUTPUT_PORT):
        loop.run(SETTLE_SECONDS)
        base = footprint(process.pid).resident_mib
        with subscribed(loop, [first]):
            loop.run(FILL_SECONDS)
            one = footprint(process.pid).resident_mib
            with subscribed(loop, others):
                loop.run(SETTLE_SECONDS)
                many = footprint(process.pid).resident_mib
    return {BASE: base, CONTENT: one - base, CHILD: (many - one) * 1024 / CHILDREN}


def churn(node: Node, setting: Setting) -> Figures:
    """Weigh a node whose children come and go, so that contents begin and end all the time."""
    loop, going = setting.loop, list[Child]()
    with node.started(setting) as process, sink(CHURN_CONTENTS, OUTPUT_PORT):
        for number in range(int(CHURN_SECONDS * JOINS_A_SECOND)):
            going.append(_guest(setting, number))
            going[-1].join()
            loop.after(random.uniform(0.0, MOST_STAY_SECONDS), going[-1].leave)
            loop.run(1 / JOINS_A_SECOND)
        churned = footprint(process.pid).resident_mib
        for child in going:
            child.leave()
    return {CHURNED: churned}


def _guest(setting: Setting, number: int) -> Child:
    overlay, chosen = setting.overlay, random.randrange(CHURN_CONTENTS)
    return Child(
        setting.loop, overlay.addresses["n1"], overlay.contents[chosen], child_address(number),
        OUTPUT_PORT + chosen, Start.LIVE,
    )  # fmt: skip
