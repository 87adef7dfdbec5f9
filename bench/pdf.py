"""Seconds from a Document to a PDF: ours against WeasyPrint and Chromium on our HTML of the same Document."""

from __future__ import annotations

import contextlib
import html
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import figures, peers
from everfix import documents
from everfix.documents import charts
from everfix.documents.model import Document, Section
from everfix.web import files
from tests import document_samples as samples

ROUNDS = 2
LIMIT = 120.0
PRINTED, DRAWN = "Chromium, our finished HTML", "Chromium, a dashboard that draws its charts"
FILES = {"WeasyPrint": "weasyprint.pdf", PRINTED: "chromium.pdf", DRAWN: "dashboard.pdf"}
ROOT = str(Path(__file__).resolve().parent.parent)

OURS = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from everfix import documents
from everfix.documents import charts
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
    """Return a report as an executive gets it: figures, a story, twelve charts and a table of patterns."""
    again = (samples.weekly(), samples.costs(), samples.backlog())
    more = tuple(chart.model_copy(update={"key": f"{chart.key}_again", "title": f"{chart.title}, by team"}) for chart in again)
    sections = (
        Section(id="snapshot", title="Snapshot", blocks=(samples.kpis(),)),
        Section(id="trend", title="Risk and trend", blocks=(samples.trend(), samples.forecast(), samples.calendar(), samples.weekly())),
        Section(
            id="patterns", title="What keeps failing", blocks=(samples.patterns(), samples.costs(), samples.matrix(), samples.backlog())
        ),
        Section(id="where", title="Where it fails", blocks=(samples.segments(), samples.scatter(), *more)),
    )
    return samples.document(sections, samples.narrative())


def dashboard(document: Document) -> str:
    """Return the page of a dashboard with the same charts, which its scripts draw when a browser opens it; what tools that print
    dashboards point their browser at.
    """
    charts_js = (files.STATIC / "dist" / files.built()["charts.js"].removeprefix("dist/")).read_text(encoding="utf-8")
    figures_: list[str] = []
    for section in document.sections:
        for block in section.blocks:
            if block.kind == "chart":
                data = json.dumps({"spec": charts.spec(block, width="container", height=charts.tall(block)), "dark": {}}).replace(
                    "<", "\\u003c"
                )
                figures_.append(
                    f'<figure data-chart="{block.key}"><h3>{html.escape(block.title)}</h3><div data-canvas style="width:640px"></div>'
                    f'<script type="application/json">{data}</script></figure>'
                )
    body = "".join(figures_)
    return (
        f'<!doctype html><meta charset="utf-8"><body style="font-family:sans-serif">{body}<script type="module">{charts_js}</script></body>'
    )


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
        (folder / "dashboard.html").write_text(dashboard(document), encoding="utf-8")
        best: dict[str, dict[str, float]] = {}
        for _ in range(ROUNDS):
            for name, render in _contestants(folder).items():
                with _counted(result, name):
                    measured = render()
                    if name not in best or measured["first"] < best[name]["first"]:
                        best[name] = measured
        for name, one in best.items():
            file = folder / FILES.get(name, "everfix.pdf")
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
        PRINTED: lambda: _chromium(folder, "report.html", "chromium.pdf"),
        DRAWN: lambda: _chromium(folder, "dashboard.html", "dashboard.pdf"),
    }


def _chromium(folder: Path, page: str, name: str) -> dict[str, float]:
    out = folder / name
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
            "--virtual-time-budget=10000",
            f"--print-to-pdf={out}",
            (folder / page).as_uri(),
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
    ours = next((one for name, one in best.items() if name.startswith("Everfix")), None)
    result.goals.append(figures.Goal("seconds of the first PDF of a process", ours["first"] if ours else None, 1.5, at_least=False))
    for name, limit in ((DRAWN, 5.0), ("WeasyPrint", 10.0)):
        there = ours is not None and name in best
        reached = best[name]["first"] / ours["first"] if ours is not None and there else None
        result.goals.append(figures.Goal(f"first PDF against {name}", reached, limit, at_least=True))
        if ours is not None and there and "again" in best[name]:
            result.notes.append(
                f"again, in a process that has made one, against {name}: {figures.ratio(best[name]['again'] / ours['again'])}"
            )
    if ours is not None and PRINTED in best:
        result.notes.append(f"first PDF against {PRINTED}: {figures.ratio(best[PRINTED]['first'] / ours['first'])}")
    if ours is not None and DRAWN in best:
        result.notes.append(
            f"a worker's PDF (again) against {DRAWN}, which starts a browser each time: {figures.ratio(best[DRAWN]['first'] / ours['again'])}"
        )
    result.notes.append(
        "WeasyPrint and the first Chromium get finished HTML with the charts drawn; ours draws them too, as does the dashboard."
        " WeasyPrint's first includes its import, Chromium's its start"
    )
    result.notes.append(
        "first: the process has made no PDF, so the drawing library, the typesetter and the fonts are loaded, too;"
        " again: the same Document once more, each chart drawn and each page set anew, as nothing is kept of either"
    )


if __name__ == "__main__":
    print("\n".join(run().lines()))
