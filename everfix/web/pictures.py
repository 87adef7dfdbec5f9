"""Pictures that a template draws from a table: bars of runs, and segments against patterns."""

from __future__ import annotations

from everfix.documents.model import Table, Unit
from everfix.web import shown
from everfix.web.shown import Json

NARROW = 12  # columns of the heatmap


def bars(reader: shown.Reader, table: Table) -> list[Json]:
    """Return a bar for each run, oldest first: its height against the 95th percentile in twentieths, its id and exact latency."""
    made = []
    for row in reversed(table.rows):
        run, kind, status, _, seconds, of_p95 = row
        height = min(20, max(1, round(20 * float(of_p95 or 0) / 1.25)))
        title = f"{kind} {run}: {float(seconds or 0):.2f} s, {reader.words(status, Unit.TEXT)}"
        made.append({"height": height, "status": status, "title": title})
    return made


def heatmap(table: Table) -> Json:
    """Return segments against patterns: a column for each segment, a row for each pattern, and how strong each cell's colour is (0–5)."""
    columns = list(dict.fromkeys(str(row[0]) for row in table.rows))[:NARROW]
    most = max((int(row[2] or 0) for row in table.rows), default=0)
    lines: dict[str, Json] = {}
    for row, link in zip(table.rows, table.links, strict=True):
        if str(row[0]) in columns:
            line = lines.setdefault(str(link), {"pattern": row[1], "href": link, "cells": []})
            count = int(row[2] or 0)
            line["cells"].append({"segment": row[0], "count": count, "level": -(-5 * count // most) if most else 0})
    return {"columns": columns, "rows": list(lines.values())}
