"""Every row of a reference's checklist is shown by a test that names it ("C113" in its name, its docstring or a comment), or stands below.

The reference lies in the shared folder; what stands below says what is still missing, and a row leaves it when a test names it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import shared

CHECKLISTS = {"C": "reference/causeloop.md", "D": "reference/dashboards-to-reports.md"}
ROWS = re.compile(r"^\| ([CD]\d+) \| ", re.MULTILINE)
NAMED = re.compile(r"(?<![\w#@])([CcDd])(\d{1,3})(?:\s?[-–]\s?(?:\1)(\d{1,3}))?(?![\w/])")
# What no test shows, since it is not there.
MISSING = {
    "C1, C3, C4, C8–C11, C14, C18": "organisations: plans, seats, several workspaces, off-boarding; today one client is provisioned by command",
    "C12, C57–C59, C61–C66": "MFA, SAML, OIDC, SCIM, sessions",
    "C21, C92–C98, C301": "members by API and page",
    "C23–C26, C28–C32, C34–C39": "the exchange of an identity provider's token",
    "C40, C42–C45, C302, C306": "tokens and service accounts by API and page; today by command",
    "C49–C54, C56": "roles as a whole: they need members, settings and connectors by API",
    "C60": "envelope encryption of MFA secrets and connectors; what is sealed today is shown by test_crypto",
    "C81–C85": "rate limits by plan and idempotency keys",
    "C103–C108, C304": "retention under /v1 with its own keys; today /v1/workspace/files and /api/v1/admin/retention-configs",
    "C109–C111, C286, C307": "onboarding",
    "C183–C206, C260, C298": "the catalogue of connectors, their syncs and webhooks",
    "C265–C275": "export of a whole workspace, and erasure",
    "C278, C305": "the audit log under /v1 and as a page; today /api/v1",
    "C281": "metrics and traces",
    "C285": "/onboarding and /integrations",
    "D11": "self-registration; today a client is provisioned by command",
    "D249–D254": "neighbouring features of the original, optional there; docs/dashboards.md says what serves instead",
}
# What is there, and no test of its own names yet.
UNNAMED = {
    "C13": "the workspace's time zone in every report",
    "C67, C69, C78, C86, C87": "conventions that every test of a route leans on",
    "C91": "what a person changes of themselves",
    "C251": "a report in a Slack channel by its id",
    "C288, C291": "a dashboard that is live, and the layout of an issue on a tablet",
}


def named_in(source: str) -> Iterator[tuple[str, str]]:
    """Yield each test and row that a file of tests names: in the test's name, its docstring, or a comment inside it."""
    comments = [
        (token.start[0], token.string) for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.COMMENT
    ]
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            own = [words for line, words in comments if first <= line <= (node.end_lineno or 0)]
            words = " ".join([node.name.replace("_", " "), ast.get_docstring(node) or "", *own])
            for row in spelled(words):
                yield node.name, row


def spelled(words: str) -> Iterator[str]:
    """Yield the rows that a text names, each of a range."""
    for letter, first, last in NAMED.findall(words):
        yield from (f"{letter.upper()}{number}" for number in range(int(first), int(last or first) + 1))


@pytest.mark.parametrize("letter", CHECKLISTS)
def test_every_row_has_a_test_or_says_what_is_missing(letter: str) -> None:
    rows = set(ROWS.findall(shared.shared(CHECKLISTS[letter]).read_text()))
    shown: dict[str, set[str]] = {}
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        for test, row in named_in(file.read_text() if file != Path(__file__) else ""):
            if row.startswith(letter):
                shown.setdefault(row, set()).add(f"{file.name}::{test}")
    listed = [row for table in (MISSING, UNNAMED) for key in table for row in spelled(key) if row.startswith(letter)]
    assert len(listed) == len(set(listed)), "a row stands in one place"
    assert set(shown) - rows == set(), "a test names a row that the reference does not have"
    assert set(listed) - rows == set()
    assert set(listed) & set(shown) == set(), "a row that a test shows leaves the tables above"
    assert rows - set(shown) - set(listed) == set(), "a row is shown by a test, or the tables above say what is missing"


def test_rows_are_read_from_names_docstrings_and_comments() -> None:
    source = '''
@given("x")  # D7
def test_c7_c9_two() -> None:  # C1-C3
    """C20–C21, C30: words of C300, D22–D23."""
    # C8
    assert "C5" != "# C6", "no comment"

def helper() -> None:
    """C99."""
'''
    told = {row for _, row in named_in(source)}
    assert told == {"C1", "C2", "C3", "C7", "C8", "C9", "C20", "C21", "C30", "C300", "D7", "D22", "D23"}
