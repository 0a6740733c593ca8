"""From runs to a verdict."""

from dataclasses import replace

import pytest

from tools.resilience.case import Case, Goals
from tools.resilience.cases import CASES, MESH
from tools.resilience.churn import LINKS, NODES, Survey, Usage, graph, is_whole, thirds
from tools.resilience.findings import judge
from tools.resilience.hops import CASES as HOPS
from tools.resilience.overlay import Plan
from tools.resilience.setting import Setting
from tools.resilience.trial import Outcome, Trial, children_of


def nothing(trial: Trial) -> None:
    """Let nothing fail."""


CASE = Case("case", "a case", Plan(MESH), {"c1": ("n4",)}, nothing, goals=Goals(gap_ms=50, noticed_ms=300))
GOOD = Outcome(packets=1000, missing=0, gaps_ms=[20.0], noticed_ms=150.0, victim="n1")


def test_runs_in_which_nothing_is_missing_pass() -> None:
    row = judge(CASE, [GOOD, GOOD], repeated=0)
    assert row.passed
    assert row.measured == (
        "0 of 2,000 packets missing in 2 runs; gap 20 ms, worst 20; noticed after 150 ms, worst 150; "
        "gap at the witness 0 ms"
    )


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (replace(GOOD, missing=1), "n1: 1 packets missing"),
        (replace(GOOD, noticed_ms=301.0), "n1: noticed after 301 ms"),
        (replace(GOOD, problems=["c1 ended with status 5"]), "n1: c1 ended with status 5"),
    ],
)
def test_one_bad_run_of_many_fails_the_row_and_says_why(bad: Outcome, said: str) -> None:
    row = judge(CASE, [GOOD, bad, GOOD], repeated=0)
    assert not row.passed
    assert row.problems == [said]


def test_gaps_are_judged_by_their_median() -> None:
    long = replace(GOOD, gaps_ms=[400.0])
    assert judge(CASE, [GOOD, GOOD, long], repeated=0).passed
    assert not judge(CASE, [GOOD, long, long], repeated=0).passed


def test_a_row_without_runs_or_packets_or_gaps_does_not_pass() -> None:
    assert not judge(CASE, [], repeated=3).passed
    assert not judge(CASE, [Outcome()], repeated=0).passed
    assert not judge(CASE, [replace(GOOD, gaps_ms=[])], repeated=0).passed


def test_a_second_copy_fails_a_case_that_allows_one() -> None:
    case = replace(CASE, goals=Goals(copies=True))
    assert judge(case, [replace(GOOD, most_copies=1.04)], repeated=0).passed
    row = judge(case, [replace(GOOD, most_copies=1.97, most_copies_at="n4")], repeated=0)
    assert not row.passed
    assert row.problems == ["n1: n4 gets 1.97 copies of the stream"]
    assert not judge(case, [GOOD], repeated=0).passed


def test_a_residual_is_judged_over_all_runs() -> None:
    case = replace(CASE, goals=Goals(residual_percent=0.1))
    assert judge(case, [GOOD, replace(GOOD, missing=2)], repeated=0).passed
    assert not judge(case, [GOOD, replace(GOOD, missing=3)], repeated=0).passed


def test_what_was_repeated_is_told() -> None:
    assert "1 run repeated: the machine slept" in judge(CASE, [GOOD], repeated=1).measured


def test_counts_are_added_up_and_shares_averaged() -> None:
    runs = [replace(GOOD, notes={"nack_sent": 2, "overhead %": value}) for value in (10.0, 20.0)]
    assert judge(CASE, runs, repeated=0).measured.endswith("4 nack sent; overhead 15.0 %")


def test_the_children_of_a_victim_are_found_in_the_clients_paths() -> None:
    paths = {"c1": ["rp", "n1", "n3"], "c2": ["rp", "n1"], "c3": ["rp", "n2", "n1"]}
    assert children_of("n1", paths) == {"n3", "c2", "c3"}
    assert children_of("", paths) == set()


def test_every_case_asks_only_nodes_that_its_plan_has() -> None:
    names = [case.name for case in (*CASES, *HOPS)]
    assert len(set(names)) == len(names)
    for case in (*CASES, *HOPS):
        assert {*case.plan.rendezvous, *case.witnesses} <= set(case.plan.links)
        assert {name for asked in case.viewers.values() for name in asked} <= set(case.plan.links)
        assert {name for links in case.plan.links.values() for name in links} <= set(case.plan.links)


def test_a_row_draws_the_same_whichever_rows_ran_before(tmp_path_factory: pytest.TempPathFactory) -> None:
    setting = Setting(tmp_path_factory.mktemp("row"), seed=5)
    assert setting.random("churn").random() == setting.random("churn").random()
    assert setting.random("churn").random() != setting.random("link-cut").random()


def test_no_single_node_cuts_the_graph_of_the_churn() -> None:
    links = graph(Setting.random(Setting(None, 3), "graph"))  # type: ignore[arg-type]
    pairs = {frozenset((name, other)) for name, others in links.items() for other in others}
    names = [*links]
    assert len(names) == NODES
    assert all(frozenset((names[at], names[at - 1])) in pairs for at in range(NODES))
    assert NODES < len(pairs) <= NODES * LINKS / 2


def test_an_overlay_is_whole_while_all_that_live_reach_the_rendezvous_point() -> None:
    plan = Plan({"rp": ["n1", "n2"], "n1": ["n3"], "n2": ["n3"], "n3": ["n4"], "n4": []})
    assert is_whole(plan, set())
    assert is_whole(plan, {"n1"})
    assert is_whole(plan, {"n1", "n4"})
    assert not is_whole(plan, {"n1", "n2"})
    assert not is_whole(plan, {"n3"})


def test_flat_means_that_the_last_third_is_as_the_second() -> None:
    assert thirds([1, 1, 1, 5, 5, 5, 6, 6, 6]) == (5, 6)
    assert thirds([4]) == (4, 4)
    survey = Survey({"rp": [Usage(20, 40, size) for size in (20, 25, 30, 30, 31, 31)]})
    assert not survey.growing()
    survey.seen["n1"] = [Usage(20, 40, size) for size in (20, 30, 40, 60, 80, 100)]
    assert survey.growing() == ["n1: MiB grew from 50 to 90"]
