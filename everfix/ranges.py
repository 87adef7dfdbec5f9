"""Ranges: a stored file as an answer, whole or in part, so that a download that broke off goes on where it was (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from everfix.core.storage import Storage

ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Kept(Protocol):
    """What must be known of a stored file to send it."""

    @property
    def filename(self) -> str: ...
    @property
    def media_type(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def storage_key(self) -> str: ...


def begins(request: Request) -> bool:
    """Tell whether a request begins a download: it asks for the file's first byte, and not only for its headers."""
    return request.method != "HEAD" and request.headers.get("range", "bytes=0-").replace(" ", "").startswith("bytes=0-")


def answer(request: Request, files: Storage, file: Kept) -> Response:
    """Return the file: 200 whole, 206 the one range that was asked for, 416 for a range outside of it. Raises Gone.

    Several ranges at once are answered with the whole file, as the RFC allows; so is a range of a file that is not the same any more.
    """
    headers = _headers(file)
    wanted = request.headers.get("range")
    if (
        wanted is not None
        and request.headers.get("if-range", headers["ETag"]) == headers["ETag"]
        and (match := ONE.fullmatch(wanted.strip()))
    ):
        part = _part(match, file.size)
        if part is None:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{file.size}", "Accept-Ranges": "bytes"})
        start, end = part
        headers |= {"Content-Range": f"bytes {start}-{end - 1}/{file.size}", "Content-Length": str(end - start)}
        return _sent(request, files, file, 206, headers, start, end)
    return _sent(request, files, file, 200, headers | {"Content-Length": str(file.size)}, 0, None)


def _sent(request: Request, files: Storage, file: Kept, status: int, headers: dict[str, str], start: int, end: int | None) -> Response:
    if request.method == "HEAD":
        files.size(file.storage_key)
        return Response(None, status, headers, file.media_type)
    return StreamingResponse(files.stream(file.storage_key, start, end), status, headers, file.media_type)


def _headers(file: Kept) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "ETag": f'"{file.sha256}"',
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.filename)}",
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
        "Digest": f"sha-256={file.sha256}",
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    }


def _part(match: re.Match[str], size: int) -> tuple[int, int] | None:
    """Return (start, end) of a range, the end not included; None where it lies outside of the file."""
    first_, last = match.groups()
    if first_:
        start, end = int(first_), min(int(last) + 1, size) if last else size
    elif last:
        start, end = max(0, size - int(last)), size
    else:
        return None
    return (start, end) if start < end else None
