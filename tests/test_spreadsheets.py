"""Spreadsheets in a real office program: what we write opens in LibreOffice as it is, and nothing in it is calculated."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from everfix import documents
from everfix.documents.to_csv import neutral
from tests import document_samples as samples
from tests import make
from tests.test_exports import HOSTILE, _hostile, done

OFFICE = shutil.which("soffice") or shutil.which("libreoffice")
needs_office = pytest.mark.skipif(
    OFFICE is None, reason="LibreOffice is not installed: the same files are read with openpyxl and csv elsewhere"
)


def converted(folder: Path, name: str, body: bytes, to: str) -> bytes:
    """Return a file as LibreOffice saves it in another format after opening it."""
    source, out = folder / name, folder / "out"
    source.write_bytes(body)
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    command = [str(OFFICE), profile, "--headless", "--convert-to", to, "--outdir", str(out), str(source)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    made = out / f"{source.stem}.{to.split(':', maxsplit=1)[0]}"
    assert made.exists(), told.stdout + told.stderr
    return made.read_bytes()


def _formulas(body: bytes) -> list[Any]:
    book = openpyxl.load_workbook(io.BytesIO(body))
    return [cell.value for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]


@needs_office
def test_an_export_opens_and_nothing_in_it_is_calculated(alice: make.Workspace, tmp_path: Path) -> None:
    _hostile(alice)
    sheet = done(alice, resource="issues", format="xlsx", columns=["title", "risk_score", "occurred_at"])["body"]
    rows = list(
        csv.DictReader(
            io.StringIO(converted(tmp_path, "issues.xlsx", sheet, "csv:Text - txt - csv (StarCalc):44,34,76").decode(), newline="")
        )
    )
    assert [row["title"] for row in rows][:6] == list(HOSTILE[:6])
    assert {row["risk_score"] for row in rows} == {"0"}
    plain = done(alice, resource="issues", format="csv", columns=["title", "risk_score"], bom=True)["body"]
    opened = converted(tmp_path, "plain.csv", plain, "xlsx")
    assert _formulas(opened) == []
    book = openpyxl.load_workbook(io.BytesIO(opened)).active
    shown = [row[0] for row in book.iter_rows(min_row=2, values_only=True)]
    assert shown[0] == neutral(HOSTILE[0]) == "'=1+1"
    assert shown[HOSTILE.index("-3.5")] == -3.5, "a negative number is a number"


@needs_office
def test_a_report_opens_and_nothing_in_it_is_calculated(tmp_path: Path) -> None:
    document = samples.hostile()
    for format_ in ("csv", "xlsx"):
        opened = converted(
            tmp_path, f"report-{format_}.{format_}", documents.render(document, format_), "ods" if format_ == "xlsx" else "xlsx"
        )
        assert opened[:2] == b"PK"
    assert _formulas((tmp_path / "out" / "report-csv.xlsx").read_bytes()) == []
    assert _formulas(documents.render(document, "xlsx")) == []
