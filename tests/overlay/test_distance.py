"""How far a rendezvous point is, as the nodes tell each other: nobody counts up when the last way is lost."""

from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.overlay.distance import HOLD_SECONDS, MAX_DISTANCE, STANDBY_DISTANCE, Distance


def test_it_is_one_more_than_that_of_the_nearest_neighbour() -> None:
    distance = Distance()
    assert distance.update([], 0.0) is None
    assert distance.update([3, 1, 5], 0.0) == 2
    assert distance.update([3, 5], 0.0) is None, "their way may be this node"
    assert distance.update([0], 0.1) == 1


def test_who_is_as_near_as_this_node_was_has_a_way_of_his_own() -> None:
    distance = Distance()
    assert distance.update([1, 2], 0.0) == 2
    assert distance.update([2], 0.0) == 3
    assert distance.update([3], 0.0) is None, "what it has told first counts: somebody may rely on it still"


def test_after_a_while_it_believes_whoever_tells_of_a_way() -> None:
    distance = Distance()
    assert distance.update([1], 0.0) == 2
    assert distance.update([4], 1.0) is None
    assert distance.update([4], 1.0 + HOLD_SECONDS - 0.01) is None
    assert distance.update([4], 1.0 + HOLD_SECONDS) == 5


def test_a_way_that_does_not_lead_back_is_taken_at_once() -> None:
    distance = Distance()
    assert distance.update([1], 0.0) == 2
    assert distance.update([5], 1.0, [7]) == 7, "by the path of a stream"
    assert distance.update([5], 1.0, [STANDBY_DISTANCE]) == STANDBY_DISTANCE


def test_who_has_a_way_of_another_kind_comes_to_believe_neighbours_again() -> None:
    distance = Distance()
    assert distance.serve() == 0
    assert distance.update([1], 0.0, [STANDBY_DISTANCE]) == STANDBY_DISTANCE
    assert distance.update([1], HOLD_SECONDS, [STANDBY_DISTANCE]) == 2


def test_a_rendezvous_point_that_serves_no_more_does_not_take_its_own_word_for_a_way() -> None:
    distance = Distance()
    assert distance.serve() == 0
    assert distance.update([1, 1], 0.0) is None
    assert distance.update([0], 0.0) == 1


def test_nor_does_one_that_had_lost_its_way_before_it_served() -> None:
    distance = Distance()
    assert distance.update([1], 0.0) == 2
    assert distance.update([], 1.0) is None
    assert distance.serve() == 0
    assert distance.update([1], 9.0) is None, "the neighbour has just heard of this one"
    assert distance.update([1], 9.0 + HOLD_SECONDS) == 2


def test_there_is_an_end_to_it() -> None:
    distance = Distance()
    assert distance.update([MAX_DISTANCE], 0.0) is None
    assert distance.update([MAX_DISTANCE - 1], 0.0) == MAX_DISTANCE


class Nodes:
    """Nodes on a random graph that tell each other how far the first one, which serves, is."""

    def __init__(self, random: Random, size: int) -> None:
        self.random, self.now = random, 0.0
        self.links: dict[int, set[int]] = {node: set() for node in range(size)}
        for node in range(1, size):
            self.link(node, random.randrange(node))
        for _ in range(size):
            self.link(*random.sample(range(size), 2))
        self.nodes = {node: Distance() for node in self.links}
        self.heard: dict[int, dict[int, int]] = {node: {} for node in self.links}
        self.words = deque[tuple[int, int, int | None]]()
        self.said = 0
        self.tell(0, self.nodes[0].serve())
        self.settle()

    def link(self, one: int, other: int) -> None:
        self.links[one].add(other)
        self.links[other].add(one)

    def tell(self, node: int, distance: int | None) -> None:
        self.said += 1
        self.words += [(node, to, distance) for to in self.links[node]]

    def review(self, node: int) -> None:
        before = self.nodes[node].told
        if node and (after := self.nodes[node].update(self.heard[node].values(), self.now)) != before:
            self.tell(node, after)

    def settle(self) -> None:
        """Deliver all words: of each two nodes in order, else in any."""
        while self.words:
            by, to, distance = self.words[0]
            self.words.popleft()
            if self.words and self.random.random() < 0.3 and all(word[:2] != (by, to) for word in self.words):
                self.words.append((by, to, distance))
                continue
            if to not in self.links.get(by, ()):
                continue
            if distance is None:
                self.heard[to].pop(by, None)
            else:
                self.heard[to][by] = distance
            self.review(to)

    def kill(self, node: int) -> None:
        left = self.links.pop(node)
        for other in left:
            self.links[other].discard(node)
        for other in sorted(left, key=lambda _: self.random.random()):
            self.heard[other].pop(node, None)
            self.review(other)
        self.settle()

    def wait(self) -> None:
        self.now += HOLD_SECONDS
        for node in self.links:
            self.review(node)
        self.settle()

    def right(self) -> dict[int, int | None]:
        """Return how far it really is."""
        far: dict[int, int | None] = dict.fromkeys(self.links, None)
        ring = {0} & set(self.links)
        steps = 0
        while ring:
            far.update(dict.fromkeys(ring, steps))
            ring = {other for node in ring for other in self.links[node] if far[other] is None}
            steps += 1
        return far

    def told(self) -> dict[int, int | None]:
        return {node: self.nodes[node].told for node in self.links}


@given(st.integers(0, 10**6), st.integers(2, 40))
def test_when_the_last_way_is_lost_all_know_it_at_once_and_few_words_are_lost_over_it(
    seed: int, size: int
) -> None:
    nodes = Nodes(Random(seed), size)
    assert nodes.told() == nodes.right()
    nodes.said = 0
    nodes.kill(0)
    assert set(nodes.told().values()) <= {None}
    assert nodes.said < 4 * size, "a few each; counting up takes thirty"
    nodes.wait()
    assert set(nodes.told().values()) <= {None}, "nobody has anything to begin anew with"


@pytest.mark.parametrize("seed", range(40))
def test_whoever_dies_the_others_know_the_right_distance_after_a_while(seed: int) -> None:
    random = Random(seed)
    nodes = Nodes(random, 30)
    for _ in range(10):
        nodes.kill(random.choice([node for node in nodes.links if node]))
        nodes.wait()
        nodes.wait()  # who begins anew may tell of a longer way first
        assert nodes.told() == nodes.right()
