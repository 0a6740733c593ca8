"""The picture of a run: bars beside the limit, and a bar for each goal."""

from bench.relays.picture import compared, draw, goals
from bench.relays.report import RowJson, RunJson, VerdictJson
from tools.experiments.svg import PALE


def verdict(
    figure: str,
    bound: float,
    judged: float | None,
    *,
    met: bool,
    is_least: bool = False,
    of: str = "",
    unknown: str = "",
) -> VerdictJson:
    return VerdictJson(
        goal="as it is said", figure=figure, bound=bound, reference=of, is_least=is_least, by_worst=False,
        judged=judged, rounds=7, turns=4, provisional=False, told="as it is told", met=met, open=unknown,
    )  # fmt: skip


def row(name: str, *verdicts: VerdictJson, **costs: list[float]) -> RowJson:
    return RowJson(
        name=name,
        compared="CPU",
        rounds={contender: [{"CPU": cost} for cost in rounds] for contender, rounds in costs.items()},
        profile={},
        seconds=60.0,
        failed={},
        failed_tries={},
        absent={},
        verdicts=list(verdicts),
    )


def run(*rows: RowJson) -> RunJson:
    return RunJson(machine="here", rows=list(rows))


def test_each_contender_has_a_bar_beside_the_limit_of_the_same_round() -> None:
    found = compared(run(row("8 x 16", mcast=[0.2, 0.6], limit=[0.1, 0.2]), row("1 x 100", mcast=[0.2])))
    (group,) = found
    (bar,) = group.bars
    assert (group.name, bar.name) == ("8 x 16: CPU", "mcast 2.50")
    assert (round(bar.times.least, 3), round(bar.times.most, 3)) == (2.0, 3.0)


def test_a_goal_that_is_met_is_a_bar_that_ends_before_the_line() -> None:
    (group,) = goals(
        run(
            row(
                "8 x 16",
                verdict("CPU", 1.25, 2.5, met=False),
                verdict("Gbit/s", 0.9, 1.8, met=True, is_least=True),
                verdict("not measured", 1.0, None, met=False),
            )
        )
    )
    assert [bar.times.median for bar in group.bars] == [2.0, 0.5]


def test_a_goal_that_is_open_is_neither_met_nor_missed_in_the_picture() -> None:
    (group,) = goals(
        run(row("rate", verdict("Gbit/s", 0.9, 1.0, met=False, is_least=True, unknown="who knows")))
    )
    assert [bar.colour for bar in group.bars] == [PALE]


def test_the_picture_names_rows_contenders_and_goals() -> None:
    one = run(
        row("8 x 16", verdict("CPU", 1.25, 2.0, met=False, of="limit"), mcast=[0.2], other=[0.3], limit=[0.1])
    )
    svg = draw(compared(one), goals(one))
    assert svg.startswith("<svg")
    assert all(text in svg for text in ("8 x 16", "mcast 2.00", "other 3.00", "CPU: 2, goal ≤ 1.25 x limit"))
