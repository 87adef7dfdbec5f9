"""SMTP: one message to one recipient over the server that an address names, each refusal in words and judged as passing or final.

smtp://user:password@host:587            STARTTLS when the server offers it; a password is never sent without TLS
smtp+starttls://user:password@host:587   STARTTLS or nothing
smtps://user:password@host:465           TLS from the first byte
"""

from __future__ import annotations

import contextlib
import dataclasses
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

from everfix.core.outbound import Guard
from everfix.errors import Outbound

TIMEOUT_SECONDS = 30.0  # a mail server may take its time to accept: RFC 5321, 4.5.3.2, allows minutes
FAREWELL_SECONDS = 5.0
CLOSES = 421
PORTS = {"smtp": 587, "smtp+starttls": 587, "smtps": 465}


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A mail server as its address says."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: str | None


def server(url: str) -> Server:
    """Return the server that `url` names; raises ValueError saying what is allowed (never repeating the password)."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as problem:
        raise ValueError(f"is no address: {problem}") from problem
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"must look like {' or '.join(f'{scheme}://host' for scheme in PORTS)}")
    user = unquote(parts.username) if parts.username else None
    return Server(parts.scheme, parts.hostname, port or PORTS[parts.scheme], user, unquote(parts.password) if parts.password else None)


def _pinned(kind: type[smtplib.SMTP], address: str) -> type[smtplib.SMTP]:
    """Return the client that connects to `address`, the one that was judged, under the host's name (which TLS checks)."""

    class Pinned(kind):  # type: ignore[misc, valid-type]
        def _get_socket(self, _host: str, port: int, timeout: float) -> Any:  # noqa: ANN401 - as smtplib has it
            plain = socket.create_connection((address, port), timeout)
            if kind is not smtplib.SMTP_SSL:
                return plain
            return self.context.wrap_socket(plain, server_hostname=self._host)

    return Pinned


def send(
    to: Server,
    sender: str,
    recipient: str,
    compose: Callable[[int | None], EmailMessage],
    guard: Guard | None,
    context: ssl.SSLContext,
    accepted: Callable[[str], None],
) -> str:
    """Send one mail and return the server's last word, which `accepted` hears first; raises Outbound.

    `compose` gets the largest size the server takes (None when it does not say) and returns the mail to send. `guard` is None for the
    operator's own server, which may well be private.
    """
    name = f"the mail server {to.host}"
    try:
        with _conversation(to, guard, context) as client:
            limit = client.esmtp_features.get("size", "").strip()
            mail = compose(int(limit) if limit.isdigit() and int(limit) > 0 else None)
            said = _hand_over(client, mail, sender, recipient)
            accepted(said)
            return said
    except smtplib.SMTPRecipientsRefused as problem:
        code, words = next(iter(problem.recipients.values()))
        raise _refused(f"{name} refused {recipient}", code, words) from problem
    except smtplib.SMTPAuthenticationError as problem:
        raise _refused(f"{name} refused the user name or password", problem.smtp_code, problem.smtp_error) from problem
    except smtplib.SMTPResponseException as problem:
        raise _refused(f"{name} refused the message", problem.smtp_code, problem.smtp_error) from problem
    except smtplib.SMTPNotSupportedError as problem:
        raise Outbound(f"{name} cannot take it: {problem}", permanent=True) from problem
    except ssl.SSLCertVerificationError as problem:
        raise Outbound(f"{name} shows a certificate that is not trusted: {problem.verify_message}", permanent=True) from problem
    except TimeoutError as problem:
        raise Outbound(f"{name} did not answer within {TIMEOUT_SECONDS:g} s") from problem
    except (smtplib.SMTPException, OSError) as problem:
        raise Outbound(f"{name} cannot be reached: {problem}") from problem


@contextlib.contextmanager
def _conversation(to: Server, guard: Guard | None, context: ssl.SSLContext) -> Iterator[smtplib.SMTP]:
    """Yield a client that says good-bye at the end; how the server takes that changes nothing: what it has accepted is accepted."""
    client = _connect(to, guard, context)
    try:
        yield client
    finally:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            if client.sock is not None:
                client.sock.settimeout(FAREWELL_SECONDS)
                client.quit()
        client.close()


def _connect(to: Server, guard: Guard | None, context: ssl.SSLContext) -> smtplib.SMTP:
    address = guard.resolve(to.host, to.port)[0] if guard is not None else to.host
    if to.scheme == "smtps":
        client: smtplib.SMTP = _pinned(smtplib.SMTP_SSL, address)(to.host, to.port, timeout=TIMEOUT_SECONDS, context=context)  # type: ignore[call-arg]
    else:
        client = _pinned(smtplib.SMTP, address)(to.host, to.port, timeout=TIMEOUT_SECONDS)
    try:
        client.ehlo()
        secure = to.scheme == "smtps"
        if not secure and client.has_extn("starttls"):
            client.starttls(context=context)
            client.ehlo()
            secure = True
        _insist_on_tls(to, secure)
        if to.user is not None:
            client.login(to.user, to.password or "")
    except BaseException:
        client.close()
        raise
    return client


def _insist_on_tls(to: Server, secure: bool) -> None:
    if not secure and (to.scheme == "smtp+starttls" or to.password):
        raise Outbound(f"the mail server {to.host} offers no TLS, and a password is not sent in the clear", permanent=True)


def _hand_over(client: smtplib.SMTP, mail: EmailMessage, sender: str, recipient: str) -> str:
    """Like `SMTP.send_message`, but keeps the server's answer: its queue id is the receipt."""
    code, words = client.mail(sender, ["body=8bitmime"] if client.has_extn("8bitmime") else [])
    if code != 250:
        client.rset()
        raise smtplib.SMTPSenderRefused(code, words, sender)
    code, words = client.rcpt(recipient)
    if code not in (250, 251):
        client.rset()
        raise smtplib.SMTPRecipientsRefused({recipient: (code, words)})
    code, words = client.data(mail.as_bytes())
    if code != 250:
        raise smtplib.SMTPDataError(code, words)
    return words.decode(errors="replace")[:300]


def _refused(what: str, code: int, words: bytes | str) -> Outbound:
    """4xx passes by itself (a full queue, greylisting); 5xx is final (RFC 5321, 4.2.1). -1 is a connection that broke, 421 a server that closes."""
    said = words.decode(errors="replace") if isinstance(words, bytes) else words
    return Outbound(f"{what}: {code} {' '.join(said.split())[:300]}", permanent=code >= 500, answered=code >= 400 and code != CLOSES)
