"""A language model that answers what a test wrote for it, over real HTTP, as OpenAI, Anthropic, Google and Bedrock speak it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """One answer: a value handed in as the model's typed answer, or raw text, or a failure."""

    value: Any = None
    text: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Asked:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: Json

    @property
    def words(self) -> str:
        """Everything that the model was told."""
        return json.dumps(self.body, ensure_ascii=False)


class ModelServer:
    """The server: `script` holds what it says, one after the other (the last again and again); `asked` what it was asked."""

    def __init__(self) -> None:
        self.script: list[Reply | Callable[[Asked], Reply]] = []
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                reply = outer.next(asked)
                time.sleep(reply.seconds)
                answer = json.dumps(_shape(asked, reply)).encode()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked gave up waiting
                    self.send_response(reply.status)
                    for name, value in {"content-type": "application/json", "content-length": str(len(answer)), **reply.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def next(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            step = self.script[min(len(self.asked), len(self.script)) - 1]
        return step(asked) if callable(step) else step

    def says(self, *script: Reply | Callable[[Asked], Reply]) -> None:
        """Set what is said from here on, and forget what was asked."""
        self.script, self.asked = list(script), []

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def running() -> Iterator[ModelServer]:
    server = ModelServer()
    try:
        yield server
    finally:
        server.close()


def _shape(asked: Asked, reply: Reply) -> Json:
    if reply.status != 200:
        return {"error": {"message": reply.text or "scripted failure", "type": "scripted", "code": str(reply.status)}}
    text = reply.text if reply.text is not None else json.dumps(reply.value)
    if asked.path.endswith("/messages"):
        return _anthropic(asked, reply, text)
    if ":generateContent" in asked.path:
        return _google(asked, reply, text)
    if "/converse" in asked.path:
        return _bedrock(asked, reply, text)
    return _openai(asked, reply, text)


def _openai(asked: Asked, reply: Reply, text: str) -> Json:
    message: Json = {"role": "assistant", "content": text}
    tools = asked.body.get("tools")
    if tools and reply.value is not None:
        call = {"id": "call_1", "type": "function", "function": {"name": tools[0]["function"]["name"], "arguments": text}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    usage = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
    choice = {"index": 0, "finish_reason": "tool_calls" if message.get("tool_calls") else "stop", "message": message}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": asked.body["model"], "choices": [choice], "usage": usage}


def _anthropic(asked: Asked, reply: Reply, text: str) -> Json:
    content: list[Json] = [{"type": "text", "text": text}]
    if asked.body.get("tools") and reply.value is not None:
        content = [{"type": "tool_use", "id": "toolu_1", "name": asked.body["tools"][0]["name"], "input": reply.value}]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked.body["model"],
        "content": content,
        "stop_reason": "tool_use" if content[0]["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 200},
    }


def _google(asked: Asked, reply: Reply, text: str) -> Json:
    parts: list[Json] = [{"text": text}]
    tools = asked.body.get("tools")
    if tools and reply.value is not None:
        parts = [{"functionCall": {"name": tools[0]["functionDeclarations"][0]["name"], "args": reply.value}}]
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 200, "totalTokenCount": 1200},
        "modelVersion": asked.path.split("models/")[1].split(":")[0],
    }


def _bedrock(asked: Asked, reply: Reply, text: str) -> Json:
    content: list[Json] = [{"text": text}]
    tools = (asked.body.get("toolConfig") or {}).get("tools")
    if tools and reply.value is not None:
        content = [{"toolUse": {"toolUseId": "t1", "name": tools[0]["toolSpec"]["name"], "input": reply.value}}]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use" if "toolUse" in content[0] else "end_turn",
        "usage": {"inputTokens": 1000, "outputTokens": 200, "totalTokens": 1200},
        "metrics": {"latencyMs": 1},
    }
