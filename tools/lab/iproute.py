"""The system's tools: `ip`, `tc`, `ethtool`, one short-lived process for as many commands as possible."""

import shutil
import subprocess
from collections.abc import Iterable, Sequence

from mcast.errors import ConfigError

TOOL_TIMEOUT = 30.0  # s; each of them answers in milliseconds, or waits for a lock that somebody holds
PACKAGES = {"ip": "iproute2", "tc": "iproute2", "ethtool": "ethtool"}


def need_tool(tool: str, purpose: str) -> None:
    if shutil.which(tool) is None:
        raise ConfigError(
            f"{tool}: not found, the lab needs it {purpose}: install the package {PACKAGES[tool]}"
        )


def ip_batch(lines: Iterable[str], namespace: str | None = None) -> None:
    """Run `ip` once over all lines. Raises ConfigError with the line that failed."""
    commands = list(lines)
    where = ["-n", namespace] if namespace else []
    result = _run(["ip", *where, "-batch", "-"], "\n".join(commands) + "\n")
    if result.returncode != 0:
        raise ConfigError(_first_failure(result.stderr, commands))


def _first_failure(stderr: str, commands: Sequence[str]) -> str:
    """Return in one line what `ip` says in two: what went wrong, and then `Command failed -:12`."""
    reason, _, number = stderr.partition("Command failed -:")
    digits = number.split(maxsplit=1)[:1]
    command = f"ip {commands[int(digits[0]) - 1]}" if digits and digits[0].isdigit() else "ip"
    return f"{command}: {' '.join(reason.split()) or 'failed'}"


def run_in(namespace: str, argv: Sequence[str]) -> None:
    """Run a tool inside a namespace. Raises ConfigError."""
    result = _run(["ip", "netns", "exec", namespace, *argv])
    if result.returncode != 0:
        raise ConfigError(f"{' '.join(argv)}: {' '.join(result.stderr.split()) or 'failed'}")


def has_netem(namespace: str) -> bool:
    """Return whether the kernel can do what CORE does with `tc`."""
    if shutil.which("tc") is None:
        return False
    return _run(["tc", "-n", namespace, "qdisc", "replace", "dev", "lo", "root", "netem"]).returncode == 0


def netem(namespace: str, device: str, arguments: Sequence[str]) -> None:
    """Shape what leaves a device; without arguments, end that."""
    shown = (
        ["replace", "dev", device, "root", "netem", *arguments]
        if arguments
        else ["del", "dev", device, "root"]
    )
    result = _run(["tc", "-n", namespace, "qdisc", *shown])
    if result.returncode != 0 and arguments:  # deleting what is not there is no failure
        raise ConfigError(f"tc qdisc {' '.join(shown)}: {' '.join(result.stderr.split())}")


def segmentation_offload(namespace: str, device: str, *, on: bool) -> None:
    """Let a device pass trains of segments on whole, or cut them into single packets first."""
    word = "on" if on else "off"
    features = ("tso", "gso", "gro", "tx-udp-segmentation")
    run_in(namespace, ["ethtool", "-K", device, *(part for feature in features for part in (feature, word))])


def _run(argv: Sequence[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            input=text,
            capture_output=True,
            text=True,
            timeout=TOOL_TIMEOUT,
            check=False,
            process_group=0,
        )
    except FileNotFoundError:
        raise ConfigError(f"{argv[0]}: not found: install the package {PACKAGES[argv[0]]}") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{' '.join(argv[:4])}: no answer within {TOOL_TIMEOUT:.0f} s") from None
