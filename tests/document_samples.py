"""Documents to render in tests: one rich in everything, and one whose every text is hostile."""

# ruff: noqa: E501 - rows of sample data read better whole

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from everfix.documents.model import (
    Block,
    Brand,
    Cell,
    Chart,
    Column,
    Document,
    Figure,
    Figures,
    Narrative,
    Period,
    Section,
    Table,
    Text,
    Unit,
)

START, END = date(2026, 10, 19), date(2026, 11, 17)
SERVICES = ("checkout", "payments", "search", "identity", "catalogue", "notifications", "billing", "gateway")
CAUSES = (
    "Connection pool exhausted under Monday load",
    "Payment provider answers 504 after 30 s",
    "Null customer id in the invoice job",
    "Search index lags behind the catalogue",
    "Expired certificate on an internal host",
    "Flaky test: cart total rounds half cents",
    "Disk full on the log volume",
    "Token refresh races with sign-out",
    "Feature flag read before it is loaded",
    "Out-of-order webhook marks order as unpaid",
    "Memory leak in the image resizer",
    "Retry storm after a broker restart",
)


def days() -> list[date]:
    return [START + timedelta(days=n) for n in range((END - START).days + 1)]


def wave(n: int, base: float, swing: float) -> int:
    """A plausible daily count: quiet weekends, a burst in the third week; no randomness, so tests repeat."""
    weekday = (START + timedelta(days=n)).weekday()
    return max(
        0, round(base + swing * ((n * 7 + n * n * 3) % 11 - 5) / 5 - (base * 0.6 if weekday > 4 else 0) + (base if 16 <= n <= 18 else 0))
    )


def kpis() -> Figures:
    spark = tuple(float(wave(n, 30, 8)) for n in range(30))
    return Figures(
        key="kpis",
        figures=(
            Figure(key="failures", title="Failures", value=1204, previous=1391, better="down", spark=spark, note="all sources"),
            Figure(
                key="recurrence",
                title="Recurrence rate",
                value=0.412,
                previous=0.478,
                unit=Unit.PERCENT,
                better="down",
                spark=tuple(0.5 - n * 0.003 for n in range(30)),
            ),
            Figure(
                key="prevented", title="Loops prevented", value=37, previous=22, better="up", spark=tuple(float(n // 2) for n in range(30))
            ),
            Figure(key="risk", title="Highest risk score", value=87, previous=81, unit=Unit.SCORE, better="down"),
            Figure(
                key="repair",
                title="Median time to repair",
                value=8040,
                previous=7260,
                unit=Unit.SECONDS,
                better="down",
                spark=(3.0, 4.0, 2.0, 5.0, 6.0, 5.5),
            ),
            Figure(key="cost", title="Cost of repeated failures", value=128400, previous=141950, unit=Unit.MONEY, better="down"),
            Figure(key="patterns", title="Patterns watched", value=43, previous=43, note="no change"),
            Figure(key="hit", title="Forecast precision", value=0.71, previous=None, unit=Unit.PROBABILITY, note="first period measured"),
        ),
    )


def trend() -> Chart:
    rows = tuple((day.isoformat(), wave(n, 40, 12), wave(n, 26, 9)) for n, day in enumerate(days()))
    columns = (
        Column(key="day", title="Day", unit=Unit.DATE),
        Column(key="failures", title="All failures", unit=Unit.COUNT),
        Column(key="repeated", title="Repeated", unit=Unit.COUNT),
    )
    table = Table(key="trend_data", title="Failures per day", columns=columns, rows=rows)
    return Chart(
        key="trend",
        title="Failures per day",
        form="line",
        table=table,
        x="day",
        y=("failures", "repeated"),
        alt="Failures per day fell from 46 to 31; repeated ones make up two thirds.",
    )


def forecast() -> Chart:
    rows: list[tuple[Cell, ...]] = []
    for n in range(45):
        day = START + timedelta(days=n)
        value = 52 + n * 0.6 + ((n * 5) % 7 - 3) * (1.2 if n < 30 else 0.4)
        spread = None if n < 29 else (n - 29) * 0.9
        rows.append(
            (
                day.isoformat(),
                round(value, 2),
                None if spread is None else round(value - spread, 2),
                None if spread is None else round(value + spread, 2),
            )
        )
    columns = (
        Column(key="day", title="Day", unit=Unit.DATE),
        *(Column(key=k, title=t, unit=Unit.SCORE) for k, t in (("risk", "Composite risk"), ("low", "Lower"), ("high", "Upper"))),
    )
    table = Table(key="forecast_data", columns=columns, rows=tuple(rows))
    return Chart(key="forecast", title="Composite risk, observed and projected", form="line", table=table, x="day", y=("risk",), lower="low", upper="high",
                 split=END.isoformat(), threshold=75, threshold_label="Alert threshold 75", alt="Composite risk rises from 52 to 69 and is projected to cross 75 in late November.")  # fmt: skip


def costs() -> Chart:
    rows = tuple((name, 31200 - n * 3650 + (n % 3) * 400) for n, name in enumerate(SERVICES))
    table = Table(
        key="cost_data", columns=(Column(key="service", title="Service"), Column(key="cost", title="Cost", unit=Unit.MONEY)), rows=rows
    )
    return Chart(
        key="costs",
        title="Cost of repeated failures by service",
        form="bar",
        table=table,
        x="service",
        y=("cost",),
        alt="Checkout costs most, $31,200.",
    )


def weekly() -> Chart:
    rows = tuple(((START + timedelta(days=7 * n)).isoformat(), 4 + n * 2, 9 - n) for n in range(5))
    columns = (
        Column(key="week", title="Week", unit=Unit.DATE),
        Column(key="prevented", title="Prevented", unit=Unit.COUNT),
        Column(key="occurred", title="Occurred", unit=Unit.COUNT),
    )
    table = Table(key="weekly_data", columns=columns, rows=rows)
    return Chart(
        key="weekly",
        title="Loops prevented and occurred, by week",
        form="column",
        table=table,
        x="week",
        y=("prevented", "occurred"),
        alt="Prevented loops rose from 4 to 12 a week.",
    )


def backlog() -> Chart:
    rows = tuple((day.isoformat(), 300 + n * 4, 200 - n * 3) for n, day in enumerate(days()))
    columns = (
        Column(key="day", title="Day", unit=Unit.DATE),
        Column(key="open", title="Open", unit=Unit.COUNT),
        Column(key="fixing", title="Being fixed", unit=Unit.COUNT),
    )
    return Chart(
        key="backlog",
        title="Issues open and being fixed",
        form="area",
        table=Table(key="backlog_data", columns=columns, rows=rows),
        x="day",
        y=("open", "fixing"),
        alt="Open issues rise to 416.",
    )


def calendar() -> Chart:
    rows = tuple((day.isoformat(), wave(n, 40, 12)) for n, day in enumerate(days()))
    table = Table(
        key="calendar_data",
        columns=(Column(key="day", title="Day", unit=Unit.DATE), Column(key="failures", title="Failures", unit=Unit.COUNT)),
        rows=rows,
    )
    return Chart(
        key="calendar",
        title="Failures by weekday",
        form="heatmap",
        table=table,
        x="day",
        y=("failures",),
        alt="Mondays carry the most failures.",
    )


def segments() -> Chart:
    rows = tuple(
        (service, f"P{p + 1}", None if (n + p) % 5 == 4 else (n * 13 + p * 7) % 40) for n, service in enumerate(SERVICES) for p in range(6)
    )
    columns = (
        Column(key="service", title="Service"),
        Column(key="pattern", title="Pattern"),
        Column(key="count", title="Occurrences", unit=Unit.COUNT),
    )
    return Chart(
        key="segments",
        title="Service × pattern",
        form="heatmap",
        table=Table(key="segment_data", columns=columns, rows=rows),
        x="pattern",
        series="service",
        y=("count",),
        alt="Occurrences by service and pattern.",
    )


def scatter() -> Chart:
    rows = tuple((cause[:24], 600 + n * 1900, 0.1 + (n * 29 % 80) / 100) for n, cause in enumerate(CAUSES))
    columns = (
        Column(key="cause", title="Cause"),
        Column(key="repair", title="Median time to repair", unit=Unit.SECONDS),
        Column(key="recur", title="Probability of recurrence", unit=Unit.PROBABILITY),
    )
    return Chart(
        key="scatter",
        title="Slow to repair, likely to return",
        form="scatter",
        table=Table(key="scatter_data", columns=columns, rows=rows),
        x="repair",
        y=("recur",),
        alt="Twelve causes by time to repair and probability.",
    )


def matrix() -> Chart:
    impacts = ("Minor", "Severe", "Major", "Moderate", "Major", "Negligible", "Severe", "Minor", "Moderate", "Major", "Minor", "Moderate")
    rows = tuple((cause, impacts[n], 0.05 + (n * 31 % 90) / 100) for n, cause in enumerate(CAUSES))
    columns = (
        Column(key="cause", title="Pattern"),
        Column(key="impact", title="Impact"),
        Column(key="likelihood", title="Likelihood", unit=Unit.PROBABILITY),
    )
    return Chart(
        key="matrix",
        title="Probability matrix",
        form="matrix",
        table=Table(key="matrix_data", columns=columns, rows=rows),
        x="impact",
        y=("likelihood",),
        alt="Two patterns are both likely and severe.",
    )


def patterns(count: int = 10, total: int = 143) -> Table:
    columns = (
        Column(key="pattern", title="Pattern", wide=True),
        Column(key="service", title="Service"),
        Column(key="occurrences", title="Occurrences", unit=Unit.COUNT, bar=True),
        Column(key="risk", title="Risk", unit=Unit.SCORE, bar=True),
        Column(key="probability", title="Returns in 30 days", unit=Unit.PROBABILITY),
        Column(key="cost", title="Cost", unit=Unit.MONEY),
        Column(key="last", title="Last seen", unit=Unit.DATE),
    )
    rows = tuple(
        (
            CAUSES[n % len(CAUSES)],
            SERVICES[n % len(SERVICES)],
            max(1, 96 - n * 7),
            max(5, 92 - n * 5),
            max(0.02, 0.91 - n * 0.06),
            max(100, 31200 - n * 2900),
            (END - timedelta(days=n)).isoformat(),
        )
        for n in range(count)
    )
    links = tuple(f"https://everfix.example/patterns/{n}" if n % 2 == 0 else None for n in range(count))
    return Table(key="patterns", title="Top patterns", columns=columns, rows=rows, total_rows=total, links=links, note="Ordered by risk.")


def issues(count: int = 300) -> Table:
    columns = (
        Column(key="id", title="Issue"), Column(key="title", title="Title", wide=True), Column(key="service", title="Service"),
        Column(key="seen", title="First seen", unit=Unit.DATETIME), Column(key="repair", title="Time to repair", unit=Unit.SECONDS),
        Column(key="change", title="Change", unit=Unit.PERCENT, better="down"), Column(key="resolved", title="Resolved", unit=Unit.FLAG),
    )  # fmt: skip
    moment = datetime(2026, 11, 17, 22, 10, tzinfo=UTC)
    rows = tuple(
        (
            f"ISS-{1000 + n}",
            CAUSES[n % len(CAUSES)],
            SERVICES[n * 3 % len(SERVICES)],
            (moment - timedelta(minutes=97 * n)).isoformat(),
            None if n % 9 == 8 else 300 + n * 61,
            (n * 37 % 80 - 40) / 100,
            n % 3 != 0,
        )
        for n in range(count)
    )
    return Table(
        key="issues",
        title="All issues of the period",
        columns=columns,
        rows=rows,
        links=tuple(f"https://everfix.example/issues/{n}" for n in range(count)),
    )


def wide() -> Table:
    columns = (Column(key="service", title="Service"), *(Column(key=f"w{n}", title=f"Week {n + 1}", unit=Unit.MONEY) for n in range(18)))
    rows = tuple((service, *(1000 * (n + 1) + w * 137 for w in range(18))) for n, service in enumerate(SERVICES))
    return Table(key="wide", title="Cost by service and week", columns=columns, rows=rows)


def rich() -> Document:
    empty = Table(
        key="nothing",
        title="Overdue verifications",
        columns=(Column(key="fix", title="Fix"), Column(key="due", title="Due", unit=Unit.DATE)),
        empty="No verification is overdue.",
    )
    words = Text(
        key="method",
        title="How to read this",
        paragraphs=("A loop is a failure that came back after it was fixed.", "Risk combines frequency, impact and how often fixes held."),
    )
    warning = Text(
        key="warning", role="warning", paragraphs=("Two connectors have not reported since 12 Nov 2026; figures of billing may be low.",)
    )
    failed = Text(
        key="failed", role="error", title="One section could not be built", paragraphs=("The source “deployments” answered too late.",)
    )
    sections: tuple[Section, ...] = (
        Section(id="snapshot", title="Snapshot", blocks=(kpis(), warning)),
        Section(id="trend", title="Risk and trend", blocks=(trend(), forecast(), calendar(), weekly())),
        Section(id="patterns", title="What keeps failing", blocks=(patterns(), costs(), matrix())),
        Section(id="details", title="Where it concentrates", blocks=(segments(), scatter(), backlog(), empty, failed)),
        Section(id="weeks", title="Cost by week", blocks=(wide(),)),
        Section(id="appendix", title="Appendix: all issues", blocks=(words, issues())),
    )
    return document(sections, narrative())


def narrative() -> Narrative:
    return Narrative(
        executive_summary=(
            "Failures fell 13.4 % to 1,204, and 37 loops were prevented, 15 more than in the 30 days before. The highest risk score rose to 87: exhausted connection pools in checkout return on most Mondays.",
            "Repeated failures cost $128,400, of which checkout carries $31,200. Median time to repair lengthened to 2 h 14 min.",
        ),
        sections={
            "trend": "Failures peaked from 4 to 6 Nov 2026 after a broker restart and have been below the period's mean since. Composite risk is projected to cross the alert threshold of 75 before the end of the month.",
            "patterns": "Ten of 143 patterns account for most of the cost. The first three have a fix proposed and none verified.",
        },
        key_takeaways=(
            "Fix the connection pool first: 91 % likely to return within 30 days.",
            "Recurrence fell from 47.8 % to 41.2 %, the third decline in a row.",
            "Median time to repair is 13 min longer than in the previous period.",
        ),
        note="Written by rules from the figures of this report.",
    )


def document(sections: tuple[Section, ...], story: Narrative | None = None, **changes: object) -> Document:
    base: dict[str, object] = {
        "title": "Executive summary", "subtitle": "What failed, what returned and what was prevented", "workspace": "Northwind Retail",
        "period": Period(start=START, end=END, previous_start=date(2026, 9, 19), previous_end=date(2026, 10, 18), label="Last 30 days", timezone="Europe/Berlin"),
        "generated_at": datetime(2026, 11, 18, 7, 0, tzinfo=UTC), "brand": Brand(), "notices": ("The data of this report are simulated.",),
        "sections": sections, "narrative": story, "link": "https://everfix.example/reports/1", "template": "executive", "code_version": "0.1.0",
    }  # fmt: skip
    return Document.model_validate({**base, **changes})


HOSTILE = (
    '#import "@preview/x:1.0.0": * #read("/etc/passwd") $x^2$ *bold* _it_ `raw` <label> @ref [b] {c} \\ // c',
    "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;</style></svg>{{ 7*7 }}{% x %}",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png) | a | b |\n# heading\n- item\n> quote <@U123> <!channel>",
    '=HYPERLINK("http://evil.example","x")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1:A9)", "\t=1+1", "\r=1+1",
    "مرحبا بالعالم שלום עולם \u202egnp.exe", "中文标题 日本語のテキスト 한국어 문장", "🚀🔥✅👩‍💻 e\u0301 \u200d",
    "bell\x07 esc\x1b[31m del\x7f nel\x85 form\x0c", "x" * 10_000, "word " * 2_000, " lead\u2028line\u2029para\u00a0end ", "\ufffe\uffff\U0010ffff\U000e0001",
)  # fmt: skip


def hostile() -> Document:
    """A Document in which every text is an attack or an accident; figures stay sane."""
    blocks: list[Block] = [
        Figures(
            key="kpis",
            title=HOSTILE[0],
            figures=tuple(Figure(key=f"f{n}", title=text, value=n, previous=n + 1, note=text) for n, text in enumerate(HOSTILE)),
        ),
        Text(key="words", title=HOSTILE[1], role="warning", paragraphs=HOSTILE),
    ]
    columns = (
        Column(key="a", title=HOSTILE[2], wide=True),
        Column(key="b", title=HOSTILE[0]),
        Column(key="n", title=HOSTILE[3], unit=Unit.NUMBER),
    )
    rows = tuple((text, text, -1.5 * n) for n, text in enumerate(HOSTILE))
    links = tuple("javascript:alert(1)" if n % 2 else "https://everfix.example/?a=1&b=(x)|_y_" for n in range(len(rows)))
    table = Table(key="table", title=HOSTILE[1], columns=columns, rows=rows, links=links, note=HOSTILE[0], total_rows=999)
    blocks.append(table)
    forms = (("bar", "a"), ("column", "a"), ("line", "a"), ("area", "a"))
    blocks += [
        Chart.model_validate(
            {
                "key": f"c{n}",
                "title": HOSTILE[n],
                "form": form,
                "table": table,
                "x": x,
                "y": ("n",),
                "alt": HOSTILE[n],
                "threshold": 1.0,
                "threshold_label": HOSTILE[0],
            }
        )
        for n, (form, x) in enumerate(forms)
    ]
    story = Narrative(executive_summary=HOSTILE, sections={"one": "\n\n".join(HOSTILE)}, key_takeaways=HOSTILE, note=HOSTILE[1])
    sections = (Section(id="one", title=HOSTILE[1], blocks=tuple(blocks)), Section(id="two", title=HOSTILE[10], blocks=()))
    logo = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10" onload="alert(1)"><script>alert(1)</script><rect width="10" height="10"/></svg>'
    return document(
        sections, story, title=HOSTILE[0], subtitle=HOSTILE[2], workspace=HOSTILE[1], notices=HOSTILE,
        brand=Brand(name=HOSTILE[1], colour="#ffee00", logo_svg=logo), link="javascript:alert(1)", template=HOSTILE[4], code_version=HOSTILE[0],
    )  # fmt: skip
