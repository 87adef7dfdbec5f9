"""Imports go one way; only `core.db` commits; feature code leaves workspaces to the database."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.shared import ROOT

PACKAGE = ROOT / "everfix"
LINES = """
errors
settings
core
audit
identity
documents kept
delivery narrative
ingest ml
failures
metrics
reports exports
deps ranges
pages
api web
migrations
installation
app worker demo
server docs terminal
cli_ml
cli
__main__
"""
LEVEL = {name: level for level, line in enumerate(LINES.strip().splitlines()) for name in line.split()}
FILES = sorted(PACKAGE.rglob("*.py"))
# Connections that exist before there is an application role, or that PostgreSQL wants outside of a transaction.
MAY_COMMIT = {"core/db.py", "migrations/__init__.py"}
# Code that also runs as an owner whom no policy binds.
MAY_NAME_WORKSPACE = {"core/db.py"}


def _part(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def _imports(file: Path) -> set[str]:
    """Return the full names of everfix modules that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "everfix"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides where it points"
            if node.module == "everfix":
                found |= {f"everfix.{alias.name}" for alias in node.names}
            elif node.module and node.module.startswith("everfix."):
                found.add(node.module)
    return found


def _name(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def test_every_package_has_its_line() -> None:
    there = {_name(file) for file in FILES if file != PACKAGE / "__init__.py"}
    assert there <= set(LEVEL), f"new packages need a line in this table and in DESIGN.md: {there - set(LEVEL)}"


@pytest.mark.parametrize(
    "file", FILES[1:] if FILES[0] == PACKAGE / "__init__.py" else FILES, ids=lambda file: str(file.relative_to(PACKAGE))
)
def test_imports_only_from_lines_above(file: Path) -> None:
    own = _name(file)
    for module in sorted(_imports(file)):
        other = _part(module)
        if other in ("", "__version__", own):
            continue
        assert LEVEL[other] < LEVEL[own], f"{file.relative_to(ROOT)} imports {module}: {other} does not stand above {own}"


def test_a_look_upward_is_seen(tmp_path: Path) -> None:
    """The check itself can fail: a later import, inside a function, is found."""
    file = tmp_path / "x.py"
    file.write_text("def f():\n    from everfix.api import v1\n    import everfix.web\n    from everfix import reports\n")
    assert {_part(module) for module in _imports(file)} == {"api", "web", "reports"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_edge_commits(file: Path) -> None:
    if str(file.relative_to(PACKAGE)) in MAY_COMMIT:
        return
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("commit", "rollback")
    ]
    assert not calls, f"{file.relative_to(ROOT)} commits in line {calls}: the edge does"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_feature_code_leaves_workspaces_to_the_database(file: Path) -> None:
    if str(file.relative_to(PACKAGE)) in MAY_NAME_WORKSPACE:
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            named = [part for part in (node.left, *node.comparators) if isinstance(part, ast.Attribute) and part.attr == "workspace_id"]
            assert not named, f"{file.relative_to(ROOT)} compares workspace_id in line {node.lineno}: the policy does that"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "migrations" not in file.parts:
            assert "workspace_id =" not in node.value, f"{file.relative_to(ROOT)} writes `workspace_id =` in line {node.lineno}"


def test_nothing_swallows_errors() -> None:
    """`except Exception` stands in the worker's handler only; the application's is a registered one."""
    found = [
        str(file.relative_to(PACKAGE))
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception")
    ]
    assert found == ["core/jobs.py"]


def test_every_module_opens_with_a_sentence() -> None:
    texts = {str(file.relative_to(PACKAGE)): file.read_text(encoding="utf-8") for file in FILES}
    assert not [name for name, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))]
