"""Mail over real SMTP: both parts, every file, charts in place, one identity per delivery, and refusals judged as passing or final."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from everfix.delivery import smtp
from everfix.delivery.outbox import Delivery
from tests import delivering, make, sinks

PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c489".replace(" ", ""))


@pytest.fixture
def sink() -> Iterator[sinks.MailSink]:
    with sinks.mail() as made:
        yield made


def deliver(workspace: make.Workspace, *recipients: str, once: bool = False, **message: Any) -> list[Delivery]:
    rows = delivering.send(workspace, recipients or ["anna@shop.example"], **message)
    if once:
        workspace.work_once()
    else:
        workspace.work()
    return [delivering.row(workspace, row) for row in rows]


def part(mail: EmailMessage, media_type: str) -> EmailMessage:
    (found,) = [item for item in mail.walk() if item.get_content_type() == media_type and not item.is_attachment()]
    assert isinstance(found, EmailMessage)
    return found


def test_a_mail_has_text_html_files_and_charts(alice: make.Workspace, sink: sinks.MailSink) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    artifacts = [
        delivering.artifact(here, "weekly.csv", b"a,b\r\n1,2\r\n", "text/csv"),
        delivering.artifact(here, "wöchentlich.pdf", bytes(range(256)), "application/pdf"),
    ]
    charts = [delivering.picture(here, "Risk trend.png", PNG)]
    (row,) = deliver(here, paragraphs=["12 failures & <b>3</b> fewer."], artifacts=artifacts, charts=charts, subject="Wöchentliche Fehler")
    (mail,) = sink.mails
    assert (row.status, row.receipt["server"]) == ("sent", "OK queued as 4711")
    assert (mail["Subject"], mail["To"], mail["From"]) == ("Wöchentliche Fehler", "anna@shop.example", "Everfix <reports@everfix.example>")
    assert mail["Message-ID"] == f"<{row.key}@everfix.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = part(mail, "text/plain").get_content(), part(mail, "text/html").get_content()
    for words in ("Checkout fails on Mondays", "The pool fix holds", "http://testserver/reports/runs/1", "weekly.csv"):
        assert words in text
        assert words in html
    assert "12 failures & <b>3</b> fewer." in text
    assert "12 failures &amp; &lt;b&gt;3&lt;/b&gt; fewer." in html
    picture = part(mail, "image/png")
    assert f'src="cid:{str(picture["Content-ID"]).strip("<>")}" alt="Risk trend"' in html
    assert picture.get_content() == PNG
    found = {item.get_filename(): item.get_payload(decode=True) for item in mail.iter_attachments()}
    assert found == {"weekly.csv": b"a,b\r\n1,2\r\n", "wöchentlich.pdf": bytes(range(256))}
    assert sink.envelopes == [("reports@everfix.example", ["anna@shop.example"])]


def test_charts_too_large_for_the_server_become_a_link_before_a_file_does(alice: make.Workspace) -> None:
    """The PDF has the charts too, so it is what stays; a mail that is still too large then has links for both, and charts again."""
    with sinks.mail(data_size_limit=500_000) as sink:
        here = delivering.reaching(alice, smtp=sink.url)
        charts = [delivering.picture(here, f"chart-{n}.png", PNG + bytes(140_000), title=f"Risk {n}", alt="It rises.") for n in (1, 2)]
        small, large = (delivering.artifact(here, f"{size}.pdf", bytes(size), "application/pdf") for size in (90_000, 400_000))
        deliver(here, charts=charts, artifacts=[small])
        deliver(here, charts=charts, artifacts=[large])
        first, second = sink.mails
    html = part(first, "text/html").get_content()
    assert [item.get_filename() for item in first.iter_attachments()] == ["90000.pdf"]
    assert "cid:" not in html
    assert "Too large to show here: Risk 1, Risk 2." in html
    assert 'href="http://testserver/reports/runs/1">See them in the report' in html
    html = part(second, "text/html").get_content()
    assert list(second.iter_attachments()) == []
    assert html.count('alt="It rises."') == html.count('src="cid:') == 2
    assert "Too large to show here" not in html
    assert "400000.pdf" in html


def test_only_as_many_charts_are_shown_as_a_mail_should_hold(alice: make.Workspace, sink: sinks.MailSink) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    charts = [delivering.picture(here, f"{n}.png", PNG + bytes(1_400_000), title=f"Risk {n}") for n in (1, 2, 3)]
    (row,) = deliver(here, charts=charts)
    (mail,) = sink.mails
    assert row.status == "sent"
    html = part(mail, "text/html").get_content()
    assert html.count('src="cid:') == 2
    assert "Too large to show here: Risk 3." in html


def test_each_recipient_gets_an_own_mail_and_an_own_end(alice: make.Workspace, sink: sinks.MailSink) -> None:
    """One of several refused: the others are not affected, and nobody sees who else gets it."""
    sink.refuse = lambda step, text: "550 5.1.1 no such user" if step == "rcpt" and text.startswith("ben") else None
    rows = deliver(delivering.reaching(alice, smtp=sink.url), "anna@shop.example", "ben@shop.example", "cleo@shop.example")
    assert [row.status for row in rows] == ["sent", "failed", "sent"]
    assert "refused ben@shop.example: 550 5.1.1 no such user" in rows[1].reason
    assert sorted(str(mail["To"]) for mail in sink.mails) == [
        "anna@shop.example",
        "cleo@shop.example",
        "owner@alice.example",
    ]  # who is told


@pytest.mark.parametrize(
    ("step", "answer", "status"),
    [
        ("rcpt", "450 4.2.0 greylisted, try later", "queued"),
        ("rcpt", "452 4.2.2 mailbox full", "queued"),
        ("mail", "421 4.7.0 too many connections", "queued"),
        ("data", "451 4.3.0 try again", "queued"),
        ("rcpt", "550 5.1.1 no such user", "failed"),
        ("mail", "553 5.7.1 sender not allowed", "failed"),
        ("data", "554 5.7.1 spam", "failed"),
        ("data", "552 5.3.4 too big", "failed"),
    ],
)
def test_4xx_passes_and_5xx_is_final(alice: make.Workspace, sink: sinks.MailSink, step: str, answer: str, status: str) -> None:
    sink.refuse = lambda at, _text: answer if at == step else None
    (row,) = deliver(delivering.reaching(alice, smtp=sink.url), once=True)
    assert row.status == status
    assert answer in row.reason


def test_greylisting_is_outlived_with_the_same_message_id(alice: make.Workspace, sink: sinks.MailSink) -> None:
    answers = ["450 4.2.0 greylisted"] * 2
    sink.refuse = lambda step, _text: answers.pop() if step == "data" and answers else None
    (row,) = deliver(delivering.reaching(alice, smtp=sink.url))
    assert (row.status, row.attempts, len(sink.mails)) == ("sent", 3, 1)
    assert sink.mails[0]["Message-ID"] == f"<{row.key}@everfix.example>"


def test_a_dead_server_and_no_server(alice: make.Workspace) -> None:
    (row,) = deliver(delivering.reaching(alice, smtp="smtp://127.0.0.1:1"), once=True)
    assert row.status == "queued"
    assert "the mail server 127.0.0.1 cannot be reached" in row.reason
    (row,) = deliver(delivering.reaching(alice))
    assert (row.status, row.reason) == ("failed", "no mail server is set up: EVERFIX_SMTP_URL is not set, and the destination names none")


def test_an_own_server_must_not_be_private(alice: make.Workspace, sink: sinks.MailSink) -> None:
    here = delivering.reaching(alice, outbound_allow=())
    config = {
        "fromEmail": "Ops <ops@shop.example>",
        "recipients": ["anna@shop.example"],
        "replyTo": "team@shop.example",
        "smtpUrl": sink.url,
    }
    place = delivering.destination(here, "ops_email", config)
    (row,) = delivering.send(here, chosen=[place])
    here.work()
    assert "private address" in delivering.row(here, row).reason
    here = delivering.reaching(alice)
    (row,) = delivering.send(here, chosen=[place])
    here.work()
    assert delivering.row(here, row).status == "sent"
    assert (sink.mails[0]["From"], sink.mails[0]["Reply-To"]) == ("Ops <ops@shop.example>", "team@shop.example")


def test_a_small_server_gets_links_instead_of_files(alice: make.Workspace) -> None:
    with sinks.mail(data_size_limit=20_000) as sink:
        here = delivering.reaching(alice, smtp=sink.url)
        (row,) = deliver(here, artifacts=[delivering.artifact(here, "weekly.pdf", bytes(30_000), "application/pdf", file_id=here.id)])
        assert (row.status, row.receipt["attachments"]) == ("sent", [])
        assert "http://testserver/v1/downloads/" in part(sink.mails[0], "text/html").get_content()
        assert "Too large to attach" in part(sink.mails[0], "text/plain").get_content()


def test_only_allowed_domains_get_mail(alice: make.Workspace, sink: sinks.MailSink) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    rows = delivering.send(here, ["anna@shop.example", "ben@eu.shop.example", "eve@elsewhere.example", "mallory@notshop.example"])
    with here.db() as db:
        from everfix.identity import workspaces

        workspaces.here(db).mail_domains = ["shop.example"]
    here.work()
    assert [delivering.row(here, row).status for row in rows] == ["sent", "sent", "skipped", "skipped"]
    assert delivering.row(here, rows[2]).reason == "the workspace sends no mail to this domain"


def test_a_subject_cannot_add_headers(alice: make.Workspace, sink: sinks.MailSink) -> None:
    (row,) = deliver(delivering.reaching(alice, smtp=sink.url), subject="Weekly\r\nBcc: eve@elsewhere.example")
    assert row.status == "sent"
    assert sink.mails[0]["Bcc"] is None
    assert sink.mails[0]["Subject"] == "Weekly Bcc: eve@elsewhere.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([*command.split(), "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder


def test_tls_is_checked_and_a_password_needs_it(alice: make.Workspace, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def allow(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        return AuthResult(success=isinstance(given, LoginPassword) and given.password == b"p@ss", handled=False)

    with sinks.mail(tls_context=server, authenticator=allow, auth_require_tls=True) as sink:
        address = sink.url.replace("127.0.0.1", "localhost").removeprefix("smtp://")
        (row,) = deliver(delivering.reaching(alice, smtp=f"smtp+starttls://{address}"))
        assert row.status == "failed"
        assert "certificate that is not trusted" in row.reason
        trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
        (row,) = deliver(delivering.reaching(alice, smtp=f"smtp://anna:p%40ss@{address}"))
        assert row.status == "sent"
        (row,) = deliver(delivering.reaching(alice, smtp=f"smtp://anna:wrong@{address}"))
        assert row.status == "failed"
        assert "refused the user name or password: 535" in row.reason
        assert "wrong" not in row.reason
    with sinks.mail() as plain:
        for url in (plain.url.replace("smtp://", "smtp+starttls://"), plain.url.replace("//", "//anna:secret@")):
            (row,) = deliver(delivering.reaching(alice, smtp=url))
            assert row.status == "failed"
            assert "a password is not sent in the clear" in row.reason
        assert plain.mails == []


def test_addresses_of_servers() -> None:
    found = smtp.server("smtps://a%40b:p%3Aw@mail.example")
    assert (found.scheme, found.host, found.port, found.user, found.password) == ("smtps", "mail.example", 465, "a@b", "p:w")
    assert smtp.server("smtp://mail.example:2525").port == 2525
    for wrong in ("mail.example", "http://x", "smtp://", "smtp://x:notaport", "smtp://x:99999"):
        with pytest.raises(ValueError, match=r"must look like|is no address"):
            smtp.server(wrong)
