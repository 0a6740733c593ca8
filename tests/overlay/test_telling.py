"""What neighbours are told: changes at once, figures now and then."""

from mcast.overlay.actions import Advertise
from mcast.overlay.better_paths import Told
from mcast.overlay.events import Advertised, HopMeasured, TimePassed
from mcast.overlay.telling import FIGURES_SECONDS, Telling
from overlay.cores import fed_node
from overlay.messages import N1, N2, RP


def advert(*path: object, fed: bool = True, delay_ms: int | None = 20) -> dict[str, Advertise]:
    return {"news": Advertise("news", path or (RP, N1), fed, delay_ms)}  # type: ignore[arg-type]


def test_what_a_node_begins_to_stream_and_what_it_streams_no_more_is_told_once() -> None:
    telling = Telling()
    assert telling.news(advert(), 1.0) == [*advert().values()]
    assert telling.news(advert(), 1.1) == []
    assert telling.figures("news") == Told(20, 0)
    assert telling.news({}, 1.2) == [Advertise("news", (), False)]
    assert telling.news({}, 1.3) == []


def test_another_path_and_that_it_is_cut_are_told_at_once() -> None:
    telling = Telling()
    telling.news(advert(), 1.0)
    assert len(telling.news(advert(RP, N2, N1), 1.01)) == 1
    assert len(telling.news(advert(RP, N2, N1, fed=False), 1.02)) == 1


def test_figures_alone_are_held_back_and_the_newest_is_told() -> None:
    telling = Telling()
    telling.news(advert(), 1.0)
    assert telling.news(advert(delay_ms=50), 1.5) == []
    assert telling.news(advert(delay_ms=80), 2.9) == []
    assert telling.news(advert(delay_ms=90), 1.0 + FIGURES_SECONDS) == [*advert(delay_ms=90).values()]


def test_the_first_figures_are_told_at_once() -> None:
    telling = Telling()
    telling.news(advert(delay_ms=None), 1.0)
    assert telling.news(advert(delay_ms=50), 1.1) == [*advert(delay_ms=50).values()]


def test_of_a_crowd_that_comes_the_first_is_told_at_once_and_the_others_now_and_then() -> None:
    telling = Telling()
    telling.news({"news": Advertise("news", (RP,), True)}, 1.0)
    told = [
        news.viewers
        for tick in range(100)
        for news in telling.news({"news": Advertise("news", (RP,), True, viewers=tick)}, 1.0 + tick / 10)
    ]
    assert told == [1, 21, 41, 61, 81]


def test_a_hop_that_changes_all_the_time_is_told_each_two_seconds() -> None:
    core = fed_node()
    core.handle(Advertised("rp", "news", (RP,), fed=True), 0.5)
    told = [
        action
        for tick in range(100)
        for event in (HopMeasured(1, 20 if tick % 2 else 90, 0), TimePassed())
        for action in core.handle(event, 1.0 + tick / 10)
        if isinstance(action, Advertise)
    ]
    assert 2 < len(told) <= 10 / FIGURES_SECONDS + 1
