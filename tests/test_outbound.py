"""The way out: private addresses are refused whatever they are called, calls end in time, and each failure says whether to try again."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import Any

import pytest

from everfix.core import outbound
from everfix.core.outbound import Guard
from everfix.errors import ConfigurationError, Outbound
from everfix.settings import Settings
from tests import conftest, sinks

OPEN = outbound.guard(Settings(outbound_allow=("127.0.0.1",)))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
    ],
)
def test_private_addresses_are_refused(address: str) -> None:
    assert not Guard().allows("x.example", address)
    with pytest.raises(Outbound) as caught:
        outbound.call(Guard(), "GET", f"https://[{address}]/" if ":" in address else f"https://{address}/")
    assert caught.value.permanent
    assert "private address" in caught.value.message


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert Guard().allows("x.example", address)


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    with pytest.raises(Outbound, match=r"10\.0\.0\.1"):
        Guard().resolve("rebind.example", 443)


def test_the_address_that_was_judged_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers otherwise the second time (DNS rebinding) is not asked a second time."""
    with sinks.http() as sink:
        port = int(sink.url.rpartition(":")[2])
        real, asked = socket.getaddrinfo, []

        def resolve(host: str, *args: Any, **more: Any) -> Any:
            if host == "127.0.0.1":
                return real(host, *args, **more)
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1" if len(asked) == 1 else "127.0.0.2", port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        answer = outbound.call(OPEN, "POST", f"http://hooks.example:{port}/x?y=1", content=b"hello")
        assert (answer.status_code, asked) == (200, ["hooks.example"])
        assert (sink.got[0].path, sink.got[0].body, sink.got[0].headers["host"]) == ("/x?y=1", b"hello", f"hooks.example:{port}")


def test_what_the_operator_names_is_allowed() -> None:
    found = outbound.guard(Settings(outbound_allow="mail.corp, 10.0.5.0/24,fd00::/8"))
    assert found.allows("mail.corp", "192.168.0.9")
    assert found.allows("x", "10.0.5.7")
    assert found.allows("x", "fd12::1")
    assert not found.allows("x", "10.0.6.7")
    assert found.names("10.0.5.7")
    assert found.names("MAIL.corp")
    assert not found.names("other.corp")
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.0/99"):
        outbound.guard(Settings(outbound_allow=("10.0.0.0/99",)))


def test_failures_say_whether_to_try_again() -> None:
    with sinks.http() as sink:
        for status, permanent in (
            (429, False),
            (408, False),
            (500, False),
            (503, False),
            (400, True),
            (403, True),
            (404, True),
            (410, True),
        ):
            sink.answers = [sinks.Answer(status, b"told\n you", {"Retry-After": "7"})]
            with pytest.raises(Outbound, match=f"answered {status}: told you") as caught:
                outbound.judge(outbound.call(OPEN, "GET", sink.url), "the hook")
            assert (caught.value.permanent, caught.value.retry_after) == (permanent, None if permanent else 7.0)
        sink.answers = [sinks.Answer(302, headers={"Location": "http://169.254.169.254/"})]
        with pytest.raises(Outbound, match="redirects") as caught:
            outbound.judge(outbound.call(OPEN, "GET", sink.url), "the hook")
        assert caught.value.permanent
        assert len(sink.got) == 9


def test_slow_dead_unknown_and_endless_servers() -> None:
    with sinks.http() as sink:
        sink.answers = [sinks.Answer(wait=2)]
        with pytest.raises(Outbound, match="did not answer within") as caught:
            outbound.call(OPEN, "GET", sink.url, timeout=0.2)
        assert not caught.value.permanent
        sink.answers = [sinks.Answer(body=b"x" * 5_000)]
        with pytest.raises(Outbound, match="more than 1,000 bytes"):
            outbound.call(OPEN, "GET", sink.url, limit=1_000)
        dead = sink.url
    with pytest.raises(Outbound, match="cannot be reached") as caught:
        outbound.call(OPEN, "GET", dead)
    assert not caught.value.permanent
    with pytest.raises(Outbound, match="cannot be resolved"):
        outbound.call(OPEN, "GET", "https://does-not-exist.invalid/")
    for wrong in ("gopher://x.example/", "https://" + "a" * 300 + ".example/"):
        with pytest.raises(Outbound) as caught:
            outbound.call(OPEN, "GET", wrong)
        assert caught.value.permanent


def test_retry_after_is_read_as_seconds_or_date(time: conftest.Clock) -> None:
    time.at = datetime(2026, 3, 16, 10, 0, tzinfo=UTC)
    assert outbound.retry_after("Mon, 16 Mar 2026 10:02:00 GMT") == 120
    assert outbound.retry_after("30") == 30
    assert outbound.retry_after("-5") == 0
    assert outbound.retry_after("1e99") == outbound.LONGEST_RETRY_AFTER
    for nonsense in (None, "soon", "nan", "2026-13-77"):
        assert outbound.retry_after(nonsense) is None
