"""How a benchmark's rounds become a verdict."""

from bench.relays.verdict import Goal, judge, ratios, spread


def rounds(**costs: list[float]) -> dict[str, list[dict[str, float]]]:
    return {name: [{"CPU": cost} for cost in each] for name, each in costs.items()}


def test_a_ratio_is_taken_within_each_round_so_that_a_slow_minute_hits_both() -> None:
    found = rounds(mcast=[2.0, 20.0, 2.2], limit=[1.0, 10.0, 1.0])
    assert ratios(found, "mcast", "limit", "CPU") == [2.0, 2.0, 2.2]
    assert judge(Goal(2.0, "CPU", reference="limit"), found, {}).is_met
    assert judge(Goal(1.9, "CPU", reference="limit"), found, {}).is_missed


def test_who_took_part_in_the_first_rounds_only_is_compared_in_those() -> None:
    assert ratios(rounds(mcast=[2.0, 3.0, 9.0], multicat=[1.0, 1.0]), "mcast", "multicat", "CPU") == [2, 3]


def test_the_median_decides_and_the_spread_is_shown() -> None:
    verdict = judge(Goal(0.2, "CPU"), rounds(mcast=[0.1, 0.15, 0.9]), {})
    assert verdict.is_met
    assert str(verdict) == "met    CPU of mcast at most 0.2: 0.15 (0.1 to 0.9), by 3 rounds only"
    assert spread([3.0]).most == 3.0


def test_a_worst_case_is_judged_by_the_worst_of_all_rounds() -> None:
    goal = Goal(30.0, "CPU", by_worst=True)
    six = [3.0] * 6
    assert judge(goal, rounds(mcast=[*six, 30.0]), {}).is_met
    missed = judge(goal, rounds(mcast=[*six, 31.0]), {})
    assert str(missed) == "MISSED CPU of mcast at most 30 in every round: 3 (3 to 31)"
    most = Goal(0.9, "CPU", is_least=True, by_worst=True)
    assert judge(most, rounds(mcast=[0.9, 5.0]), {}).is_met
    assert judge(most, rounds(mcast=[0.8, 5.0]), {}).is_missed


def test_a_verdict_by_fewer_than_seven_rounds_says_so() -> None:
    goal = Goal(0.2, "CPU")
    assert str(judge(goal, rounds(mcast=[0.1] * 7), {})).endswith("0.1 (0.1 to 0.1)")
    assert str(judge(goal, rounds(mcast=[0.1] * 6), {})).endswith("by 6 rounds only")
    assert str(judge(goal, rounds(mcast=[0.1]), {})).endswith("by 1 round only")


def test_a_goal_may_ask_for_at_least_so_much() -> None:
    goal = Goal(0.9, "CPU", reference="limit", is_least=True)
    assert judge(goal, rounds(mcast=[9.5], limit=[10.0]), {}).is_met
    assert str(judge(goal, rounds(mcast=[8.0], limit=[10.0]), {})) == (
        "MISSED CPU of mcast at least 0.9 x limit: 0.8 (0.8 to 0.8), by 1 round only"
    )


def test_a_goal_whose_figures_are_missing_is_missed() -> None:
    verdict = judge(Goal(1.25, "CPU", reference="limit"), rounds(mcast=[1.0]), {})
    assert str(verdict) == "MISSED CPU of mcast at most 1.25 x limit: not measured"
    assert judge(Goal(1.25, "CPU"), {}, {}).is_missed


def test_a_goal_beside_a_program_that_is_not_installed_stays_open_and_says_how_to_get_it() -> None:
    verdict = judge(
        Goal(1.0, "CPU", reference="nginx"), rounds(mcast=[1.0]), {"nginx": "apt-get install nginx"}
    )
    assert (verdict.is_met, verdict.is_missed) == (False, False)
    assert str(verdict) == "open   CPU of mcast at most 1 x nginx: apt-get install nginx"
