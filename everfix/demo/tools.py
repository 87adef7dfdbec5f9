"""The tools that report failures: how each names a failure, links to it, and what it tells besides. Data, and the makers of ids."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random

from everfix.demo import company, wording
from everfix.demo.causes import Kind

# ruff: noqa: E501 - a table of texts: one text, one line


@dataclass(frozen=True, slots=True)
class Seen:
    """What an id may depend on."""

    random: Random
    service: str
    title: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Tool:
    """`kind` is what the tool reports, whatever lies behind it; `url` holds {id} and {service}; `metadata` are texts with slots."""

    kind: Kind
    url: str
    metadata: dict[str, str]
    acknowledges: bool = False


TOOLS: dict[str, Tool] = {
    "pagerduty": Tool("incident", "https://fernhollow.pagerduty.example/incidents/{id}", {"urgency": "high", "region": "{region}", "escalation_policy": "{team} on call"}, acknowledges=True),
    "opsgenie": Tool("incident", "https://fernhollow.opsgenie.example/alert/detail/{id}", {"alias": "{hex8}", "region": "{region}", "responders": "{team}"}, acknowledges=True),
    "datadog": Tool("incident", "https://datadog.fernhollow.example/event/event?id={id}", {"monitor_type": "metric alert", "host": "{node}", "region": "{region}"}, acknowledges=True),
    "prometheus_alertmanager": Tool("incident", "https://prometheus.fernhollow.example/alerts?search={service}", {"cluster": "{region}", "prometheus": "monitoring/k8s"}, acknowledges=True),
    "sentry": Tool("defect", "https://sentry.fernhollow.example/events/{id}", {"level": "error", "server_name": "{pod}", "trace_id": "{trace}"}),
    "rollbar": Tool("defect", "https://rollbar.fernhollow.example/occurrence/{id}", {"level": "error", "host": "{pod}", "framework": "celery"}),
    "bugsnag": Tool("defect", "https://bugsnag.fernhollow.example/errors/{id}", {"hostname": "{pod}", "user": "agent-{10-99}"}),
    "jira": Tool("defect", "https://tickets.fernhollow.example/browse/{id}", {"issue_type": "Bug", "reporter": "{person}", "project": "{project}"}, acknowledges=True),
    "github_actions": Tool("check", "https://git.fernhollow.example/{service}/actions/runs/{id}", {"branch": "{branch}", "commit": "{hex8}", "run_attempt": "{1-2}", "runner": "ubuntu-24.04-{2-16}"}),
    "jenkins": Tool("check", "https://ci.fernhollow.example/blue/{id}", {"branch": "{branch}", "agent": "linux-{1-9}", "duration_s": "{90-1900}"}),
    "dbt_cloud": Tool("check", "https://dbt.fernhollow.example/runs/{id}", {"job": "nightly marts", "target": "prod", "threads": "8"}),
    "fivetran": Tool("check", "https://sync.fernhollow.example/connectors/{id}", {"connector": "clickstream_s3", "schedule": "6 h"}),
}  # fmt: skip

BRANCHES = ("main", "main", "main", "renovate/all", "fix-{hex3}", "{project}-{100-2400}")


class Counters:
    """Ids in the order of time: ticket numbers and builds count up, the rest is random; none is given twice."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.given: set[str] = set()

    def next(self, name: str, start: int, step: int) -> int:
        """The next number of a sequence that others also take numbers from."""
        self.last[name] = self.last.get(name, start) + step
        return self.last[name]

    def id(self, source: str, seen: Seen) -> str:
        """The id that `source` would give to this failure."""
        found = MAKERS[source](self, seen)
        while found in self.given:
            found = f"{found}-{len(self.given)}"
        self.given.add(found)
        return found


def _jira(counters: Counters, seen: Seen) -> str:
    project = company.TEAM[company.SERVICE[seen.service].team].project
    return f"{project}-{counters.next(project, 2_100, seen.random.randint(1, 9))}"


def _run(counters: Counters, seen: Seen) -> str:
    return str(counters.next("run", 18_204_771_310, seen.random.randint(900, 900_000)))


def _build(counters: Counters, seen: Seen) -> str:
    job = seen.title.split(" ", maxsplit=1)[0]
    return f"{job}/{counters.next(job, 4_100, seen.random.randint(1, 14))}"


def _alert(_: Counters, seen: Seen) -> str:
    mark = hashlib.blake2b(
        f"{seen.title.split(' ', maxsplit=1)[0]}{seen.service}{seen.random.randint(0, 3)}".encode(), digest_size=8
    ).hexdigest()
    return f"{mark}:{seen.at:%Y-%m-%dT%H:%M:%SZ}"


MAKERS: dict[str, Callable[[Counters, Seen], str]] = {
    "pagerduty": lambda _, seen: f"Q{wording.letters(seen.random, 13, wording.ALPHABET)}",
    "opsgenie": lambda _, seen: f"{uuid.UUID(int=seen.random.getrandbits(128), version=4)}-{int(seen.at.timestamp() * 1000)}",
    "datadog": lambda _, seen: wording.digits(seen.random, 19),
    "prometheus_alertmanager": _alert,
    "sentry": lambda _, seen: wording.hexes(seen.random, 32),
    "rollbar": lambda _, seen: wording.digits(seen.random, 12),
    "bugsnag": lambda _, seen: wording.hexes(seen.random, 24),
    "jira": _jira,
    "github_actions": _run,
    "jenkins": _build,
    "dbt_cloud": lambda counters, seen: f"7040{counters.next('dbt', 310_000_000, seen.random.randint(40, 90_000))}",
    "fivetran": lambda _, seen: str(uuid.UUID(int=seen.random.getrandbits(128), version=4)),
}
