"""Files of a message: read and proven against their hash, or linked where they are too large to send along."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from everfix.core import links
from everfix.delivery.envelope import Envelope
from everfix.delivery.messages import Artifact, Picture
from everfix.errors import Gone, Outbound

MOST_BYTES = 20_000_000  # of all attachments of one message together
MOST_PICTURE_BYTES = 3_000_000  # of all charts that one mail shows in its text
LINK_LIFE = timedelta(days=30)


def split(envelope: Envelope) -> tuple[list[Artifact], list[Artifact]]:
    """Return (to send along, to link): smallest first as long as all fit, so that as many as possible arrive whole."""
    inline: list[Artifact] = []
    room = MOST_BYTES
    for item in sorted(envelope.message.files, key=lambda item: item.size):
        if item.size > room:
            break
        room -= item.size
        inline.append(item)
    kept = {item.storage_key for item in inline}
    files = envelope.message.files
    return [item for item in files if item.storage_key in kept], [item for item in files if item.storage_key not in kept]


def shown(envelope: Envelope) -> list[Picture]:
    """Return the charts that a mail shows: the first ones of the report, as many as fit."""
    found: list[Picture] = []
    room = MOST_PICTURE_BYTES
    for item in envelope.message.pictures:
        room -= item.size
        if room < 0:
            break
        found.append(item)
    return found


def read(envelope: Envelope, item: Artifact) -> bytes:
    """Return the file; raises Outbound when it is gone or is no longer what was made: a wrong file is worse than none."""
    try:
        body = envelope.storage.read(item.storage_key)
    except Gone as problem:
        raise Outbound(f"the file {item.filename} is no longer kept, so nothing was sent", permanent=True) from problem
    if hashlib.sha256(body).hexdigest() != item.sha256:
        raise Outbound(f"the stored file {item.filename} is not what was made (its SHA-256 differs), so nothing was sent", permanent=True)
    return body


def link(envelope: Envelope, item: Artifact) -> str:
    """Return a signed link to the file, or the message's own link where the file has none."""
    if item.file_id is None:
        return envelope.message.link
    return links.download(envelope.settings, envelope.keys, envelope.workspace, item.file_id, LINK_LIFE, f"sent to {envelope.target.label}")
