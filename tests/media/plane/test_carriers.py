"""Who carries the next content."""

from mcast.media.carriers import Carriers


class Carrier:
    """Carries as many as it is told to."""

    def __init__(self, number: int) -> None:
        self.number, self.load, self.is_stopped = number, 0, False

    def __len__(self) -> int:
        return self.load

    def stop(self) -> None:
        self.is_stopped = True


def picked(carriers: Carriers[Carrier], times: int) -> list[int]:
    """Have so many contents carried, one after another; return by whom."""
    numbers = []
    for _ in range(times):
        carrier = carriers.pick()
        carrier.load += 1
        numbers.append(carrier.number)
    return numbers


def test_each_content_has_a_thread_for_itself_while_they_are_few_and_then_they_are_shared() -> None:
    assert picked(Carriers(Carrier, 3), 7) == [1, 2, 3, 1, 2, 3, 1]
    assert picked(Carriers(Carrier, 1), 3) == [1, 1, 1]


def test_one_that_carries_nothing_any_more_is_taken_before_another_is_made() -> None:
    carriers = Carriers(Carrier, 5)
    first = carriers.pick()
    assert carriers.pick() is first
    first.load = 1
    second = carriers.pick()
    second.load, first.load = 1, 0
    assert carriers.pick() is first


def test_stopping_the_carriers_stops_each_of_them() -> None:
    carriers = Carriers(Carrier, 2)
    both = [carriers.pick()]
    both[0].load = 1
    both.append(carriers.pick())
    carriers.stop()
    assert [carrier.is_stopped for carrier in both] == [True, True]
