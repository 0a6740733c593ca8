"""Answers: parts of bodies, errors for people and for programs, headers that cannot be broken out of."""

from dataclasses import replace
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.web.request import Request, RequestError
from mcast.web.response import Response, error_answer, json_answer, ranged

BODY = bytes(range(100))
SEGMENT = Response(BODY, "video/mp2t", has_ranges=True)


def wanting(span: str, method: str = "GET", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, ("segment",), headers={"range": span, **named})


@pytest.mark.parametrize(
    ("span", "begin", "end"),
    [("bytes=0-9", 0, 10), ("bytes=90-", 90, 100), ("bytes=-10", 90, 100), ("bytes=50-999", 50, 100),
     ("Bytes = 0 - 0", 0, 1), ("bytes=-1000", 0, 100)],
)  # fmt: skip
def test_a_part_is_given_with_its_place(span: str, begin: int, end: int) -> None:
    part = ranged(wanting(span), SEGMENT)
    assert (part.status, part.body) == (HTTPStatus.PARTIAL_CONTENT, BODY[begin:end])
    assert part.headers["Content-Range"] == f"bytes {begin}-{end - 1}/100"


@pytest.mark.parametrize(
    "span",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "items=0-9", "bytes=9-0", "bytes=0-1,5-6", "bytes=²-"],
)
def test_what_is_no_range_is_answered_with_the_whole(span: str) -> None:
    whole = ranged(wanting(span), SEGMENT)
    assert (whole.status, whole.body) == (HTTPStatus.OK, BODY)
    assert whole.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("span", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_a_part_behind_the_end_is_an_error_that_says_where_the_end_is(span: str) -> None:
    answer = ranged(wanting(span), replace(SEGMENT, is_public=True))
    assert answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    assert (answer.headers["Content-Range"], answer.is_public) == ("bytes */100", True)
    assert answer.body == b"there are only 100 bytes\n"


@pytest.mark.parametrize("span", ["bytes=0-9", "bytes=100-"])
def test_a_part_is_for_get_alone_and_for_who_has_the_rest_of_the_same(span: str) -> None:
    marked = SEGMENT.having(ETag='"7"')
    assert ranged(wanting(span, "HEAD"), marked).status == HTTPStatus.OK
    for other in ('"6"', 'W/"7"', "Thu, 01 Jan 2026 00:00:00 GMT", ""):
        assert ranged(wanting(span, if_range=other), marked).body == BODY
        assert ranged(wanting(span, if_range=other), SEGMENT).body == BODY
    assert ranged(wanting(span, if_range='"7"'), marked).status != HTTPStatus.OK


def test_a_body_without_ranges_stays_whole() -> None:
    assert ranged(wanting("bytes=0-9"), Response(BODY)).body == BODY


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_range_gives_bytes_of_the_body_or_an_error(first: str, last: str) -> None:
    answer = ranged(wanting(f"bytes={first}-{last}"), SEGMENT)
    assert isinstance(answer.body, bytes)
    assert answer.body
    assert answer.body in BODY or answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


def test_an_error_is_a_page_for_a_browser_and_a_line_for_a_player() -> None:
    error = RequestError(HTTPStatus.NOT_FOUND, "no content '<script>alert(1)</script>'", retry_after=5)
    page = error_answer(Request("GET", ("x",), headers={"accept": "text/html"}), error)
    line = error_answer(Request("GET", ("x",), headers={"accept": "*/*"}), error)
    assert isinstance(page.body, bytes)
    assert b"<script>" not in page.body
    assert b"&lt;script&gt;" in page.body
    assert line.body == b"no content '<script>alert(1)</script>'\n"
    assert page.headers["Retry-After"] == line.headers["Retry-After"] == "5"


def test_no_header_can_be_broken_out_of() -> None:
    with pytest.raises(ValueError, match="line break"):
        Response(headers={"Location": "/\r\nSet-Cookie: x=1"})


def test_json_answers_are_never_stored() -> None:
    answer = json_answer({"name": "ü"})
    assert answer.body == '{"name":"ü"}'.encode()
    assert answer.headers["Cache-Control"] == "no-store"
