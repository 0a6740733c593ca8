"""What a soak must find: nothing missing, nothing grown, nothing said."""

import pytest

from tools.soak.attack import Targets
from tools.soak.main import attack_times
from tools.soak.network import star
from tools.soak.samples import Sample
from tools.soak.verdict import MOST_TOLD, Outcome, Watched, judge, trends

HOUR = 3600.0


def samples(*, resident_at_the_end: float = 30.0, threads_at_the_end: int = 20) -> list[Sample]:
    """Return an hour of samples that grow evenly from 30 MiB and 20 threads."""
    grown, more = resident_at_the_end - 30.0, threads_at_the_end - 20
    return [
        Sample(moment, 30.0 + grown * moment / HOUR, 20 + round(more * moment / HOUR), 50)
        for moment in map(float, range(0, 3601, 5))
    ]


def good() -> Outcome:
    return Outcome(
        HOUR,
        watched=[Watched("steady1", "earth", HOUR + 3, 0, 0, 0.5)],
        trends=trends("n1", samples(), 0.0, HOUR),
        joins=[300.0] * 10,
        attacks={"silence": 60.0, "all": 60.0},
    )


def failed(outcome: Outcome) -> list[str]:
    verdict = judge(outcome, least_joins=10, loss=5.0)
    return [check.what for check in verdict.checks if not check.passed]


def test_a_soak_without_a_fault_passes() -> None:
    assert failed(good()) == []


def test_a_node_that_grows_by_twenty_megabytes_in_an_hour_is_seen() -> None:
    outcome = good()
    outcome.trends = trends("n1", samples(resident_at_the_end=50.0), 0.0, HOUR)
    assert failed(outcome) == ["programs whose resident grew"]


def test_a_node_that_has_grown_before_anybody_looked_is_seen_and_a_server_may() -> None:
    outcome = good()
    outcome.nodes, outcome.history = ("n1",), 1.0
    grown = [Sample(each.moment, 40.9 if each.moment < 3000 else 41.2, 20, 50) for each in samples()]
    outcome.trends = trends("n1", grown, 0.0, HOUR)
    assert failed(outcome) == ["nodes that hold more than 41.0 MiB"]
    outcome.trends = trends("s1", grown, 0.0, HOUR)
    assert failed(outcome) == []


def test_a_thread_left_behind_each_ten_minutes_is_seen_and_two_more_clients_are_no_leak() -> None:
    outcome = good()
    outcome.trends = trends("n1", samples(threads_at_the_end=28), 0.0, HOUR)
    assert failed(outcome) == ["programs whose threads grew"]
    outcome.trends = trends("n1", samples(threads_at_the_end=22), 0.0, HOUR)
    assert failed(outcome) == []


def test_what_grows_while_it_warms_up_does_not_count() -> None:
    warm = [Sample(each.moment, 20.0 if each.moment < 300 else 40.0, 5, 9) for each in samples()]
    assert all(trend.is_flat for trend in trends("n1", warm, 0.0, HOUR))


def test_a_program_that_was_not_sampled_to_the_end_has_no_trend() -> None:
    assert trends("n1", [each for each in samples() if each.moment < 1800], 0.0, HOUR) == []
    assert trends("n1", [], 0.0, HOUR) == []


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (
            Watched("s", "earth", HOUR, 1, 0, 0.5),
            "datagrams missing at 1 steady viewers, 5 % loss on each hop",
        ),
        (Watched("s", "earth", HOUR, 0, 1, 0.5), "breaks in their transport streams"),
        (Watched("s", "earth", HOUR - 9, 0, 0, 0.5), "seconds that each of them got, at least"),
        (
            Watched("s", "earth", HOUR, 0, 0, 0.5, ("other bytes",)),
            "viewers whose bytes are not the server's",
        ),
    ],
)
def test_one_fault_of_one_steady_viewer_fails_the_soak(fault: Watched, what: str) -> None:
    outcome = good()
    outcome.watched = [fault]
    assert failed(outcome) == [what]


def test_nobody_who_watches_no_joins_and_no_attack_are_no_soak() -> None:
    outcome = Outcome(HOUR)
    assert len(failed(outcome)) == 4


def test_a_log_that_tells_of_something_unexpected_fails_it_and_few_lines_are_told() -> None:
    outcome = good()
    outcome.complaints = [f"n1: unexpected {number}" for number in range(9)]
    verdict = judge(outcome, least_joins=10, loss=5.0)
    (row,) = (check for check in verdict.checks if not check.passed)
    assert row.what == "complaints in logs"
    assert row.measured.count("unexpected") == MOST_TOLD
    assert row.measured.endswith("and 6 more")


def test_the_attackers_own_log_tells_how_long_each_attack_ran() -> None:
    log = "phase disc 1.0\nphase all 2.0\nphase pause 3.0\nphase disc 4.0\n"
    assert attack_times(log, 60.0) == {"disc": 120.0, "all": 60.0}


def test_targets_are_read_as_they_were_written() -> None:
    targets = Targets("a:1", "b:2", "c:3", "earth", (20_000, 20_008), 60.0, 4.0, 100.0)
    assert Targets.from_json(targets.to_json()) == targets


def test_each_host_has_an_address_and_loses_what_comes_to_it() -> None:
    network = star(["rp", "n1", "a1"], 5.0, spared=("a1",))
    assert [network.address(name) for name in ("rp", "n1", "a1")] == ["10.66.0.1", "10.66.0.2", "10.66.0.3"]
    assert [(link.forward.loss, link.backward.loss) for link in network.links] == [(0, 5.0), (0, 5.0), (0, 0)]
