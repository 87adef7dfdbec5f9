"""Messages: what is to be said, stored once and sent to many; they know nothing of reports or alerts.

A run of a report stores one message per distinct rendering; each row of the ledger that carries it names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, WorkspaceRow, created
from everfix.errors import NotFound

Kind = Literal["report", "alert", "test", "digest", "notice", "ticket"]
Severity = Literal["info", "warning", "critical", "ok"]
COLOURS: Mapping[str, str] = {"info": "#2563eb", "warning": "#b45309", "critical": "#b91c1c", "ok": "#15803d"}


class Artifact(BaseModel):
    """A stored file that a message carries. `file_id` lets a link be made where the file itself is too large to attach."""

    model_config = ConfigDict(extra="forbid")

    format: str
    filename: str
    media_type: str
    size: int
    sha256: str
    storage_key: str
    file_id: UUID | None = None


class Picture(Artifact):
    """A chart that a mail shows in its text: `title` stands above it, `alt` is read aloud, or shown where pictures are blocked."""

    title: str = ""
    alt: str = ""
    width: int = 584  # pixels of the page, which may be fewer than the picture's own


class Message(WorkspaceRow, Base):
    """One message. `paragraphs` open it (the executive summary), `sections` holds a paragraph per section id, `takeaways` are bullets."""

    __tablename__ = "messages"

    kind: Mapped[str]
    subject: Mapped[str]
    paragraphs: Mapped[list[str]] = mapped_column(server_default="{}")
    sections: Mapped[Json] = mapped_column(server_default="{}")
    takeaways: Mapped[list[str]] = mapped_column(server_default="{}")
    link: Mapped[str] = mapped_column(server_default="")
    severity: Mapped[str] = mapped_column(server_default="info")
    brand: Mapped[str] = mapped_column(server_default="Everfix")
    colour: Mapped[str] = mapped_column(server_default="")
    artifacts: Mapped[list[Json]] = mapped_column(server_default="[]")
    charts: Mapped[list[Json]] = mapped_column(server_default="[]")
    data: Mapped[Json] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = created()

    @property
    def files(self) -> list[Artifact]:
        """The files to attach, to inline or to link."""
        return [Artifact.model_validate(item) for item in self.artifacts]

    @property
    def pictures(self) -> list[Picture]:
        """The charts that a mail shows in its text."""
        return [Picture.model_validate(item) for item in self.charts]

    @property
    def accent(self) -> str:
        """The colour of its band: its own, else that of its severity."""
        return self.colour or COLOURS.get(self.severity, COLOURS["info"])


def write(
    db: Session,
    *,
    kind: Kind,
    subject: str,
    paragraphs: Sequence[str] = (),
    sections: Mapping[str, str] | None = None,
    takeaways: Sequence[str] = (),
    link: str = "",
    severity: Severity = "info",
    brand: str = "Everfix",
    colour: str = "",
    artifacts: Sequence[Artifact] = (),
    charts: Sequence[Picture] = (),
    data: Json | None = None,
) -> Message:
    """Store a message and return it; `data` is a webhook's own body beside the text."""
    message = Message(
        id=ids.new(),
        kind=kind,
        subject=" ".join(subject.split()),
        paragraphs=list(paragraphs),
        sections=dict(sections or {}),
        takeaways=list(takeaways),
        link=link,
        severity=severity,
        brand=brand,
        colour=colour,
        artifacts=[item.model_dump(mode="json") for item in artifacts],
        charts=[item.model_dump(mode="json") for item in charts],
        data=data or {},
    )
    db.add(message)
    db.flush()
    return message


def get(db: Session, message_id: UUID) -> Message:
    """Return one message; raises NotFound."""
    message = db.execute(select(Message).where(Message.id == message_id)).scalar_one_or_none()
    if message is None:
        raise NotFound(f"no message {ids.show(ids.Prefix.MESSAGE, message_id)}")
    return message
