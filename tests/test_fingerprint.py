from __future__ import annotations

import dataclasses
import json
import re
import string
import time
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from everfix.failures import differences, fingerprint, normalise
from everfix.failures.fingerprint import Failure, Features
from tests import test_stacktraces

TRACES = [v for k, v in vars(test_stacktraces).items() if k.isupper() and isinstance(v, str)]
names = st.text(string.ascii_lowercase, min_size=3, max_size=10)
KINDS = (
    st.integers(10, 10**12).map(str),
    st.uuids().map(str),
    st.ip_addresses(v=4).map(str),
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2099, 1, 1)).map(lambda t: t.replace(microsecond=0).isoformat()),  # noqa: DTZ001 - hypothesis wants it naive
    st.integers(2**28, 2**60).map(hex),
)
pairs = st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(kind, kind))


def key(stacktrace: str = "", *, message: str = "", scope: str = "shop", title: str = "", error_type: str = "") -> str:
    return fingerprint.of(Failure(scope=scope, title=title, message=message, stacktrace=stacktrace, error_type=error_type)).key


def python(frames: list[str], kind: str, message: str, first_line: int = 10) -> str:
    rows = [f'  File "/srv/app/{name}.py", line {first_line + n * 7}, in {name}\n    {name}()' for n, name in enumerate(frames)]
    return "Traceback (most recent call last):\n" + "\n".join(rows) + f"\n{kind}: {message}\n"


def java(frames: list[str], kind: str, message: str, line: int = 10) -> str:
    return f"com.shop.{kind}: {message}\n" + "".join(
        f"\tat com.shop.{f.capitalize()}.{f}({f.capitalize()}.java:{line + n})\n" for n, f in enumerate(frames)
    )


@settings(deadline=None)
@given(st.sampled_from(TRACES), st.integers(1, 5000))
def test_shifted_lines_keep_the_key(trace: str, shift: int) -> None:
    moved = re.sub(r"(?<=\w:)\d+|(?<=line )\d+|(?<=\.php[(:])\d+", lambda m: str(int(m.group(0)) + shift), trace)
    assert moved != trace
    assert key(moved) == key(trace)


@settings(deadline=None)
@given(st.lists(names, min_size=2, max_size=5, unique=True), pairs)
def test_another_id_in_the_message_keeps_the_key(frames: list[str], pair: tuple[str, str]) -> None:
    one, other = pair
    assert key(python(frames, "KeyError", f"order {one} is gone")) == key(python(frames, "KeyError", f"order {other} is gone"))
    assert key(message=f"order {one} is gone for good") == key(message=f"order {other} is gone for good")


@settings(deadline=None)
@given(st.lists(names, min_size=2, max_size=5, unique=True), st.integers(0, 99), st.integers(0, 99))
def test_another_index_of_a_lambda_keeps_the_key(frames: list[str], one: int, other: int) -> None:
    trace = java(frames, "Broken", "no") + "\tat com.shop.Cart.lambda$sum$%d(Cart.java:3)\n\tat com.shop.Cart$%d.run(Cart.java:4)\n"
    assert key(trace % (one, one + 1)) == key(trace % (other, other + 1))


@settings(deadline=None)
@given(st.lists(names, min_size=3, max_size=6, unique=True), names)
def test_wrapping_an_error_keeps_the_key(frames: list[str], wrapper: str) -> None:
    plain = java(frames, "Broken", "no stock")
    inner = java(frames[:-1], "Broken", "no stock").split("\n", 1)
    wrapped = java(frames[-2:], wrapper.capitalize() + "Exception", "failed") + "Caused by: " + "\n".join(inner) + "\t... 1 more\n"
    assert key(wrapped) == key(plain)


@settings(deadline=None)
@given(st.lists(names, min_size=3, max_size=6, unique=True))
def test_raising_from_keeps_the_key(frames: list[str]) -> None:
    plain = python(frames, "IndexError", "list index out of range")
    first = python(frames[1:], "IndexError", "list index out of range")
    second = python(frames[:2], "shop.OutOfStock", "item 12", first_line=40)
    wrapped = f"{first}\nThe above exception was the direct cause of the following exception:\n\n{second}"
    assert key(wrapped) == key(plain)


def test_recursion_of_any_depth_keeps_the_key() -> None:
    deep = ["walk"] * 3, ["walk"] * 30
    assert key(python(["main", *deep[0], "leaf"], "RecursionError", "x")) == key(python(["main", *deep[1], "leaf"], "RecursionError", "x"))


@settings(deadline=None)
@given(st.lists(names, min_size=2, max_size=5, unique=True), names)
def test_another_function_or_error_makes_another_key(frames: list[str], other: str) -> None:
    if other not in frames:
        assert key(java(frames, "Broken", "no")) != key(java([other, *frames[1:]], "Broken", "no"))
    assert key(java(frames, "Broken", "no")) != key(java(frames, "Timeout", "no"))


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=200))
def test_scopes_never_share_a_key(one: str, other: str, text: str) -> None:
    assert (key(message=text, scope=one) == key(message=text, scope=other)) == (one == other)


@example(Failure(scope="", title=" "))
@example(Failure(scope="", title="\x08"))
@example(Failure(scope="", title="\x08", message="\x08", kind="check"))
@settings(deadline=None)
@given(
    st.builds(
        Failure,
        scope=st.text(),
        title=st.text(),
        message=st.text(),
        stacktrace=st.text(),
        error_type=st.text(),
        service=st.text(),
        occurred_at=st.none() | st.datetimes(),
    )
)
def test_garbage_gets_a_key_and_a_reason(failure: Failure) -> None:
    found = fingerprint.of(failure)
    assert found == fingerprint.of(failure)
    assert re.fullmatch(r"[0-9a-f]{32}", found.key)
    assert found.why["rule"]
    assert found.signature
    json.dumps(found.why)
    assert Features.from_json(json.loads(json.dumps(found.features.to_json()))) == found.features


def test_surrogates_and_nul_bytes_are_taken() -> None:
    assert key(message="broken \ud800 text \x00 here") == key(message="broken ? text \x00 here")


def test_unknown_versions_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="version: '1999' is unknown; allowed: 2026-11-22"):
        fingerprint.of(Failure("a", "b"), version="1999")


@pytest.mark.parametrize(
    ("failure", "rule", "signature"),
    [
        (Failure("s", "", stacktrace=python(["view", "total"], "KeyError", "'id'")), "in-app frames", "KeyError in total"),
        (
            Failure("s", "", stacktrace="java.io.IOException: disk full\n\tat java.io.File.open(File.java:3)\n"),
            "library frames and message",
            "IOException: disk full",
        ),
        (Failure("s", "CPU of host-17 above 90 %", kind="alert"), "name", "CPU of host-<num> above <num>"),
        (Failure("s", "", message="disk /dev/sda1 is full"), "message", "disk <path> is full"),
        (Failure("s", "Nightly check", message="row count 12 < 20"), "name and message", "Nightly check"),
        (Failure("s", "", error_type="TimeoutError"), "error type only", "TimeoutError"),
        (Failure("s", ""), "nothing to go by", "empty failure"),
    ],
)
def test_each_rule_says_what_decided(failure: Failure, rule: str, signature: str) -> None:
    found = fingerprint.of(failure)
    assert (found.why["rule"], found.signature) == (rule, signature)


def test_a_failed_check_is_known_by_its_own_frame() -> None:
    head = "junit.AssertionError: expected:<1> but was:<2>\n\tat org.junit.Assert.fail(Assert.java:1)\n"
    trace = f"{head}\tat shop.CartTest.adds(CartTest.java:9)\n\tat shop.Runner.run(Runner.java:2)\n"
    assert fingerprint.of(Failure("s", "", stacktrace=trace)).why["rule"] == "test frames"


@pytest.mark.parametrize(
    ("raw", "masked"),
    [
        ("at 10.2.3.4:5432 took 12.5ms", "at <ip> took <num>"),
        ("user 'bob7' of \"orders\" said 'a b'", "user <value> of \"orders\" said 'a b'"),
        ("GET https://a.b/c?d=1 by x.y@z.org", "GET <url> by <email>"),
        ("C:\\Users\\x\\app.log and /var/log/app.log and /tmp/9f2", "<path>/app.log and <path>/app.log and <path>"),
        ("2024-01-02T03:04:05.123Z Sun Jul 10 07:24:34 2005", "<time> <time>"),
        ("commit 9f8e7d6c5b4a, 0xDEADBEEF", "commit <hex>, <hex>"),
        ("id 5f0c6a3e-1111-2222-3333-444455556666", "id <uuid>"),
        ("db-3.prod.example.com refused", "<host> refused"),
        ("\x1b[31mred\x1b[0m text", "red text"),
    ],
)
def test_masks(raw: str, masked: str) -> None:
    assert normalise.mask(raw) == masked


@settings(deadline=None)
@given(st.text(max_size=300))
def test_masking_takes_any_text(text: str) -> None:
    once = normalise.mask(text)
    assert len(once) <= 8 * len(text) + 8
    assert isinstance(normalise.headline(text), str)
    normalise.words(text)
    normalise.numbers(text)
    differences.of(text)


@pytest.mark.parametrize(
    "piece", ["a-", "a.", "/a", "at ", "#0 ", '"', "expected: ", "0x", "1:", "<num> ", "Mon ", "ab:cd:", "((((", "\n", "::", "a@b."]
)
def test_endless_repeats_take_no_endless_time(piece: str) -> None:
    text = piece * (30_000 // len(piece))
    begin = time.process_time()
    fingerprint.of(Failure("s", text, message=text, stacktrace=text, error_type=text, service=text))
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    ("message", "differs"),
    [
        ("expected:<function (): [undefined]> but was:<function (): [?]>", ("-undefined", "+?")),
        ("Expected: var a$$0=1\nResult: var a$$1=1", ("~higher", "~+1")),
        ("assert 3 == 4", ("~lower", "~-1")),
        ("Expected values to be strictly equal:\n+ actual - expected\n\n+ 'New'\n- 'Reused'", ("-Reused", "+New")),
        ("got 5, want 9", ("~lower",)),
        ("expected:<2012-01-02> but was:<2011-02-03>", ("~numbers",)),
        ("all is well", ()),
    ],
)
def test_differences_between_expected_and_actual(message: str, differs: tuple[str, ...]) -> None:
    assert differences.of(message) == differs


def test_a_trace_that_begins_the_message_is_read_as_one() -> None:
    inside = python(["view", "total"], "KeyError", "'id'")
    assert fingerprint.of(Failure("s", "", message=inside)).why["frames"] == ["total", "view"]
    assert fingerprint.of(Failure("s", "", message=f"report of today\n{inside}")).why["rule"] == "message"


def test_a_failure_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Failure("a", "b").title = "c"  # type: ignore[misc]
    assert fingerprint.of(Failure("a", "b", occurred_at=datetime(2024, 1, 1, tzinfo=UTC))).features.at == 1704067200.0
