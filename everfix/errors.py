"""The errors a caller can meet, one tree; a class is a code and a status, its docstring the default message.

EverfixError
├── Malformed            400 validation_error     the request cannot be read
├── Unauthorized         401 unauthorized
├── Forbidden            403 forbidden
├── NotFound             404 not_found            missing, or another workspace's
├── Conflict             409 conflict
├── Gone                 410 gone
├── TooLarge             413 payload_too_large
├── UnsupportedMedia     415 unsupported_media_type
├── Invalid              422 validation_error     readable, but a field breaks a rule
├── BadField             422 validation_error     an Invalid: a field is missing, or not of its type (400 on the dashboard surface)
├── RateLimited          429 rate_limited
├── Outbound             502 upstream_failed      another server did not take or give what it should; says whether trying again may help
├── Unavailable          503 unavailable
└── ConfigurationError   500 configuration_error  this installation is set up wrongly; raised at start
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class EverfixError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None, *, details: Mapping[str, str] | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.details = dict(details or {})
        super().__init__(self.message)


class Malformed(EverfixError):
    """The request cannot be read."""

    code, status = "validation_error", 400


class Unauthorized(EverfixError):
    """A valid bearer token is needed."""

    code, status = "unauthorized", 401


class Forbidden(EverfixError):
    """The token lacks a scope that this call needs."""

    code, status = "forbidden", 403


class NotFound(EverfixError):
    """There is nothing here."""

    code, status = "not_found", 404


class Conflict(EverfixError):
    """The request clashes with what is there."""

    code, status = "conflict", 409


class Gone(EverfixError):
    """It was here, and is no longer kept."""

    code, status = "gone", 410


class TooLarge(EverfixError):
    """The request body is too large."""

    code, status = "payload_too_large", 413


class UnsupportedMedia(EverfixError):
    """A file of this type is not read here."""

    code, status = "unsupported_media_type", 415


class Invalid(EverfixError):
    """A field breaks a rule."""

    code, status = "validation_error", 422


class BadField(Invalid):
    """A field is missing, or is not of its type."""


class RateLimited(EverfixError):
    """Too many requests"""  # noqa: D400, D415 - the reference's exact words

    code, status = "rate_limited", 429


class Outbound(EverfixError):
    """Another server did not take it."""

    code, status = "upstream_failed", 502

    def __init__(
        self, message: str | None = None, *, permanent: bool = False, retry_after: float | None = None, answered: bool = False
    ) -> None:
        super().__init__(message)
        self.permanent, self.retry_after = permanent, retry_after  # `retry_after`: seconds the other server asked for
        self.answered = answered  # the other server is well, and put off only this recipient or this message


class Unavailable(EverfixError):
    """The server cannot answer now."""

    code, status = "unavailable", 503


class ConfigurationError(EverfixError):
    """This installation is set up wrongly."""

    code, status = "configuration_error", 500
