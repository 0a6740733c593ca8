import base64
import logging
from pathlib import Path

import pytest

from mcast.config.key_file import LEAST_KEY, MAX_KEY_FILE, NO_KEYS, KeyRing, read_key_file
from mcast.errors import ConfigError

KEY, OTHER = bytes(range(100, 132)), bytes(range(200, 232))


def keys_of(tmp_path: Path, text: str | bytes, mode: int = 0o600) -> tuple[bytes, ...]:
    file = tmp_path / "keys"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return read_key_file(file).keys


def problem_of(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        keys_of(tmp_path, text)
    return str(caught.value).removeprefix(f"--key-file {tmp_path / 'keys'}: ")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (KEY.hex(), KEY),
        (KEY.hex().upper(), KEY),
        (base64.b64encode(KEY).decode(), KEY),
        ("correct horse battery staple, and more", b"correct horse battery staple, and more"),
        ("a2bz" * 8, b"a2bz" * 8),  # as base64 it would be too short
    ],
)
def test_a_key_is_hex_or_base64_or_a_line_as_it_is(tmp_path: Path, line: str, key: bytes) -> None:
    assert keys_of(tmp_path, f"# ours\n\n  {line}  \r\n") == (key,)


def test_two_lines_are_two_keys_and_a_repeated_one_is_one(tmp_path: Path) -> None:
    assert keys_of(tmp_path, f"{KEY.hex()}\n{OTHER.hex()}\n") == (KEY, OTHER)
    assert keys_of(tmp_path, f"{KEY.hex()}\n{KEY.hex()}\n") == (KEY,)


def test_a_key_that_is_no_text_is_taken_as_it_is(tmp_path: Path) -> None:
    assert keys_of(tmp_path, b"\xff" * 40 + b"\n") == (b"\xff" * 40,)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no key in it"),
        ("# nothing\n", "no key in it"),
        ("00" * 31, f"line 1: a key of 31 bytes, at least {LEAST_KEY}"),
        ("0" * 65, "line 1: a key of 0 bytes"),
        ("# short\nsecret", "line 2: a key of 6 bytes"),
        ("\n".join(["00" * 32, "01" * 32, "02" * 32]), "3 keys, at most 2"),
        ("0" * (MAX_KEY_FILE + 1), "more than"),
    ],
)
def test_a_file_that_is_none_says_how_to_mend_it_and_shows_no_key(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert problem_of(tmp_path, text).startswith(problem)
    assert "secret" not in problem_of(tmp_path, text)


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--key-file .*/none: cannot be read: No such file"):
        read_key_file(tmp_path / "none")


def test_a_file_that_everybody_can_read_is_warned_of_and_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert keys_of(tmp_path, KEY.hex(), 0o600) == (KEY,)
    assert caplog.records == []
    assert keys_of(tmp_path, KEY.hex(), 0o644) == (KEY,)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "can be read by everybody" in record.message


def test_without_a_file_there_are_no_keys_and_keys_are_never_shown() -> None:
    assert read_key_file(None) == NO_KEYS
    assert (bool(NO_KEYS), bool(KeyRing((KEY,)))) == (False, True)
    assert repr(KeyRing((KEY,))) == "KeyRing()"


def test_a_file_that_is_read_again_gives_its_keys_of_now_or_keeps_those_it_had(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY.hex())
    ring = read_key_file(file)
    file.write_text(f"{KEY.hex()}\n{OTHER.hex()}")
    ring.read_again()
    assert ring.keys == (KEY, OTHER)
    file.write_text("short")
    with pytest.raises(ConfigError, match="a key of 5 bytes"):
        ring.read_again()
    assert ring.keys == (KEY, OTHER)
    NO_KEYS.read_again()
    assert not NO_KEYS
