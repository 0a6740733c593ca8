"""How a benchmark's rounds become a verdict."""

from bench.relays.verdict import Goal, judge, ratios, spread


def test_a_ratio_is_taken_within_each_round_so_that_a_slow_minute_hits_both() -> None:
    rounds = {"mcast": [2.0, 20.0, 2.2], "limit": [1.0, 10.0, 1.0]}
    assert ratios(rounds, "mcast", "limit") == [2.0, 2.0, 2.2]
    assert judge(Goal(2.0, reference="limit"), rounds).is_met
    assert not judge(Goal(1.9, reference="limit"), rounds).is_met


def test_the_median_decides_and_the_spread_is_shown() -> None:
    verdict = judge(Goal(0.2), {"mcast": [0.1, 0.15, 0.9]})
    assert verdict.is_met
    assert str(verdict) == "met    CPU of mcast at most 0.2: 0.15 (0.1 to 0.9)"
    assert spread([3.0]).most == 3.0


def test_a_goal_whose_figures_are_missing_is_missed() -> None:
    assert str(judge(Goal(1.25, reference="limit"), {"mcast": [1.0]})) == (
        "MISSED CPU of mcast at most 1.25 x limit: not measured"
    )
    assert not judge(Goal(1.25, contender="mcast"), {}).is_met
