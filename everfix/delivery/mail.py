"""Mail: text and HTML parts, every file attached, charts shown in place, one click to unsubscribe.

The Message-ID is made of the delivery's idempotency key: a mail that is sent again after a crash is recognisably the same one.
"""

from __future__ import annotations

import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from pydantic import AfterValidator, Field

from everfix.core import clock
from everfix.core.db import Json
from everfix.delivery import addresses, files, smtp
from everfix.delivery.envelope import Channel, Config, Envelope
from everfix.delivery.messages import Artifact, Picture
from everfix.errors import Outbound

MOST_RECIPIENTS = 200


def _server_url(value: str) -> str:
    smtp.server(value)
    return value


def _sender(value: str) -> str:
    name, address = parseaddr(value)
    plain = addresses.mail(address or value)
    if any(ord(letter) < 32 for letter in value):
        raise ValueError("must not hold control characters")
    return f"{name} <{plain}>" if name else plain


class MailConfig(Config):
    """`fromEmail` and `recipients`; `replyTo` and a server of its own (`smtpUrl`) when wanted, else EVERFIX_SMTP_URL is used."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"smtpUrl"})

    fromEmail: Annotated[str, Field(max_length=320), AfterValidator(_sender)]  # noqa: N815 - the reference's name
    recipients: list[addresses.Mail] = Field(min_length=1, max_length=MOST_RECIPIENTS)
    replyTo: addresses.Mail | None = None  # noqa: N815
    smtpUrl: Annotated[str, Field(max_length=2000), AfterValidator(_server_url)] | None = None  # noqa: N815

    def summary(self) -> str:
        more = len(self.recipients) - 1
        return self.recipients[0] + (f" and {more} more" if more else "")


def send(envelope: Envelope) -> Json:
    """Send the mail; the server's last word is the receipt."""
    url, guarded = _server(envelope)
    sender = sender_of(envelope)
    composed: dict[str, Any] = {}

    def compose(limit: int | None) -> EmailMessage:
        for split, shown in _ways(envelope):
            composed["mail"] = mail = message(envelope, sender, split, shown)
            if limit is None or len(mail.as_bytes()) <= limit:
                break
        return mail

    def receipt(words: str) -> Json:
        mail = composed["mail"]
        return {"message_id": mail["Message-ID"], "server": words, "attachments": [part.get_filename() for part in mail.iter_attachments()]}

    guard, context = envelope.guard if guarded else None, ssl.create_default_context()
    to, sent_by = smtp.server(url), parseaddr(sender)[1]
    heard = smtp.send(to, sent_by, envelope.target.recipient, compose, guard, context, lambda words: envelope.accepted(receipt(words)))
    return receipt(heard)


def _ways(envelope: Envelope) -> list[tuple[tuple[list[Artifact], list[Artifact]], list[Picture]]]:
    """Return (attached and linked files, charts shown), the fullest mail first: charts go before files, whose PDF has them too."""
    whole, linked, shown = files.split(envelope), envelope.message.files, files.shown(envelope)
    return [(whole, shown), (whole, []), (([], linked), shown), (([], linked), [])]


def _server(envelope: Envelope) -> tuple[str, bool]:
    """Return the server's address, and whether a workspace chose it (then it must not be private)."""
    own: MailConfig | None = envelope.config
    if own is not None and own.smtpUrl:
        return own.smtpUrl, True
    if envelope.settings.smtp_url is None:
        raise Outbound("no mail server is set up: EVERFIX_SMTP_URL is not set, and the destination names none", permanent=True)
    return envelope.settings.smtp_url.get_secret_value(), False


def sender_of(envelope: Envelope) -> str:
    """Return who the mail is from: the destination's sender, else EVERFIX_MAIL_FROM; raises Outbound when neither says."""
    own: MailConfig | None = envelope.config
    chosen = own.fromEmail if own is not None else envelope.settings.mail_from
    if not chosen:
        raise Outbound("mail has no sender: EVERFIX_MAIL_FROM is not set, and no destination names one", permanent=True)
    return chosen


def message(envelope: Envelope, sender: str, split: tuple[list[Artifact], list[Artifact]], shown: list[Picture]) -> EmailMessage:
    """Return the mail with some files attached and the others as links, some charts shown and the others named."""
    said, (attached, linked) = envelope.message, split
    mail = EmailMessage(policy=SMTP)
    name, address = parseaddr(sender)
    mail["Subject"] = said.subject
    mail["From"] = Address(name or said.brand, addr_spec=address)
    mail["To"] = Address(addr_spec=envelope.target.recipient)
    if envelope.config is not None and envelope.config.replyTo:
        mail["Reply-To"] = Address(addr_spec=envelope.config.replyTo)
    mail["Date"] = format_datetime(clock.now())
    mail["Message-ID"] = f"<{envelope.key}@{addresses.domain_of(address)}>"
    mail["Auto-Submitted"] = "auto-generated"
    if envelope.preferences:
        mail["List-Unsubscribe"] = f"<{envelope.preferences}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    links = [{"filename": item.filename, "url": files.link(envelope, item), "size": f"{item.size / 1e6:.1f} MB"} for item in linked]
    mail.set_content(_text(envelope, links, attached), cte="quoted-printable")
    _add_html(mail, envelope, links, attached, shown)
    for item in attached:
        main, _, sub = item.media_type.partition(";")[0].partition("/")
        mail.add_attachment(files.read(envelope, item), maintype=main, subtype=sub or "octet-stream", filename=item.filename)
    return mail


def _text(envelope: Envelope, linked: list[dict[str, str]], attached: list[Artifact]) -> str:
    said = envelope.message
    parts = [*said.paragraphs]
    if said.takeaways:
        parts.append("\n".join(f"- {line}" for line in said.takeaways))
    if said.link:
        parts.append(f"Open: {said.link}")
    if linked:
        parts.append("Too large to attach:\n" + "\n".join(f"- {item['filename']} ({item['size']}): {item['url']}" for item in linked))
    if attached:
        parts.append("Attached: " + ", ".join(item.filename for item in attached))
    if envelope.preferences:
        parts.append(f"-- \nChange how often, pause or unsubscribe: {envelope.preferences}")
    return "\n\n".join(parts) + "\n"


def _add_html(
    mail: EmailMessage, envelope: Envelope, linked: list[dict[str, str]], attached: list[Artifact], pictures: list[Picture]
) -> None:
    said = envelope.message
    shown = [(item, f"chart{place}.{envelope.key}") for place, item in enumerate(pictures, 1)]
    body = _template().render(
        message=said,
        pictures=[{"cid": cid, "title": item.title, "alt": item.alt or _named(item), "width": item.width} for item, cid in shown],
        missing=[_named(item) for item in said.pictures[len(pictures) :]],
        linked=linked,
        attached=[item.filename for item in attached],
        recipient=envelope.target.recipient,
        preferences=envelope.preferences,
        button=said.accent,
    )
    mail.add_alternative(body, subtype="html", cte="quoted-printable")
    html = mail.get_payload()[1]  # type: ignore[index]
    assert isinstance(html, EmailMessage)  # noqa: S101 - added one line above
    for item, cid in shown:
        main, _, sub = item.media_type.partition("/")
        html.add_related(
            files.read(envelope, item), maintype=main, subtype=sub, cid=f"<{cid}>", disposition="inline", filename=item.filename
        )


def _named(item: Picture) -> str:
    return item.title or item.filename.rpartition(".")[0] or item.filename


@lru_cache(maxsize=1)
def _template() -> Template:
    loader = PackageLoader("everfix.delivery", "")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template("mail.html")


CHANNEL = Channel("ops_email", "Ops Email (SES)", "mail", MailConfig, send, recipients=lambda config: config.recipients)
