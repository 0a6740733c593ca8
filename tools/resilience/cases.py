"""The cases in which one thing fails once. Each names its overlay, its viewers, its failure and its goals."""

import signal

from mcast.overlay.beyond import MAX_ASKED
from tools.demo.processes import ProgramError, wait_until
from tools.resilience.case import Case, Goals, Outage
from tools.resilience.detours import complaints, paths_of
from tools.resilience.footage import SMALL
from tools.resilience.overlay import BOOTSTRAP, Plan
from tools.resilience.trial import Trial
from tools.resilience.ways import doubled_relays, wait_for_both

MESH = {
    "rp": ["n1", "n2", "n3"], "n1": ["n2", "n4", "n5"], "n2": ["n4", "n5", "n6"], "n3": ["n5", "n6"],
    "n4": ["n5"], "n5": ["n6"], "n6": [],
}  # fmt: skip
"""Each node has several ways to the rendezvous point."""
DIAMOND = {"rp": ["n1", "n2"], "n1": ["n2", "n3"], "n2": ["n3"], "n3": []}
STANDBY = Plan(
    {"rp": ["n1", "n2", "rp2"], "rp2": ["n1", "n2"], "n1": ["n3"], "n2": ["n3"], "n3": []},
    rendezvous=("rp", "rp2"),
)
"""Two rendezvous points, and two ways from each to the leaf."""
LEAVES = {"c1": ("n4",), "c2": ("n5",), "c3": ("n6",)}
HANDOVER_TIMEOUT = 5.0
"""Seconds for a node to end in order: 0.8 until its children are elsewhere, and then as any program."""
BEHIND_A_RELAY = 20
"""Children of the relay that is restarted."""
BEHIND_A_GATE = MAX_ASKED + 2
"""Nodes behind a cut vertex: more than each of them can ask at a time, and all as helpless."""
NODES_BEHIND = tuple(f"n{number}" for number in range(2, 2 + BEHIND_A_GATE))
FAR_MS = 20.0
"""Milliseconds from the rendezvous point to them: who asks the nearest alone asks none that can help."""
REST = 5.0
"""Seconds after which the overlay is as if nothing had been."""
DROP = 0.2
"""Seconds for which a link drops everything."""
WORSE_MS = 60.0
"""By so much more a relay's link delays what it sends: six times what makes another way clearly better."""
MOVED = 30.0
"""Seconds until all go around it. A move takes some 13 (4 until the measured delay has followed, 5 until it
is sure, 4 to compare); and who has only neighbours below the same relay waits until one of them has moved."""


def _kill_relay(trial: Trial) -> None:
    trial.overlay.kill(trial.hit(trial.random.choice(trial.relays())))


def _freeze_relay(trial: Trial) -> None:
    trial.overlay.freeze(trial.hit(_inner(trial)))


def _thaw(trial: Trial) -> None:
    trial.overlay.thaw(trial.outcome.victim)


def _cut_relay(trial: Trial) -> None:
    """Cut a relay off; it is cut when the command that does it has ended, which may take a while."""
    victim = _inner(trial)
    trial.star.cut(victim)
    trial.hit(victim)


def _heal_link(trial: Trial) -> None:
    trial.star.heal(trial.outcome.victim)


def _inner(trial: Trial) -> str:
    """Choose a relay that no client asks: a client with one neighbour is another row."""
    asked = {name for neighbours in trial.case.viewers.values() for name in neighbours}
    return trial.random.choice([name for name in trial.relays() if name not in asked])


def _kill_neighbour(trial: Trial) -> None:
    """Kill the node that feeds a client."""
    client = trial.random.choice(sorted(trial.paths))
    trial.overlay.kill(trial.hit(trial.paths[client][-1]))


def _active_server(trial: Trial) -> str:
    """Return which server the rendezvous point takes the stream from."""
    events = trial.overlay.programs[trial.case.plan.rendezvous[0]].events.read()
    address = [event.text("server") for event in events if event.name == "serves"][-1]
    (name,) = (name for name in trial.case.plan.servers if trial.overlay.ground.of(name) == address)
    return name


def _kill_server(trial: Trial) -> None:
    trial.overlay.kill(trial.hit(_active_server(trial)))


def _hang_server(trial: Trial) -> None:
    trial.overlay.freeze(trial.hit(_active_server(trial)))


def _kill_rendezvous(trial: Trial) -> None:
    trial.overlay.kill(trial.hit(trial.case.plan.rendezvous[0]))


def _freeze_rendezvous(trial: Trial) -> None:
    trial.overlay.freeze(trial.hit(trial.case.plan.rendezvous[0]))


def _restart_victim(trial: Trial) -> None:
    trial.overlay.restart(trial.outcome.victim)


def _end_relay_in_order(trial: Trial) -> None:
    """End the clients' own node by SIGTERM, and start it again: for that it needs the bootstrapper.

    So where that is dead, the node hands its children over without it, and it is back before the node is.
    """
    victim = trial.hit("n1")
    trial.overlay.programs[victim].stop(signal.SIGTERM, HANDOVER_TIMEOUT)
    trial.restore_bootstrapper()
    trial.overlay.restart(victim)


def _move_root_away(trial: Trial) -> None:
    """Let the rendezvous point be farther from those behind the cut vertex than these are from each other."""
    trial.star.impair("rp", delay_ms=FAR_MS, loss=0.0)


def _end_or_hang(trial: Trial) -> None:
    """End a cut vertex by SIGTERM, not to be started again before the run is over, or let it hang."""
    if trial.random.random() < 0.5:
        trial.overlay.programs[trial.hit("n1")].stop(signal.SIGTERM, HANDOVER_TIMEOUT)
    else:
        trial.overlay.freeze(trial.hit("n1"))


def _drop_everything(trial: Trial) -> None:
    """Let all that a relay sends, and all that is sent to it, vanish for a moment."""
    _cut_relay(trial)
    trial.rest(DROP)
    _heal_link(trial)


def _kill_doubled(trial: Trial) -> None:
    """Kill a relay on either of the two ways that lead to a client."""
    trial.overlay.kill(trial.hit(trial.random.choice(sorted(doubled_relays(trial)))))


def _worsen_relay(trial: Trial) -> None:
    """Let a relay's link become slow; in the end nobody is fed by way of it who could do without."""
    parents = {path[-2] for path in trial.paths.values() if len(path) > 1} - {"rp"}
    victim = trial.hit(trial.random.choice(sorted(parents)))
    trial.star.impair(victim, delay_ms=trial.case.delay_ms + WORSE_MS, loss=0.0)
    try:
        wait_until(lambda: not _slow_ways(trial), "all to go around it", MOVED)
    except ProgramError:
        trial.outcome.problems += _slow_ways(trial)


def _slow_ways(trial: Trial) -> list[str]:
    said = trial.overlay.programs[BOOTSTRAP].events.read()
    paths = paths_of(said, trial.overlay.footage.name)
    if set(paths) != set(trial.case.plan.links):
        return [f"only {', '.join(sorted(paths))} stream"]
    return [*complaints(paths, trial.case.plan.links, "rp", trial.outcome.victim)]


def _mend_relay(trial: Trial) -> None:
    trial.star.impair(trial.outcome.victim, delay_ms=trial.case.delay_ms, loss=0.0)


RELAY_KILLED = Case(
    "relay-killed", "kill -9 of any relay on the path", Plan(MESH), LEAVES, _kill_relay,
    goals=Goals(gap_ms=50), runs=20,
)  # fmt: skip
RELAY_FROZEN = Case(
    "relay-frozen", "a relay frozen (SIGSTOP), then thawed", Plan(MESH), LEAVES, _freeze_relay, _thaw,
    Goals(noticed_ms=300, copies=True), mended=REST, in_lab=True,
)  # fmt: skip
LINK_CUT = Case(
    "link-cut", "a relay's link cut both ways without a word, then healed", Plan(MESH), LEAVES, _cut_relay,
    _heal_link, Goals(noticed_ms=300, copies=True), mended=REST, in_lab=True,
)  # fmt: skip
NEIGHBOUR_KILLED = Case(
    "neighbour-killed", "a client's own neighbour killed, one given", Plan(MESH), LEAVES, _kill_neighbour,
)  # fmt: skip
ONE_OF_TWO_KILLED = Case(
    "one-of-two-killed", "a client's own neighbour killed, two given", Plan(MESH),
    {"c1": ("n4", "n2"), "c2": ("n5", "n3"), "c3": ("n6", "n2")}, _kill_neighbour,
)  # fmt: skip
CUT_VERTEX = Case(
    "cut-vertex", "a cut vertex killed, repair = \"anyone\"",
    Plan({"rp": ["n1"], "n1": ["n2", "n3"], "n2": [], "n3": []}, keys={"repair": "anyone"}),
    {"c1": ("n2",), "c2": ("n3",)}, lambda trial: trial.overlay.kill(trial.hit("n1")),
    latency_ms=2000, aftermath=4.0, outage=Outage.NEVER,
)  # fmt: skip
CUT_VERTEX_GONE = Case(
    "cut-vertex-gone", f"a cut vertex ends (SIGTERM) or hangs (SIGSTOP), {BEHIND_A_GATE} nodes behind it",
    Plan({"rp": ["n1"], "n1": list(NODES_BEHIND), **{name: [] for name in NODES_BEHIND}}),
    {f"c{name[1:]}": (name,) for name in NODES_BEHIND}, _end_or_hang, _thaw,
    latency_ms=2000, in_lab=True, runs=6, outage=Outage.NEVER, picture=SMALL, prepare=_move_root_away,
)  # fmt: skip
SERVER_KILLED = Case(
    "server-killed", "the active server killed", Plan(DIAMOND, servers=("s1", "s2")), {"c1": ("n3",)},
    _kill_server,
)  # fmt: skip
SERVER_HUNG = Case(
    "server-hung", "the active server hangs (SIGSTOP), then goes on", Plan(DIAMOND, servers=("s1", "s2")),
    {"c1": ("n3",)}, _hang_server, _thaw, latency_ms=1500, aftermath=4.0, mended=2.0,
)  # fmt: skip
RENDEZVOUS_KILLED = Case(
    "rendezvous-killed", "the first rendezvous point killed; it returns",
    STANDBY, {"c1": ("n3",), "c2": ("n1", "n2")}, _kill_rendezvous, _restart_victim, latency_ms=1000,
    aftermath=4.0, mended=REST, witnesses=("rp2", "rp"),
)  # fmt: skip
RENDEZVOUS_FROZEN = Case(
    "rendezvous-frozen", "the first rendezvous point frozen (SIGSTOP), then thawed",
    STANDBY, {"c1": ("n3",), "c2": ("n1", "n2")}, _freeze_rendezvous, _thaw, latency_ms=1000,
    aftermath=4.0, mended=REST, witnesses=("rp2", "rp"),
)  # fmt: skip
PLANNED_RESTART = Case(
    "planned-restart", f"kill -TERM of a relay with {BEHIND_A_RELAY} children, and its restart",
    Plan({"rp": ["n1", "n2", "n3"], "n1": ["n2", "n3"], "n2": ["n3"], "n3": []}),
    {f"c{number}": ("n1",) for number in range(1, BEHIND_A_RELAY + 1)}, _end_relay_in_order,
    latency_ms=100, aftermath=2.0, picture=SMALL,
)  # fmt: skip
TWO_PARENTS = Case(
    "two-parents", "--parents 2, kill -9 of a relay on either path",
    Plan(MESH, node_options=("--parents", "2")),
    {"c1": ("n4", "n5"), "c2": ("n5", "n6"), "c3": ("n6", "n3")}, _kill_doubled, prepare=wait_for_both,
    latency_ms=100, client_options=("--parents", "2"),
)  # fmt: skip
LINK_DROPS = Case(
    "link-drops", f"a link drops everything for {DROP * 1000:g} ms, both ways", Plan(MESH), LEAVES,
    _drop_everything, in_lab=True, delay_ms=5.0, aftermath=2.0,
)  # fmt: skip
BETTER_WAY = Case(
    "better-way", f"a relay's link becomes {WORSE_MS:g} ms slower, and all go around it", Plan(MESH),
    {**LEAVES, "c4": ("n1",), "c5": ("n2",), "c6": ("n3",)},  # so that each node streams
    _worsen_relay, _mend_relay, in_lab=True, delay_ms=5.0, aftermath=1.0, runs=3, outage=Outage.NEVER,
)  # fmt: skip

CASES = (
    RELAY_KILLED, RELAY_FROZEN, LINK_CUT, NEIGHBOUR_KILLED, ONE_OF_TWO_KILLED, CUT_VERTEX, CUT_VERTEX_GONE,
    SERVER_KILLED, SERVER_HUNG, RENDEZVOUS_KILLED, RENDEZVOUS_FROZEN, PLANNED_RESTART, TWO_PARENTS,
    LINK_DROPS, BETTER_WAY,
)  # fmt: skip
