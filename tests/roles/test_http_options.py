"""What `--http` may be combined with: one line and status 2 for all else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mcast.client import Subscription
from mcast.errors import ConfigError
from mcast.roles.client import gateway as client_gateway
from mcast.roles.client.main import main

LOCAL = ["--neighbour", "127.0.0.1:9", "--http", "127.0.0.1:0"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            ["--http", "0.0.0.0:8080"],
            "can connect there: name a key with --http-key-file FILE",
        ),
        (["--http", ":8080"], "--http-open"),
        (["--http", "8080"], "'8080' has no port: write HOST:PORT"),
        (["--http", "127.0.0.1:0", "--http-key-file", "missing"], "--http-key-file missing: cannot"),
        (
            ["--http", "127.0.0.1:0", "--http-name", "no such host"],
            "'no such host' is no host name or address",
        ),
        (["--http", "127.0.0.1:0", "--content", "earth"], "--content and --http exclude each other"),
        (["--http", "127.0.0.1:0", "--output", "x.ts"], "--output and --http exclude each other"),
        (["--http", "127.0.0.1:0", "--linger", "-1"], "'-1' is no number of seconds"),
        (["--http", "127.0.0.1:0", "--linger", "x"], "'x' is no number of seconds"),
        (["--linger", "7", "--content", "earth"], "--linger belongs to --http HOST:PORT, which is missing"),
        (["--list", "--http", "127.0.0.1:0"], "--http and --list exclude each other"),
        (["--list", "--content", "earth"], "--content and --list exclude each other"),
        (["--list", "--output", "x.ts"], "--output and --list exclude each other"),
        (["--list", "--linger", "7"], "--linger belongs to --http"),
        (["--cors", "--content", "earth"], "--cors belongs to --http HOST:PORT, which is missing"),
        (["--http-open", "--content", "earth"], "--http-open belongs to --http HOST:PORT"),
        ([], "--content NAME is missing; see what there is with --list"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--neighbour", "127.0.0.1:9", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_two_parents_hold_for_what_is_watched_over_http_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def gateway(
        _settings: object, subscribe: Callable[[str], Subscription], *_: object, **__: object
    ) -> None:
        subscribe("earth")
        raise ConfigError("enough")

    monkeypatch.setattr(client_gateway, "Gateway", gateway)
    monkeypatch.setattr(client_gateway, "Subscription", lambda **options: asked.append(options["parents"]))
    assert main([*LOCAL, "--neighbour", "127.0.0.1:10", "--parents", "2"]) == 2
    assert asked == [2]


def test_a_key_and_open_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "key"
    file.write_text("a-key-of-the-campus\n")
    file.chmod(0o600)
    assert main([*LOCAL, "--http-key-file", str(file), "--http-open"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_list_that_nobody_can_tell_is_status_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--neighbour", "127.0.0.1:9", "--list", "--wait", "0.2"]) == 4
    assert "nobody tells which contents there are" in capsys.readouterr().err
