"""Failed tests from JUnit XML as all test runners write it, read in pieces so that a report of any size needs little memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from everfix.ingest import records

CHUNK = 1 << 16
DEPTH_LIMIT = 64
FAILURES = ("failure", "error")
FLAKY = ("flakyFailure", "flakyError")
GENERIC_SUITES = {
    "",
    "pytest",
    "pytest tests",
    "jest tests",
    "jest",
    "mocha tests",
    "root suite",
    "rspec",
    "junit",
    "testsuite",
    "tests",
    "test",
}


class Collector:
    """Target of the parser: keeps the suites that are open and the failures of the test that is open, nothing else."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.done: deque[dict[str, Any] | records.BadValueError] = deque()
        self.suites: list[dict[str, str]] = []
        self.root: dict[str, str] = {}
        self.test: dict[str, str] | None = None
        self.found: list[dict[str, str]] = []
        self.text: list[str] | None = None
        self.length = 0
        self.depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise records.BadValueError("xml", tag, f"elements nested at most {DEPTH_LIMIT} deep")
        name = tag.rpartition("}")[2]
        if name == "testsuites":
            self.root = attributes
        elif name == "testsuite":
            self.suites.append(dict(attributes))
        elif name == "property" and self.suites and attributes.get("name", "").lower() in ("service", "component"):
            self.suites[-1]["service"] = attributes.get("value", "")
        elif name == "testcase":
            self.test, self.found = attributes, []
        elif name in FAILURES + FLAKY:
            self.found.append({"tag": name, **attributes})
            self.text, self.length = [], 0

    def data(self, text: str) -> None:
        """Keep a failure's text up to twice the limit of a stack trace; `shortened` cuts it then."""
        if self.text is not None and self.length < 2 * records.TEXT_LIMITS["stacktrace"]:
            self.text.append(text)
            self.length += len(text)

    def end(self, tag: str) -> None:
        self.depth -= 1
        name = tag.rpartition("}")[2]
        if name in FAILURES + FLAKY and self.text is not None:
            self.found[-1]["text"] = "".join(self.text)
            self.text = None
            if self.test is None and self.suites:  # a suite that could not start reports its error itself
                self._add({"name": self.suites[-1].get("name", "test suite")})
        elif name == "testcase" and self.test is not None:
            self._add(self.test)
            self.test = None
        elif name == "testsuite" and self.suites:
            self.suites.pop()

    def close(self) -> None:
        """Nothing is left to close: failures leave as they are found."""

    def _add(self, test: dict[str, str]) -> None:
        if self.found:
            try:
                self.done.append(_event(test, self.found, self.suites, self.root, self.place))
            except records.BadValueError as error:
                self.done.append(error)
        self.found = []


def read(stream: BinaryIO, *, source: str, place: str) -> Iterator[records.Record | records.Reject]:
    """Give each failed test; broken, truncated or hostile XML ends the file with one reject and keeps what came before it."""
    collector = Collector(place)
    parser = XMLParser(target=collector, forbid_entities=True, forbid_external=True)
    index = 0
    problem: str | None = None
    while problem is None:
        chunk = stream.read(CHUNK)
        try:
            if chunk:
                parser.feed(chunk)
            else:
                parser.close()
        except ParseError as error:
            problem = f"not XML: {error}"
        except DefusedXmlException:
            problem = "the XML declares entities, which is not allowed"
        except records.BadValueError as error:
            problem = str(error)
        while collector.done:
            made = collector.done.popleft()
            if isinstance(made, records.BadValueError):
                yield records.Reject(index, str(made))
            else:
                made["source"] = source
                yield records.Record(made, index=index, line=None)
            index += 1
        if not chunk:
            break
    if problem is not None:
        yield records.Reject(index, problem)


def _event(
    test: dict[str, str], found: list[dict[str, str]], suites: list[dict[str, str]], root: dict[str, str], place: str
) -> dict[str, Any]:
    suite = suites[-1] if suites else {}
    name, group = test.get("name", "").strip(), test.get("classname", "").strip()
    title = records.line_of(f"{group}::{name}" if group and name else group or name or suite.get("name", ""))
    if not title:
        raise records.BadValueError("name", "", "a test case with a name or classname")
    given = test.get("timestamp") or next((outer["timestamp"] for outer in reversed([root, *suites]) if outer.get("timestamp")), "")
    began = records.moment("timestamp", given) if given else None
    messages = [text for failure in found if (text := (failure.get("message") or records.line_of(failure.get("text", ""))).strip())]
    trace = "\n\n".join(text for failure in found if (text := failure.get("text", "").strip("\r\n ")))
    made: dict[str, Any] = {
        "external_id": records.identity(place, "/".join(outer.get("name", "") for outer in suites), group, name, began or ""),
        "title": title,
        "kind": "check",
        "metadata": _metadata(test, suites, found),
    }
    if began:
        made["source_created_at"] = began
    if messages:
        made["body"] = records.shortened("\n".join(messages), records.TEXT_LIMITS["body"])
    if trace:
        made["stacktrace"] = records.shortened(trace, records.TEXT_LIMITS["stacktrace"])
    named = {"error_type": _type(found[0]), "service": _service(test, suites, root)}
    made.update({key: value[: records.NAME_LIMIT] for key, value in named.items() if value})
    return made


def _type(failure: dict[str, str]) -> str:
    """The type that the runner names, else the word before the first colon of the message where it looks like an exception."""
    given = failure.get("type", "").strip()
    if given and given.lower() not in ("failure", "error"):
        return given
    word = (failure.get("message") or failure.get("text", "").strip()).partition(":")[0].strip()
    return word if word.endswith(("Error", "Exception", "Failure", "Failed")) and " " not in word else ""


def _service(test: dict[str, str], suites: list[dict[str, str]], root: dict[str, str]) -> str:
    """A property `service`, else the name of the run or suite unless it is a runner's word or only the test's class again."""
    given = next((suite["service"] for suite in reversed(suites) if suite.get("service")), "")
    if given:
        return given
    for name in (root.get("name", ""), *(suite.get("name", "") for suite in suites)):
        if name.strip().lower() not in GENERIC_SUITES and name != test.get("classname"):
            return name.strip()
    return ""


def _metadata(test: dict[str, str], suites: list[dict[str, str]], found: list[dict[str, str]]) -> dict[str, Any]:
    kept: dict[str, Any] = {"result": found[0]["tag"]}
    if all(failure["tag"] in FLAKY for failure in found):
        kept["flaky"] = True
    for key in ("file", "line", "time"):
        if test.get(key):
            kept[key] = test[key][:500]
    if suites and suites[-1].get("name"):
        kept["suite"] = suites[-1]["name"][:500]
    if suites and suites[-1].get("hostname"):
        kept["hostname"] = suites[-1]["hostname"][:500]
    return kept
