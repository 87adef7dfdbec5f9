"""The one way out: HTTP calls that never reach a private address, never hang, and say whether trying again may help.

A name is resolved here, every address it has is judged, and the call goes to the address that was judged: between the look-up and
the call nobody can put another address in its place (DNS rebinding). TLS still checks the certificate against the name.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from everfix.core import clock
from everfix.errors import ConfigurationError, Outbound
from everfix.settings import Settings

TIMEOUT_SECONDS = 10.0
ANSWER_BYTES = 1_000_000
TRY_AGAIN = frozenset({408, 425, 429})  # and every 5xx: what may pass by itself
LONGEST_RETRY_AFTER = 86_400.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_EMBEDDING = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))  # NAT64: the last 32 bits are an IPv4 address


@dataclasses.dataclass(frozen=True, slots=True)
class Guard:
    """Who may be called: everybody in public, and of the private ones only those named."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of `host` that may be called; raises Outbound when it has none, or when one of them is private."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as problem:
            raise Outbound(f"the name {host} cannot be resolved: {problem}", permanent=isinstance(problem, UnicodeError)) from problem
        addresses = list(dict.fromkeys(str(row[4][0]).partition("%")[0] for row in found))
        for address in addresses:
            if not self.allows(host, address):
                raise Outbound(
                    f"{host} leads to the private address {address}; EVERFIX_OUTBOUND_ALLOW can name it when that is meant", permanent=True
                )
        return addresses

    def allows(self, host: str, address: str) -> bool:
        """Tell whether `address`, found under the name `host`, may be called."""
        parsed = ipaddress.ip_address(address)
        inner = _inner(parsed)
        if host.lower() in self.hosts or any(inner in network for network in self.networks if network.version == inner.version):
            return True
        return inner.is_global and not inner.is_multicast

    def names(self, host: str) -> bool:
        """Tell whether the operator has named `host` itself, by name or by its literal address."""
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return host.lower() in self.hosts
        return host.lower() in self.hosts or any(address in network for network in self.networks if network.version == address.version)


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one carries inside, else itself: `::ffff:127.0.0.1` is this machine, too."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    teredo = address.teredo
    inside = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
    if inside is None and any(address in network for network in _EMBEDDING):
        inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inside or address


def guard(settings: Settings) -> Guard:
    """Return the guard of this installation; raises ConfigurationError for a network that cannot be read."""
    hosts, networks = set(), []
    for entry in settings.outbound_allow:
        try:
            networks.append(ipaddress.ip_network(entry, strict=False))
        except ValueError as problem:
            if "/" in entry or not entry.strip("."):
                raise ConfigurationError(f"EVERFIX_OUTBOUND_ALLOW names {entry!r}, which is no host, address or network") from problem
            hosts.add(entry.lower())
    return Guard(frozenset(hosts), tuple(networks))


class Pinned(httpx.BaseTransport):
    """Sends each request to an address that the guard has judged, under the name that was asked for."""

    def __init__(self, guard: Guard, verify: ssl.SSLContext | bool = True) -> None:
        self._guard, self._inner = guard, httpx.HTTPTransport(verify=verify, trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Try the addresses of the host in turn; the last failure is raised."""
        host = request.url.host
        addresses = self._guard.resolve(host, request.url.port or (443 if request.url.scheme == "https" else 80))
        for place, address in enumerate(addresses):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # Host is among them: the name, not the address
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return self._inner.handle_request(pinned)
            except httpx.ConnectError:
                if place == len(addresses) - 1:
                    raise
        raise Outbound(f"the name {host} has no address")

    def close(self) -> None:
        self._inner.close()


def call(
    guard: Guard,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    content: bytes | None = None,
    timeout: float = TIMEOUT_SECONDS,
    limit: int = ANSWER_BYTES,
    verify: ssl.SSLContext | bool = True,
    taken: Callable[[int], bool] | None = None,
) -> httpx.Response:
    """Call another server once, within `timeout` seconds in all, without following redirects; whatever it answers is returned.

    `taken` is called with a 2xx status at once, before the body is read; where it says that the status is the whole receipt, the body is not
    read at all.

    Raises Outbound when there is no answer, or one of more than `limit` bytes.
    """
    host = _host(url)
    until = time.monotonic() + timeout
    try:
        with (
            httpx.Client(transport=Pinned(guard, verify), timeout=timeout, trust_env=False) as client,
            client.stream(method, url, headers={"accept-encoding": "identity", **dict(headers)}, content=content) as answer,
        ):
            if taken is not None and answer.is_success and taken(answer.status_code):
                return httpx.Response(answer.status_code, request=answer.request)
            body = _bounded(answer, until, limit, host)
    except httpx.TimeoutException as problem:
        raise Outbound(f"{host} did not answer within {timeout:g} s") from problem
    except httpx.HTTPError as problem:
        raise Outbound(f"{host} cannot be reached: {_cause(problem)}", permanent=_certificate(problem)) from problem
    kept = [(name, value) for name, value in answer.headers.items() if name not in ("content-encoding", "transfer-encoding")]
    return httpx.Response(answer.status_code, headers=kept, content=body, request=answer.request)


def _host(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as problem:
        raise Outbound(f"the address cannot be called: {problem}", permanent=True) from problem
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Outbound(f"the address cannot be called: {parsed.scheme or 'no'} scheme", permanent=True)
    return parsed.host


def _bounded(answer: httpx.Response, until: float, limit: int, host: str) -> bytes:
    pieces, size = [], 0
    for piece in answer.iter_raw():  # as sent: a small packed answer must not unpack into a large one
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise Outbound(f"{host} answered with more than {limit:,} bytes", permanent=True)
        if time.monotonic() > until:
            raise httpx.ReadTimeout("too slow")
    return b"".join(pieces)


def _certificate(problem: BaseException) -> bool:
    """Tell whether a certificate was refused: that does not pass by itself within minutes."""
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _cause(problem: httpx.HTTPError) -> str:
    return str(problem) or type(problem).__name__


def judge(answer: httpx.Response, name: str) -> httpx.Response:
    """Return a 2xx answer; raises Outbound for any other, in words, saying whether and when to try again."""
    if answer.is_success:
        return answer
    if answer.is_redirect:
        raise Outbound(f"{name} redirects elsewhere ({answer.status_code}), which is not followed", permanent=True)
    again = answer.status_code in TRY_AGAIN or answer.status_code >= 500
    said = " ".join(answer.text[:300].split())
    raise Outbound(
        f"{name} answered {answer.status_code}{f': {said}' if said else ''}",
        permanent=not again,
        retry_after=retry_after(answer.headers.get("retry-after")) if again else None,
    )


def retry_after(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3); None when it says nothing sound."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - _now()).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if seconds == seconds else None  # noqa: PLR0124 - NaN


def _now() -> datetime:
    return clock.now()
