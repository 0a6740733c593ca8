"""The picture of a run: a bar a contender, and none where there is nothing to compare with."""

from bench.relays.picture import bars_of, draw


def row(load: str, **costs: list[float]) -> dict[str, object]:
    return {
        "load": load,
        "failed": {},
        "costs": {name: [{"seconds_per_gbit": cost} for cost in rounds] for name, rounds in costs.items()},
    }


def test_each_contender_has_a_bar_beside_the_limit_of_the_same_round() -> None:
    run = {"rows": [row("8 x 16", mcast=[0.2, 0.6], limit=[0.1, 0.2]), row("1 x 100", mcast=[0.2])]}
    (load, bars), *others = bars_of(run).items()
    assert (load, list(bars), others) == ("8 x 16", ["mcast"], [])
    assert (round(bars["mcast"].least, 3), round(bars["mcast"].most, 3)) == (2.0, 3.0)


def test_the_picture_names_loads_and_contenders() -> None:
    run = {"rows": [row("8 x 16", mcast=[0.2], other=[0.3], limit=[0.1])]}
    svg = draw(bars_of(run))
    assert svg.startswith("<svg")
    assert all(text in svg for text in ("8 x 16", "mcast 2.00", "other 3.00", "limit"))
