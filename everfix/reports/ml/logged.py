"""What a deployment logged in the report's time: its rows, its traffic, and the sample they are compared with."""

from __future__ import annotations

from everfix.ml import deployments
from everfix.ml.figures import deployment
from everfix.ml.figures.frames import Frames
from everfix.reports.ml.work import Work


def of(work: Work) -> Frames:
    """Return the prediction log of the report's time; raises Absent where nothing was logged."""
    return work.once("log", lambda: _of(work))


def _of(work: Work) -> Frames:
    parts = work.read(lambda db: deployments.parts(db, work.entity.id, work.since, work.until))
    return work.tables([table for _, table in parts], "prediction in this time")


def traffic(work: Work) -> deployment.Traffic:
    """Return its traffic; raises Absent, Unmade."""
    return work.once("traffic", lambda: deployment.traffic(of(work)))


def reference(work: Work) -> Frames:
    """Return the sample that the log is compared with; raises Absent."""
    return work.once("reference", lambda: Frames(files=work.table(work.entity.reference_id, "reference sample").files).near())
