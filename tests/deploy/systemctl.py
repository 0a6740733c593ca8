"""A `systemctl` for machines without systemd: starts services as their units say, hears what they tell.

    systemctl enable --now|start UNIT...    wait until each is ready       reload UNIT|'PATTERN'...
    systemctl show --property StatusText UNIT...                            daemon-reload

A file of its own, run inside a machine of `machines`. It takes of a unit what makes a service run: the
environment file, the command, user, cache and NOTIFY_SOCKET; not the sandbox. Each service has a keeper, a
process that starts it and writes what it tells into /run/services.
"""

import fnmatch
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path("/etc/systemd/system")
STATE = Path("/run/services")
PATIENCE = 150.0
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


def settings_of(unit: str) -> dict[str, str]:
    """Return the last value of each setting of a template's [Service], drop-ins of its prefix included."""
    template, prefix = re.sub("@.*", "@.service", unit), unit.partition("-")[0]
    files = [UNITS / template, *sorted((UNITS / f"{prefix}-.service.d").glob("*.conf"))]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]\w+=", line))


def command_of(unit: str, settings: dict[str, str], environment: dict[str, str]) -> list[str]:
    """Return the words of ExecStart: `$NAME` is split at spaces, `${NAME}` is not (systemd.service(5))."""
    words: list[str] = []
    for word in shlex.split(settings["ExecStart"].replace("%i", instance_of(unit))):
        if match := re.fullmatch(r"\$(\w+)", word):
            words += environment[match[1]].split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], word))
    return words


def instance_of(unit: str) -> str:
    return unit.partition("@")[2]


def environment_of(unit: str, settings: dict[str, str]) -> dict[str, str]:
    file = Path(settings["EnvironmentFile"].replace("%i", instance_of(unit)))
    lines = file.read_text().splitlines()
    return {"PATH": DEFAULT_PATH, **dict(line.split("=", 1) for line in lines)}


def keep(unit: str) -> None:
    """Run a service to its end, and write down what it tells. In a process of its own."""
    settings = settings_of(unit)
    environment = environment_of(unit, settings)
    user = settings["User"]
    if name := settings.get("CacheDirectory"):
        cache = Path("/var/cache") / name
        subprocess.run(["install", "-d", "-o", user, "-g", user, cache], check=True)
        environment["CACHE_DIRECTORY"] = str(cache)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = STATE / f"{unit}.notify"
    notify.bind(str(address))
    address.chmod(0o666)
    environment["NOTIFY_SOCKET"] = str(address)
    powerless = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs",
                 "--bounding-set=-all"]  # fmt: skip
    with (STATE / f"{unit}.log").open("ab") as log:
        process = subprocess.Popen(
            [*powerless, *command_of(unit, settings, environment)],
            env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    told: dict[str, str] = {"pid": str(process.pid)}
    notify.settimeout(0.1)
    while process.poll() is None:
        write(unit, told)
        try:
            told |= dict(line.split("=", 1) for line in notify.recv(4096).decode().splitlines())
        except TimeoutError:
            continue
    write(unit, {"ended": str(process.returncode)})


def write(unit: str, told: dict[str, str]) -> None:
    file = STATE / f"{unit}.new"
    file.write_text(json.dumps(told))
    file.rename(STATE / f"{unit}.json")


def read(unit: str) -> dict[str, str]:
    file = STATE / f"{unit}.json"
    found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return found


def start(unit: str) -> None:
    if unit == "nftables":
        subprocess.run(["nft", "-f", "/etc/nftables.conf"], check=True)
        return
    STATE.mkdir(exist_ok=True)
    subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, "keep", unit],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE
    while "READY" not in (told := read(unit)):
        if "ended" in told or time.monotonic() > deadline:
            log = (STATE / f"{unit}.log").read_text()
            sys.exit(f"{unit} is not ready: {told}\n{log}")
        time.sleep(0.02)


def reload(pattern: str) -> None:
    for file in STATE.glob("*.json"):
        if fnmatch.fnmatch(file.stem, pattern):
            os.kill(int(read(file.stem)["pid"]), signal.SIGHUP)


def main(*words: str) -> None:
    match words:
        case ["daemon-reload"]:
            pass
        case ["keep", unit]:
            keep(unit)
        case ["enable", "--now", *units] | ["start", *units]:
            for unit in units:
                start(unit)
        case ["reload", *patterns]:
            for pattern in patterns:
                reload(pattern)
        case ["show", "--property", "StatusText", *units]:
            print("\n\n".join(f"StatusText={read(unit).get('STATUS', '')}" for unit in units))
        case _:
            sys.exit(f"systemctl: not among what this stand-in can: {shlex.join(words)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
