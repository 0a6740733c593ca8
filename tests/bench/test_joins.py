"""What joins have shown, of viewers who saw something and of those who never did."""

import contextlib

from bench.relays import joins
from bench.relays.children import Loop, ReadingChild, Times
from mcast.hostport import HostPort


def viewer(loop: Loop, keyframe: float | None, picture: float | None) -> ReadingChild:
    times = Times(asked=1.0, keyframe=keyframe, picture=picture)
    return ReadingChild(loop, HostPort("127.0.0.1", 1), "news", "127.0.1.1", times=times)


def test_viewers_who_never_see_a_picture_are_counted_although_no_median_sees_them() -> None:
    with contextlib.closing(Loop()) as loop:
        seen = [viewer(loop, keyframe=1.002, picture=1.003) for _ in range(6)]
        found = joins.figures(
            [*seen, viewer(loop, 1.002, None), *(viewer(loop, None, None) for _ in range(3))]
        )
    assert round(found[joins.KEYFRAME]) == 2
    assert round(found[joins.PICTURE]) == 3
    assert found[joins.WORST] == float("inf")
    assert found[joins.FAILED] == 4.0
