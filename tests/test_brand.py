"""Brand: name, colour and logo by API and by page, in every file that is made from then on, and nothing hostile in them."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import httpx
import pypdf
import pytest

from everfix.documents import logo
from tests import make
from tests.test_web import Person

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><circle cx="5" cy="5" r="4" fill="#ffffff"/></svg>'


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(wide: int = 4, tall: int = 4, extra: bytes = b"") -> bytes:
    """Return a red PNG."""
    pixels = zlib.compress(b"".join(b"\x00" + b"\xd0\x20\x20" * wide for _ in range(tall)))
    head = struct.pack(">IIBBBBB", wide, tall, 8, 2, 0, 0, 0)
    return logo.SIGNATURE + _chunk(b"IHDR", head) + extra + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def test_a_brand_is_kept_and_printed(alice: make.Workspace) -> None:
    before = alice.api.ok("GET", "/v1/workspace/brand")
    assert before == {"name": "", "colour": "#0f766e", "logo_svg": ""}
    changed = alice.admin.ok("PATCH", "/v1/workspace/brand", {"name": "  Acme  Rail ", "colour": "#7C2D12", "logo": SVG})
    assert (changed["name"], changed["colour"]) == ("Acme Rail", "#7c2d12")
    assert "<circle" in changed["logo_svg"]
    assert alice.api.ok("PATCH", "/v1/workspace/brand", {"colour": "#112233"})["name"] == "Acme Rail", "what is not sent stays"
    job = alice.api.ok("POST", "/v1/reports/generate", {"template": "blank", "sections": ["issue_kpis"], "formats": ["pdf", "html"]})
    alice.work()
    pdf, html = (
        make.Api(alice.client).get(file["download_url"]).content for file in alice.api.ok("GET", f"/v1/reports/jobs/{job['id']}")["files"]
    )
    assert "Acme Rail" in pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text()
    assert b"Acme Rail" in html
    assert b"data:image/svg+xml;base64," in html
    gone = alice.api.ok("PATCH", "/v1/workspace/brand", {"name": None, "logo": None})
    assert (gone["name"], gone["logo_svg"]) == ("", "")


@pytest.mark.parametrize("spell", [lambda body: body, lambda body: f"data:image/png;base64,{body}"])
def test_a_picture_becomes_part_of_an_svg(alice: make.Workspace, spell: Any) -> None:
    note = _chunk(b"tEXt", b"Comment\x00secret place")
    body = spell(base64.b64encode(picture(extra=note)).decode())
    kept = alice.api.ok("PATCH", "/v1/workspace/brand", {"logo": body})["logo_svg"]
    inside = base64.b64decode(kept.split("base64,")[1].split('"')[0])
    assert inside == picture(), "notes in the picture are left out"
    assert logo.clean(kept) == kept
    alice.api.ok("POST", "/v1/exports", {"resource": "members", "format": "pdf"})
    alice.work()
    url = alice.api.ok("GET", "/v1/exports")["data"][0]["download_url"]
    assert len(pypdf.PdfReader(io.BytesIO(make.Api(alice.client).get(url).content)).pages[0].images) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"colour": "#12345"}, "colour"),
        ({"name": "x" * 81}, "name"),
        ({"logo": "no logo"}, "logo"),
        ({"logo": "<html/>"}, "logo"),
        ({"logo": "<svg"}, "logo"),
        ({"logo": base64.b64encode(b"GIF89a").decode() + "/" * 7}, "logo"),
        ({"logo": base64.b64encode(picture()[:-20]).decode()}, "logo"),
        ({"logo": base64.b64encode(picture().replace(b"IDAT", b"IDAX")).decode()}, "logo"),
        ({"logo": base64.b64encode(picture(5000, 1)).decode()}, "logo"),
        ({"logo": "A" * 200_000}, "logo"),
        ({"slogan": "x"}, "slogan"),
    ],
)
def test_bad_brands_are_refused_by_name(alice: make.Workspace, body: dict[str, Any], field: str) -> None:
    answer = alice.api.patch("/v1/workspace/brand", body)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["error"]["details"], answer.text
    assert alice.api.ok("GET", "/v1/workspace/brand") == {"name": "", "colour": "#0f766e", "logo_svg": ""}


@pytest.mark.parametrize(
    "hostile",
    [
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="https://evil.example/x.png"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="data:image/svg+xml;base64,PHN2Zy8+"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="data:image/png;base64,AAAA"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script><foreignObject/></svg>',
    ],
)
def test_nothing_from_elsewhere_comes_in_with_a_logo(alice: make.Workspace, hostile: str) -> None:
    kept = alice.api.ok("PATCH", "/v1/workspace/brand", {"logo": hostile})["logo_svg"]
    assert not {"evil", "script", "onload", "data:", "foreign", "image"} & {
        word for word in ("evil", "script", "onload", "data:", "foreign", "image") if word in kept
    }


def _form(person: Person, path: str, data: dict[str, Any], files: dict[str, Any] | None = None) -> httpx.Response:
    headers = {"accept": "text/html", "sec-fetch-site": "same-origin", **person._cookie()}
    answer = person.client.post(path, data={"csrf": person.csrf(), **data}, files=files, headers=headers, follow_redirects=False)
    return person._kept(answer)


def test_the_page_changes_the_brand(alice: make.Workspace) -> None:
    person = Person(alice.client).enter(alice.secrets["admin"])
    assert 'placeholder="Alice"' in person.page("/settings/brand")
    done = _form(person, "/settings/brand", {"name": "Acme <b>", "colour": "#7c2d12"}, {"logo": ("x.png", picture(), "image/png")})
    assert (done.status_code, done.headers["location"]) == (303, "/settings/brand")
    page = person.page("/settings/brand")
    assert "Acme &lt;b&gt;" in page
    assert 'class="brand-logo"' in page
    refused = _form(person, "/settings/brand", {"name": "New", "colour": "blue"})
    assert refused.status_code == 422
    assert "six hexadecimal digits" in refused.text
    assert alice.api.ok("GET", "/v1/workspace/brand")["name"] == "Acme <b>", "nothing was changed"
    _form(person, "/settings/brand", {"name": "", "colour": "#7c2d12", "remove": "true"})
    assert alice.api.ok("GET", "/v1/workspace/brand") == {"name": "", "colour": "#7c2d12", "logo_svg": ""}


def test_the_page_changes_how_long_files_are_kept(alice: make.Workspace) -> None:
    person = Person(alice.client).enter(alice.secrets["admin"])
    assert _form(person, "/settings/files", {"days": "30", "hold": "true"}).status_code == 303
    assert alice.api.ok("GET", "/v1/workspace/files") == {"days": 30, "legal_hold": True}


def test_a_viewer_sees_the_brand_and_changes_nothing(alice: make.Workspace) -> None:
    person = Person(alice.client).enter(alice.secrets["viewer"])
    page = person.page("/settings/brand")
    assert ">Save<" not in page
    assert "365 days" in page
    assert _form(person, "/settings/brand", {"name": "x", "colour": "#000000"}).status_code == 403
