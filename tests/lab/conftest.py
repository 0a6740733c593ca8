"""Fixtures for tests that need real network namespaces, and for those that measure links."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab.xml_files import pair_xml
from tools.lab import rundir
from tools.lab.lab import Lab
from tools.lab.options import LinkOptions
from tools.lab.scenario import parse_scenario
from tools.lab.topology import Scenario

REQUIRED = "MCAST_REQUIRE_NETNS"  # set where a skipped test would hide a broken machine


def _why_no_namespaces() -> str | None:
    if os.geteuid() != 0:
        return "not root"
    try:
        result = subprocess.run(
            ["unshare", "--net", "ip", "link"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        return f"{error.filename} is missing"
    return result.stderr.strip() or "unshare fails" if result.returncode else None


def _has_netem() -> bool:
    command = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem"]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0


NO_NAMESPACES = _why_no_namespaces()
CARRIERS = ["tap", "netem"] if NO_NAMESPACES is None and _has_netem() else ["tap"]


@pytest.fixture(autouse=True)
def _namespaces_are_permitted(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("netns") and NO_NAMESPACES:
        reason = f"network namespaces are not permitted here: {NO_NAMESPACES}"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{reason} ({REQUIRED}=1)")
        pytest.skip(reason)


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
    """Fail if a namespace outlives the lab that made it. Labs of other programs are left alone."""
    yield
    assert rundir.dead_labs() == []


@pytest.fixture
def pair() -> Scenario:
    scenario = parse_scenario(pair_xml(), "pair", "pair.xml")
    assert scenario.links[0].forward == LinkOptions()
    return scenario
