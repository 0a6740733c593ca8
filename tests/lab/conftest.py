"""Fixtures for tests that need real network namespaces, and for those that measure links."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from helpers import wait_until
from lab.xml_files import pair_xml
from machine import has_netem
from tools.lab import rundir
from tools.lab.lab import Lab
from tools.lab.options import LinkOptions
from tools.lab.scenario import parse_scenario
from tools.lab.topology import Scenario

CARRIERS = ["tap", "netem"] if has_netem() else ["tap"]


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> str:
    """Each kind of shaped link that this kernel can have."""
    return str(request.param)


@pytest.fixture
def start_lab() -> Iterator[Callable[..., Lab]]:
    """Start labs that end with the test, however it ends."""
    with ExitStack() as stack:

        def start(scenario: Scenario | str | Path, **options: Any) -> Lab:
            return stack.enter_context(Lab(scenario, **options))

        yield start


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """Fail if a namespace outlives the lab that made it.

    Tests side by side have labs, too, and kill some: those are gone in a moment, and are waited for.
    """
    yield
    wait_until(lambda: not rundir.dead_labs(), "what dead labs have left to be gone")


@pytest.fixture
def pair() -> Scenario:
    scenario = parse_scenario(pair_xml(), "pair", "pair.xml")
    assert scenario.links[0].forward == LinkOptions()
    return scenario
