"""How a benchmark's rounds become a verdict."""

import math

from bench.relays.verdict import Goal, Rounds, Verdict, judge, ratios, spread


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
    assert str(verdict) == "met    CPU of mcast at most 0.2: 0.15 (0.1 to 0.9), provisional: 3 turns"
    assert spread([3.0]).most == 3.0


def test_a_worst_case_is_judged_by_the_worst_of_all_rounds() -> None:
    goal = Goal(30.0, "CPU", by_worst=True)
    six = [3.0] * 6
    assert judge(goal, rounds(mcast=[*six, 30.0]), {}).is_met
    missed = judge(goal, rounds(mcast=[*six, 31.0]), {})
    assert str(missed) == "MISSED CPU of mcast at most 30 in every round: 3 (3 to 31), 7 turns"
    most = Goal(0.9, "CPU", is_least=True, by_worst=True)
    assert judge(most, rounds(mcast=[0.9, 5.0]), {}).is_met
    assert judge(most, rounds(mcast=[0.8, 5.0]), {}).is_missed


def test_a_verdict_says_how_many_windows_of_how_many_turns_it_is_by() -> None:
    goal, seven = Goal(0.2, "CPU"), rounds(mcast=[0.1] * 7)
    assert judge(goal, seven, {}).told == "0.1 (0.1 to 0.1), 7 turns"
    assert judge(goal, seven, {}, {"mcast": 4}).told == "0.1 (0.1 to 0.1), 7 windows of 4 turns"


def test_a_verdict_by_few_windows_or_few_turns_is_provisional_and_says_so() -> None:
    goal, seven, six = Goal(0.2, "CPU"), rounds(mcast=[0.1] * 7), rounds(mcast=[0.1] * 6)
    quick = judge(goal, seven, {}, {"mcast": 2})
    assert (quick.is_met, quick.is_provisional) == (True, True)
    assert quick.told.endswith("provisional: 7 windows of 2 turns")
    assert judge(goal, six, {}, {"mcast": 4}).told.endswith("provisional: 6 windows of 4 turns")
    assert judge(goal, rounds(mcast=[0.1]), {}).told.endswith("provisional: 1 turn")
    assert judge(goal, rounds(mcast=[0.1]), {}, is_once=True).told.endswith("0.1), 1 turn")


def test_a_ratio_has_no_more_turns_than_either_of_both() -> None:
    found = rounds(mcast=[1.0] * 7, limit=[1.0] * 3)
    goal = Goal(1.25, "CPU", reference="limit")
    assert judge(goal, found, {}, {"mcast": 4, "limit": 2}).told.endswith("provisional: 3 windows of 2 turns")


def test_a_goal_may_ask_for_at_least_so_much() -> None:
    goal = Goal(0.9, "CPU", reference="limit", is_least=True)
    assert judge(goal, rounds(mcast=[9.5], limit=[10.0]), {}).is_met
    assert str(judge(goal, rounds(mcast=[8.0], limit=[10.0]), {})) == (
        "MISSED CPU of mcast at least 0.9 x limit: 0.8 (0.8 to 0.8), provisional: 1 turn"
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


def test_windows_without_the_figure_are_not_passed_over() -> None:
    delivered = [{"loss": 0.0}] * 5
    verdict = judge(Goal(0.001, "loss", by_worst=True), {"mcast": [*delivered, {}, {}]}, {})
    assert str(verdict).startswith("MISSED")
    assert verdict.told == "not measured in 2 of 7 windows"


def test_a_reference_that_delivers_nothing_is_no_measure() -> None:
    broken = rounds(mcast=[3.0, 3.0, 3.0], limit=[1.0, math.inf, math.inf])
    assert ratios(broken, "mcast", "limit", "CPU") == [3.0]
    assert judge(Goal(1.25, "CPU", reference="limit"), broken, {}).is_missed
    never = judge(Goal(1.25, "CPU", reference="limit"), rounds(mcast=[9.0], limit=[math.inf]), {})
    assert (never.is_missed, never.told) == (True, "limit was no measure in any round")
    assert judge(Goal(1.25, "CPU", reference="limit"), rounds(mcast=[math.inf], limit=[1.0]), {}).is_missed


def test_rounds_stay_together_where_one_of_both_has_no_figure() -> None:
    found: Rounds = {"mcast": [{"CPU": 1.0}, {"CPU": 20.0}], "limit": [{}, {"CPU": 10.0}]}
    assert ratios(found, "mcast", "limit", "CPU") == [2.0]


# What could be fed was no limit


def fed(
    *, own: tuple[float, bool] = (11.0, False), limit: tuple[float, bool] = (11.0, False), of: int = 7
) -> Verdict:
    """Judge rounds, in `of` of which the figures are only lower bounds where it says so."""
    found: Rounds = {
        name: [{"rate": rate, "capped": float(capped and number < of)} for number in range(7)]
        for name, (rate, capped) in {"mcast": own, "limit": limit}.items()
    }
    return judge(Goal(0.9, "rate", reference="limit", is_least=True, capped_by="capped"), found, {})


def test_where_both_take_all_that_can_be_fed_the_goal_stays_open_and_says_what_is_known() -> None:
    verdict = fed(own=(11.0, True), limit=(11.0, True))
    assert (verdict.is_met, verdict.is_missed) == (False, False)
    assert str(verdict) == (
        "open   rate of mcast at least 0.9 x limit: 1 (1 to 1), but limit could do more than can be fed here "
        "in 7 of 7 rounds, mcast in 7: it is not worse than what can be fed"
    )


def test_a_reference_that_could_do_more_leaves_it_open() -> None:
    assert "mcast in 0:" in fed(limit=(11.0, True)).open_because


def test_who_brings_less_has_missed_it_whatever_the_feed_was_as_the_reference_was_fed_more() -> None:
    assert fed(own=(9.0, False), limit=(11.0, True)).is_missed
    assert fed(own=(9.0, True), limit=(11.0, True)).is_missed
    assert fed(own=(9.0, True)).is_missed


def test_who_reaches_the_real_limit_of_the_reference_has_met_it() -> None:
    assert fed(own=(11.0, True)).is_met
    assert fed().is_met


def test_a_few_rounds_at_the_feeds_limit_do_not_move_the_median() -> None:
    assert fed(own=(11.0, True), limit=(11.0, True), of=3).is_met
    assert fed(own=(11.0, True), limit=(11.0, True), of=4).open_because != ""
