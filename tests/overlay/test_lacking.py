"""What one viewer lacks and another does not, when both lose one parent: it comes by the new way, too."""

from itertools import pairwise

import pytest

from overlay.simulation import Network

LACK = 0.12
"""Seconds for which nothing comes to one of two viewers: less than it takes to suspect a parent."""


def around(hops: int, seed: int) -> Network:
    """Return an overlay with a relay, and a way around it by so many nodes that stream nothing."""
    way = ["n2", *(f"m{number}" for number in range(1, hops)), "rp"]
    return Network([("rp", "n1"), *pairwise(way)], media=True, seed=seed)


@pytest.mark.parametrize(("hops", "seed"), [(2, 4), (2, 7), (3, 1), (3, 3), (3, 4), (3, 5), (3, 8)])
def test_who_lacks_more_than_its_sibling_gets_it_by_any_number_of_hops_that_are_begun_anew(
    hops: int, seed: int
) -> None:
    net = around(hops, seed)
    viewers = [net.client("n1", "n2") for _ in range(2)]
    net.run(4)
    assert [str(viewer.path[-2]) for viewer in viewers] == ["n1", "n1"]
    net.world.link(viewers[1].node.name, "n1").media_loss = 1.0
    net.run(LACK)
    net.kill("n1")
    net.run(4)
    assert [viewer.lost() for viewer in viewers] == [0, 0]
