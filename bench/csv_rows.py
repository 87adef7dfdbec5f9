"""Rows a second of writing CSV that no spreadsheet evaluates, against the csv module alone and with the plainest neutralising."""

from __future__ import annotations

import csv
import io

from bench import figures, rows, tables
from everfix.documents import to_csv

COUNT = 100_000
ROUNDS = 3
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def run() -> figures.Result:
    """Write the same rows into memory with each, taking turns."""
    document, data = tables.document(COUNT), list(rows.raw(COUNT))
    made: dict[str, int] = {}

    def ours() -> None:
        made["ours"] = len(to_csv.render(document))

    def plain() -> None:
        made["plain"] = len(_written(data))

    def prefixed() -> None:
        made["prefixed"] = len(_written([[_prefixed(cell) for cell in row] for row in data]))

    best = figures.best_of(ROUNDS, (("ours", ours), ("plain", plain), ("prefixed", prefixed)))
    result = figures.Result(f"CSV: {COUNT:,} rows × 10 columns", ("writer", "rows", "against ours", "file"))
    names = {
        "ours": "Everfix, formulas neutralised",
        "plain": "csv module, formulas live",
        "prefixed": "csv module, a quote before dangerous texts",
    }
    for key, name in names.items():
        result.add(name, figures.per_second(COUNT, best[key]), figures.ratio(best["ours"] / best[key]), f"{made[key] / 1e6:.1f} MB")
    result.notes.append(
        "the plain quote also mars signed numbers in texts (-3.5, +49 …) and misses formulas behind blanks; ours does neither"
    )
    return result


def _prefixed(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(DANGEROUS) else cell


def _written(data: list[rows.Raw] | list[list[object]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(rows.HEADERS)
    writer.writerows(data)
    return out.getvalue().encode()


if __name__ == "__main__":
    print("\n".join(run().lines()))
