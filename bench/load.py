"""Sends prepared requests over several connections that stay open, and says what was refused; the same for every server measured."""

from __future__ import annotations

import dataclasses
import http.client
import queue
import threading
import time
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One POST, ready to be sent: its body was made before the clock started."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclasses.dataclass(slots=True)
class Sent:
    """What became of the requests: seconds of each, and the answers that were not 2xx."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    refused: list[str] = dataclasses.field(default_factory=list)


def send(port: int, requests: Sequence[Request], connections: int) -> Sent:
    """Send the requests in order over `connections` connections and return when the last one is answered."""
    waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    for request in requests:
        waiting.put(request)
    sent = Sent()
    threads = [threading.Thread(target=_sender, args=(port, waiting, sent)) for _ in range(connections)]
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent


def _sender(port: int, waiting: queue.SimpleQueue[Request | None], sent: Sent) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while (request := waiting.get()) is not None:
        start = time.perf_counter()
        try:
            status, said = _post(connection, request)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):  # a server may close a connection that stood idle
            connection.close()
            status, said = _post(connection, request)
        sent.seconds.append(time.perf_counter() - start)
        if not 200 <= status < 300:
            sent.refused.append(f"{status} {said[:200]!r}")
    connection.close()


def _post(connection: http.client.HTTPConnection, request: Request) -> tuple[int, bytes]:
    connection.request("POST", request.path, request.body, request.headers)
    answer = connection.getresponse()
    return answer.status, answer.read()
