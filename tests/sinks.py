"""The other side of a delivery, real: an HTTP server and a mail server on this machine that keep what they get and answer as told."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP


@dataclasses.dataclass(frozen=True)
class Got:
    """A request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclasses.dataclass
class Answer:
    """What to answer: after `wait` seconds, a status, headers and a body."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    wait: float = 0.0


class Sink:
    """An HTTP server; `answers` are given in turn and the last one for ever, or `answer` decides by request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.got: list[Got] = []
        self.answers: list[Answer] = [Answer()]
        self.answer: Callable[[Got], Answer] | None = None

    def next(self, got: Got) -> Answer:
        self.got.append(got)
        if self.answer is not None:
            return self.answer(got)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def http() -> Iterator[Sink]:
    """Serve on a free port of this machine for as long as the block runs."""
    sink = Sink("")

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            got = Got(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            answer = sink.next(got)
            time.sleep(answer.wait)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = _take  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A caller that hung up is meant in some tests."""

    server = Quiet(("127.0.0.1", 0), Handler)
    sink.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()


class MailSink:
    """A mail server: `refuse` may answer any step in its own words, by step and what came."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.refuse: Callable[[str, str], str | None] = lambda _step, _text: None
        self.url = ""

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.refuse("mail", address) or "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        said = self.refuse("rcpt", address)
        if said is None:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return said or "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        said = self.refuse("data", "")
        if said is None:
            found = message_from_bytes(envelope.content, policy=default)
            assert isinstance(found, EmailMessage)
            self.mails.append(found)
            self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return said or "250 OK queued as 4711"


@contextmanager
def mail(**more: Any) -> Iterator[MailSink]:
    """Serve SMTP on a free port of this machine for as long as the block runs; `more` goes to aiosmtpd."""
    sink = MailSink()

    class OnAFreePort(Controller):
        def factory(self) -> SMTP:
            return SMTP(self.handler, hostname="sink.example", **more)

        def _trigger_server(self) -> None:
            self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            super()._trigger_server()  # type: ignore[no-untyped-call]

    controller = OnAFreePort(sink, hostname="127.0.0.1", port=0)
    controller.start()
    sink.url = f"smtp://127.0.0.1:{controller.port}"
    try:
        yield sink
    finally:
        controller.stop()
