"""Pictures: a report's charts as its mail shows them, drawn by the code that draws them for its files.

They are drawn anew when a run is made again: the same Document gives the same picture at the same place in the storage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from everfix.core import jobs
from everfix.delivery import outbox
from everfix.delivery.messages import Picture
from everfix.documents import cells, charts
from everfix.documents.model import Chart, Document
from everfix.reports import runs as kept
from everfix.reports import sending, variants

Drawn = dict[UUID, list[Picture]]  # by run, since each variant has its own
WIDTH, GROUND = 584, "#ffffff"  # pixels of a mail's column; a dark mail must not put dark letters on a dark ground
SHARP = 2.0  # pixels of the picture for each of the page


def draw(job: jobs.Running, run_id: UUID) -> Drawn:
    """Draw and store the charts of a run and of its variants, where a mail waits for them; no transaction may be open."""
    with job.database.transaction(job.workspace) as db:
        run = kept.get(db, run_id)
        if not any(row.channel == "mail" and row.status in outbox.WAITING for row in sending.rows(db, run)):
            return {}
        by_recipient = run.inputs.get("run_as") == "recipient"
        told = [(one.id, one.document) for one in (variants.children(db, run_id) if by_recipient else (run,))]
    return {one: list(_stored(job, one, Document.model_validate(document))) for one, document in told}


def _stored(job: jobs.Running, run_id: UUID, document: Document) -> Iterator[Picture]:
    for place, chart in enumerate(_charts(document), 1):
        body = charts.png(
            charts.svg(
                chart, width=WIDTH, currency=document.currency, timezone=document.period.timezone,
                brand=document.brand.colour, ground=GROUND,
            ),
            scale=SHARP,
        )  # fmt: skip
        filename = f"chart-{place}.png"
        stored = job.services.storage.put(job.workspace, f"reports/{run_id}/mail/{filename}", body)
        yield Picture(
            format="png",
            filename=filename,
            media_type="image/png",
            size=stored.size,
            sha256=stored.sha256,
            storage_key=stored.key,
            title=cells.title(chart),
            alt=cells.heading(chart.alt, "Chart", 2000),
            width=WIDTH,
        )


def _charts(document: Document) -> Sequence[Chart]:
    blocks = (block for section in document.sections for block in section.blocks)
    return [block for block in blocks if isinstance(block, Chart) and block.table.rows]
