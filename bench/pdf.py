"""Seconds from a Document to a PDF: ours against WeasyPrint and Chromium on our HTML of the same Document."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import figures, peers
from everfix import documents
from everfix.documents.model import Document, Section
from tests import document_samples as samples

ROUNDS = 2
LIMIT = 120.0
ROOT = str(Path(__file__).resolve().parent.parent)

OURS = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from everfix import documents
from everfix.documents.model import Document
document = Document.model_validate_json(open(sys.argv[2], encoding="utf-8").read())
taken, cpu = [], time.process_time()
for _ in range(3):
    start = time.perf_counter()
    made = documents.render(document, "pdf")
    taken.append(time.perf_counter() - start)
    if len(taken) == 1:
        cpu = time.process_time() - cpu
open(sys.argv[3], "wb").write(made)
from bench import rows
print(json.dumps({"first": taken[0], "again": min(taken[1:]), "cpu": cpu, "memory": rows.peak()}))
"""
WEASYPRINT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
start, cpu = time.perf_counter(), time.process_time()
import weasyprint
taken = []
for _ in range(2):
    weasyprint.HTML(filename=sys.argv[2]).write_pdf(sys.argv[3])
    taken.append(time.perf_counter() - start)
    if len(taken) == 1:
        cpu = time.process_time() - cpu
    start = time.perf_counter()
from bench import rows
print(json.dumps({"first": taken[0], "again": taken[1], "cpu": cpu, "memory": rows.peak()}))
"""


def executive() -> Document:
    """Return a report as an executive gets it: figures, a story, seven charts and a table of patterns."""
    sections = (
        Section(id="snapshot", title="Snapshot", blocks=(samples.kpis(),)),
        Section(id="trend", title="Risk and trend", blocks=(samples.trend(), samples.forecast(), samples.calendar(), samples.weekly())),
        Section(
            id="patterns", title="What keeps failing", blocks=(samples.patterns(), samples.costs(), samples.matrix(), samples.backlog())
        ),
    )
    return samples.document(sections, samples.narrative())


def run() -> figures.Result:
    """Render with each, each time in a process of its own, taking turns; the quickest of each counts."""
    document = executive()
    charts = sum(block.kind == "chart" for section in document.sections for block in section.blocks)
    result = figures.Result(
        f"PDF: an executive report with {charts} charts",
        ("renderer", "first in its process", "its CPU", "again", "memory", "file", "pages"),
    )
    with tempfile.TemporaryDirectory(prefix="everfix-bench-") as temporary:
        folder = Path(temporary)
        (folder / "report.json").write_bytes(documents.render(document, "json"))
        (folder / "report.html").write_bytes(documents.render(document, "html"))
        best: dict[str, dict[str, float]] = {}
        for _ in range(ROUNDS):
            for name, render in _contestants(folder).items():
                with _counted(result, name):
                    measured = render()
                    if name not in best or measured["first"] < best[name]["first"]:
                        best[name] = measured
        for name, one in best.items():
            file = folder / f"{name.split(' ')[0].lower()}.pdf"
            again = f"{one['again']:.2f} s" if "again" in one else "–"
            memory = f"{one['memory']:.0f} MB" if "memory" in one else "–"
            result.add(
                name,
                f"{one['first']:.2f} s",
                f"{one['cpu']:.2f} s",
                again,
                memory,
                f"{file.stat().st_size / 1000:.0f} kB",
                str(_pages(file)),
            )
    _judge(result, best)
    return result


@contextlib.contextmanager
def _counted(result: figures.Result, name: str) -> Iterator[None]:
    """Say once that a renderer is missing."""
    try:
        yield
    except peers.Missing as problem:
        if not any(said.startswith(name) for said in result.missing):
            result.missing.append(f"{name}: {problem}")


def _contestants(folder: Path) -> dict[str, Callable[[], dict[str, float]]]:
    source, page = str(folder / "report.json"), str(folder / "report.html")
    return {
        f"Everfix (Typst {peers.own('typst')})": lambda: peers.run_python(
            sys.executable, OURS, ROOT, source, str(folder / "everfix.pdf"), timeout=LIMIT
        ),
        "WeasyPrint": lambda: peers.call(WEASYPRINT, "weasyprint", ROOT, page, str(folder / "weasyprint.pdf"), timeout=LIMIT),
        "Chromium": lambda: _chromium(folder),
    }


def _chromium(folder: Path) -> dict[str, float]:
    out = folder / "chromium.pdf"
    out.unlink(missing_ok=True)
    before = _children()
    words = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with tempfile.TemporaryDirectory(prefix="everfix-bench-", ignore_cleanup_errors=True) as profile, figures.clock() as taken:
        command = [
            peers.chromium(),
            *words,
            f"--user-data-dir={profile}",
            "--no-pdf-header-footer",
            f"--print-to-pdf={out}",
            (folder / "report.html").as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise peers.Missing(f"took longer than {LIMIT:.0f} s") from None
    if not out.exists():
        raise peers.Missing(f"made no PDF: {done.stderr.strip()[-200:]}")
    return {"first": taken[0], "cpu": _children() - before}


def _children() -> float:
    """Return the processor seconds of all ended child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _pages(file: Path) -> int:
    from pypdf import PdfReader

    return len(PdfReader(file).pages)


def _judge(result: figures.Result, best: dict[str, dict[str, float]]) -> None:
    found = {name.split(" ")[0]: one for name, one in best.items()}
    ours = found.get("Everfix")
    result.goals.append(figures.Goal("seconds of the first PDF of a process", ours["first"] if ours else None, 1.5, at_least=False))
    for name in ("WeasyPrint", "Chromium"):
        if ours and name in found:
            result.notes.append(f"against {name}: {figures.ratio(found[name]['first'] / ours['first'])}")
    result.notes.append(
        "Chromium and WeasyPrint get finished HTML with the charts drawn; ours draws them too."
        " WeasyPrint's first includes its import, Chromium's its start"
    )


if __name__ == "__main__":
    print("\n".join(run().lines()))
