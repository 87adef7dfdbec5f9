"""Rows a second and memory of writing a workbook: our renderer against XlsxWriter (constant memory) and openpyxl (write only)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import figures, peers

COUNT = 200_000
ROUNDS = 2
ROOT = str(Path(__file__).resolve().parent.parent)

OURS = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from bench import rows, tables
from everfix.documents import to_xlsx
import rustpy_xlsxwriter
document = tables.document(int(sys.argv[3]))
before, start, cpu = rows.peak(), time.perf_counter(), time.process_time()
made = to_xlsx.render(document)
open(sys.argv[2], "wb").write(made)
took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
print(json.dumps({**took, "memory": rows.peak() - before, "bytes": len(made)}))
"""
XLSXWRITER = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
from bench import rows
import xlsxwriter
data = list(rows.typed(int(sys.argv[3])))
before, start, cpu = rows.peak(), time.perf_counter(), time.process_time()
book = xlsxwriter.Workbook(sys.argv[2], {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
sheet = book.add_worksheet("Issues")
day, moment = book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
formats = [None] * 7 + [day, moment, None]
sheet.freeze_panes(1, 0)
for place, title in enumerate(rows.HEADERS):
    sheet.set_column(place, place, 14, formats[place])
    sheet.write(0, place, title, book.add_format({"bold": True}))
text, count, time_ = sheet.write_string, sheet.write_number, sheet.write_datetime  # quicker than `write`, which looks at each cell first
writers = [text, text, text, count, count, count, count, time_, time_, text]
for number, row in enumerate(data, 1):
    for place, cell in enumerate(row):
        writers[place](number, place, cell, formats[place])
book.close()
took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
print(json.dumps({**took, "memory": rows.peak() - before, "bytes": os.path.getsize(sys.argv[2])}))
"""
OPENPYXL = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
from bench import rows
import openpyxl
data = list(rows.typed(int(sys.argv[3])))
before, start, cpu = rows.peak(), time.perf_counter(), time.process_time()
book = openpyxl.Workbook(write_only=True)
sheet = book.create_sheet("Issues")
sheet.freeze_panes = "A2"
sheet.append(rows.HEADERS)
for row in data:
    sheet.append(row)
book.save(sys.argv[2])
took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
print(json.dumps({**took, "memory": rows.peak() - before, "bytes": os.path.getsize(sys.argv[2])}))
"""


def run() -> figures.Result:
    """Write the same rows with each library, each time in a process of its own, taking turns; the quickest of each counts."""
    result = figures.Result(f"XLSX: {COUNT:,} rows × 10 columns, typed cells", ("writer", "rows", "seconds", "CPU", "memory grown", "file"))
    with tempfile.TemporaryDirectory(prefix="everfix-bench-") as temporary:
        file = str(Path(temporary) / "book.xlsx")
        contestants: dict[str, Callable[[], dict[str, float]]] = {
            f"Everfix (rustpy-xlsxwriter {peers.own('rustpy-xlsxwriter')})": lambda: peers.run_python(
                sys.executable, OURS, ROOT, file, str(COUNT)
            ),
            "XlsxWriter, constant memory": lambda: peers.call(XLSXWRITER, "XlsxWriter", ROOT, file, str(COUNT)),
            "openpyxl, write only": lambda: peers.call(OPENPYXL, "openpyxl", ROOT, file, str(COUNT)),
        }
        best: dict[str, dict[str, float]] = {}
        for _ in range(ROUNDS):
            for name, write in contestants.items():
                try:
                    measured = write()
                except peers.Missing as problem:
                    if not any(name in said for said in result.missing):
                        result.missing.append(f"{name}: {problem}")
                    continue
                if name not in best or measured["seconds"] < best[name]["seconds"]:
                    best[name] = measured
    for name, one in best.items():
        result.add(
            name,
            figures.per_second(COUNT, one["seconds"]),
            f"{one['seconds']:.1f} s",
            f"{one['cpu']:.1f} s",
            f"{one['memory']:.0f} MB",
            f"{one['bytes'] / 1e6:.1f} MB",
        )
    seconds = {name.split(" ")[0].rstrip(","): one["seconds"] for name, one in best.items()}
    result.goals.append(_against(seconds, "XlsxWriter", 4.0))
    if "openpyxl" in seconds and "Everfix" in seconds:
        result.notes.append(f"against openpyxl: {figures.ratio(seconds['openpyxl'] / seconds['Everfix'])}")
    result.notes.append(
        "Everfix turns ISO days and instants of the Document into Excel's own and clears every text; the peers get them ready made"
    )
    return result


def _against(seconds: dict[str, float], peer: str, limit: float) -> figures.Goal:
    reached = seconds[peer] / seconds["Everfix"] if peer in seconds and "Everfix" in seconds else None
    return figures.Goal(f"rows a second against {peer}", reached, limit, at_least=True)


if __name__ == "__main__":
    print("\n".join(run().lines()))
