"""Who may ask: the Host header, the key, the cookie; and what a service refuses to begin with."""

import base64
from dataclasses import replace
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

import pytest

from mcast.config.key_file import KeyRing
from mcast.errors import ConfigError
from mcast.hostport import HostPort, parse_address
from mcast.web.access import Access, is_loopback
from mcast.web.request import Request, RequestError

KEY, OLD, OTHER = "a-key-of-the-campus", "the-key-until-today", "a-key-that-is-wrong"
LOCAL = HostPort("127.0.0.1", 8080)
EVERYWHERE = HostPort("0.0.0.0", 8080)


def asked(**headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", ("",), headers={"host": "localhost:8080", **named})


def status_of(access: Access, request: Request) -> int:
    try:
        access.check(request)
    except RequestError as error:
        return error.status
    return HTTPStatus.OK


def basic(password: str, user: str = "any") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(f"# of the campus\n{KEY}\n\n{OLD}\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def access(key_file: Path) -> Access:
    return Access.at(EVERYWHERE, key_file=key_file)


# Names


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "10.1.2.3", "tv.campus.example",
             "x.localhost", "localhost."],
)  # fmt: skip
def test_an_address_localhost_and_a_name_that_was_given_are_known(host: str) -> None:
    access = Access.at(LOCAL, names=["TV.campus.example"])
    assert status_of(access, asked(host=host)) == HTTPStatus.OK


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", ":8080"])
def test_a_page_that_has_its_own_name_lead_here_is_refused(host: str) -> None:
    assert status_of(Access.at(LOCAL), asked(host=host)) == HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize("host", ["", "a b", "[::1", "x:y:z", "<script>", "localhost,localhost"])
def test_a_host_that_is_none_is_a_bad_request(host: str) -> None:
    assert status_of(Access.at(LOCAL), asked(host=host)) == HTTPStatus.BAD_REQUEST


def test_a_player_that_speaks_http_1_0_names_no_host() -> None:
    assert Access.at(LOCAL).check(Request("GET", ("earth.ts",))) is None


# Keys


@pytest.mark.parametrize("key", [KEY, OLD])
def test_each_of_two_keys_lets_in_as_password_and_as_token(access: Access, key: str) -> None:
    assert status_of(access, asked(authorization=basic(key))) == HTTPStatus.OK
    assert status_of(access, asked(authorization=f"Bearer {key}")) == HTTPStatus.OK


@pytest.mark.parametrize(
    "shown", ["", "Basic", "Basic !!!", "Bearer", f"Digest {KEY}", basic(OTHER), basic(""), f"Bearer {OTHER}",
              f"Bearer {KEY}x", basic("x", user=KEY), "Bearer \xff"],
)  # fmt: skip
def test_a_wrong_or_malformed_key_is_answered_with_401(access: Access, shown: str) -> None:
    assert status_of(access, asked(authorization=shown)) == HTTPStatus.UNAUTHORIZED


def test_who_has_shown_the_key_gets_a_cookie_that_lets_in_and_does_not_tell_it(access: Access) -> None:
    cookie = access.check(asked(authorization=basic(KEY)))
    assert cookie is not None
    assert KEY not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie  # a link from elsewhere leads to the page, not to the question for a key
    value = cookie.partition(";")[0]
    assert access.check(asked(cookie=f"theme=dark; {value}")) is None


@pytest.mark.parametrize(("peer", "is_secret"), [("127.0.0.1", True), ("10.1.2.3", False)])
def test_the_cookie_of_who_comes_by_https_is_sent_by_https_alone(
    access: Access, peer: str, is_secret: bool
) -> None:
    shown = asked(authorization=basic(KEY), x_forwarded_proto="https")
    cookie = access.check(replace(shown, peer=ip_address(peer)))  # a proxy of this machine is believed
    assert cookie is not None
    assert cookie.endswith("; Secure") is is_secret


@pytest.mark.parametrize(
    ("shown", "password"),
    [(basic(KEY), KEY), (basic(OLD), OLD), (basic(OTHER), ""), (f"Bearer {KEY}", ""), ("", ""),
     ("Basic !!!", "")],
)  # fmt: skip
def test_only_what_was_shown_as_a_password_may_stand_in_urls(
    access: Access, shown: str, password: str
) -> None:
    assert access.password(asked(authorization=shown)) == password
    assert Access.at(LOCAL).password(asked(authorization=shown)) == ""


def test_a_cookie_of_another_key_or_none_lets_nobody_in(access: Access, tmp_path: Path) -> None:
    file = tmp_path / "others"
    file.write_text(OTHER)
    foreign = Access.at(EVERYWHERE, key_file=file).check(asked(authorization=basic(OTHER)))
    assert foreign is not None
    for cookie in (foreign.partition(";")[0], "mcast-8080=", "mcast-8080=é", "\x00", "="):
        assert status_of(access, asked(cookie=cookie)) == HTTPStatus.UNAUTHORIZED


def test_with_a_key_that_is_taken_away_its_cookie_ends(access: Access, key_file: Path) -> None:
    cookie = access.check(asked(authorization=basic(OLD)))
    assert cookie is not None
    old = asked(cookie=cookie.partition(";")[0])
    assert status_of(access, old) == HTTPStatus.OK
    key_file.write_text(KEY)
    access.keys.read_again()
    assert status_of(access, old) == status_of(access, asked(authorization=basic(OLD))) == 401
    assert status_of(access, asked(authorization=basic(KEY))) == HTTPStatus.OK


# What is refused at the start


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("", False), ("10.0.0.1", False), ("tv.example", False), ("::", False)],
)  # fmt: skip
def test_only_loopback_is_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("address", ["0.0.0.0:80", ":80", "[::]:80", "10.0.0.1:80", "tv.example:80"])
def test_an_address_for_others_needs_a_key_or_the_word_that_it_is_open(address: str, key_file: Path) -> None:
    with pytest.raises(ConfigError, match="--http-key-file FILE"):
        Access.at(parse_address(address))
    assert not Access.at(parse_address(address), is_open=True).keys
    assert Access.at(parse_address(address), key_file=key_file).keys


def test_a_key_and_open_exclude_each_other(key_file: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        Access.at(LOCAL, key_file=key_file, is_open=True)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("short\n", "line 1: a key of 5 characters"), ("a key with some spaces in\n", "ASCII without spaces"),
     ("# nothing\n", "no key in it"), (f"{KEY}\n{OLD}\n{OTHER}\n", "3 keys, at most 2")],
)  # fmt: skip
def test_a_file_that_holds_no_good_key_is_refused_with_its_line(
    text: str, complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ConfigError, match=complaint) as raised:
        Access.at(LOCAL, key_file=file)
    assert str(raised.value).startswith(f"--http-key-file {file}: ")


def test_keys_are_in_no_log() -> None:
    assert KEY not in repr(Access(keys=KeyRing((KEY.encode(),))))
