"""Scenarios for the experiments' tests."""

import pytest

from tools.lab.scenario import load_scenario
from tools.lab.topology import Scenario


@pytest.fixture(scope="session")
def big() -> Scenario:
    return load_scenario("big_chungus")


@pytest.fixture(scope="session")
def simple() -> Scenario:
    return load_scenario("simple_1")
