"""Scenarios for the experiments' tests, and what a machine must be able to do for some of them."""

import os

import pytest

from tools.lab.scenario import load_scenario
from tools.lab.topology import Scenario
from topology.netns import why_not

REQUIRED = "MCAST_REQUIRE_NETNS"


@pytest.fixture(autouse=True)
def _namespaces_are_permitted(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("netns") and (reason := why_not()):
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason} ({REQUIRED} is set)")
        pytest.skip(reason)


@pytest.fixture(scope="session")
def big() -> Scenario:
    return load_scenario("big_chungus")


@pytest.fixture(scope="session")
def simple() -> Scenario:
    return load_scenario("simple_1")
