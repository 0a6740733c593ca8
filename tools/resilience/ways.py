"""Who is fed by whom, where each has two parents: what fails is on one of the two ways, once there are two.

Every client has to have two parents, and no relay above it may be on all its ways. That a node's two paths
share a relay is no harm where one of its parents is fed around it, too: paths name first parents alone.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from tools.demo.processes import wait_until
from tools.resilience.overlay import BOOTSTRAP
from tools.resilience.trial import Trial

SECOND_TIMEOUT = 60.0
"""Seconds until all have two parents: a try begins after a second, one that fails is repeated after half a
minute at most, and then it takes a search."""


def wait_for_both(trial: Trial) -> None:
    """Wait until each client, and each node above one, has two parents. Raises ProgramError."""
    wait_until(lambda: doubled_relays(trial), "a second parent of all that can have one", SECOND_TIMEOUT)


def doubled_relays(trial: Trial) -> set[str]:
    """Return the relays on the ways of all clients; none while one of these is somebody's only way."""
    return relays_above(trial.case.viewers, trial.case.plan.rendezvous, partial(_parents_of, trial))


def relays_above(
    viewers: Collection[str], roots: Collection[str], parents_of: Callable[[str], Sequence[str]]
) -> set[str]:
    """Return all relays between viewers and roots.

    None while a viewer has a single parent, or while any single relay's death would leave one without a way.
    """
    parents = {viewer: parents_of(viewer) for viewer in viewers}
    if any(len(each) < 2 for each in parents.values()):
        return set()
    relays = {name: parents_of(name) for name in _above(viewers, parents_of, roots) - {*roots}}
    ways = {**relays, **parents}
    for relay in relays:
        without = {name: [each for each in above if each != relay] for name, above in ways.items()}
        if any(_above([viewer], without.__getitem__, roots).isdisjoint(roots) for viewer in viewers):
            return set()
    return {*relays}


def _above(
    names: Collection[str], parents_of: Callable[[str], Sequence[str]], roots: Collection[str]
) -> set[str]:
    """Return everybody by whom these are fed, up to the roots."""
    found, left = set[str](), [*names]
    while left:
        name = left.pop()
        new = [] if name in roots else [each for each in parents_of(name) if each not in found]
        found.update(new)
        left += new
    return found


def _parents_of(trial: Trial, name: str) -> list[str]:
    """Return the one parent or the two that feed a node or client.

    The second one becomes the first if its path is shorter; then the former first one is the second.
    """
    second = _second_parents(trial, name)[-1:]
    firsts = [trial.paths[name][-1]] if name in trial.paths else _first_parents(trial, name)
    # A bootstrapper that was started again tells the present first one alone; the former one is still there.
    known = [first for first in firsts if first not in second] or (
        [] if name in trial.paths else [one for one in _feeding(trial, name) if one not in second]
    )
    return [*second, *known[-1:]]


def _feeding(trial: Trial, name: str) -> list[str]:
    """Return the nodes that have taken a node in, by their own word, and have not lost it since."""
    return [parent for parent in trial.case.plan.links if _last_word(trial, parent, name) == "attached"]


def _last_word(trial: Trial, parent: str, name: str) -> str:
    """Return the last that a node has said of a child: whether it came or has left."""
    told = (event for _, event in trial.overlay.said_since(parent, 0.0))
    words = [
        event.name for event in told
        if event.name in ("attached", "child_left") and event.holds({"child": name})
    ]  # fmt: skip
    return words[-1] if words else ""


def _first_parents(trial: Trial, name: str) -> list[str]:
    """Return the primary parents that a node has had, the present one last."""
    told = [event for _, event in trial.overlay.said_since(BOOTSTRAP, _begun(trial, name))]
    streams = [event for event in told if event.name == "node_streams" and event.text("node") == name]
    return [path[-2] for event in streams if len(path := event.names("path")) > 1]


def _second_parents(trial: Trial, name: str) -> list[str]:
    """Return the second parents that a node or client has taken."""
    told = [event for _, event in trial.overlay.said_since(name, _begun(trial, name))]
    return [_name_of(trial, event.text("parent")) for event in told if event.name == "second_parent"]


def _begun(trial: Trial, name: str) -> float:
    """Return since when a node streams without a pause, or a client: it may have begun for an earlier run."""
    if name in trial.case.viewers:
        return trial.joining
    pauses = [at for at, event in trial.overlay.said_since(name, 0.0) if event.name == "pruned"]
    return max(pauses, default=0.0)


def _name_of(trial: Trial, parent: str) -> str:
    """Return who a parent is: nodes call theirs by name, clients by address."""
    addresses: Mapping[str, str] = {trial.overlay.ground.of(node): node for node in trial.case.plan.links}
    return addresses.get(parent, parent)
