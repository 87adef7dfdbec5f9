"""Files of failures: every format, every way in which a real file is broken, and the real sets."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everfix.ingest import files, jsonl, records
from tests.shared import shared

SAMPLES = Path(__file__).parent / "samples" / "files"
KEYS = {
    "external_id",
    "source",
    "title",
    "body",
    "severity",
    "kind",
    "service",
    "team",
    "environment",
    "error_type",
    "stacktrace",
    "release",
    "external_url",
    "source_created_at",
    "source_updated_at",
    "resolved_at",
    "acknowledged_at",
    "status",
    "metadata",
}


def both(found: Iterable[files.Record | files.Reject]) -> tuple[list[files.Record], list[files.Reject]]:
    items = list(found)
    taken = [item for item in items if isinstance(item, files.Record)]
    assert [item.index for item in items] == list(range(len(items)))
    for record in taken[:: 1 + len(taken) // 1_000]:  # all of a small file, some of a large one
        well_formed(record)
    return taken, [item for item in items if isinstance(item, files.Reject)]


def well_formed(record: dict[str, Any]) -> None:
    assert set(record) <= KEYS
    assert 1 <= len(record["title"]) <= 300
    assert 1 <= len(record["external_id"]) <= 512
    assert len(record.get("body", "")) <= 50_000
    assert len(record.get("stacktrace", "")) <= 100_000
    assert record.get("severity", "p1") in ("p1", "p2", "p3", "p4")
    assert all(isinstance(value, (str, int, float, bool)) for value in record["metadata"].values())
    assert "\x00" not in json.dumps(record, ensure_ascii=False).encode().decode()


def written(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def test_an_export_of_jira() -> None:
    (first, second), rejects = both(files.read(SAMPLES / "jira.csv"))
    assert not rejects
    assert first == {
        "external_id": "SHOP-4711",
        "source": "csv",
        "title": "Checkout total is off by one cent, again",
        "severity": "p1",
        "kind": "defect",
        "body": 'Steps:\n1. add two "half price" items\n2. look at the total',
        "service": "cart",
        "status": "mitigating",
        "source_created_at": "2026-03-03T09:41:00Z",
        "source_updated_at": "2026-03-03T11:02:00Z",
        "metadata": {"Project name": "Shop", "Assignee": "Mara", "Component/s 2": "pricing", "Comment": "first", "Comment 2": "second"},
    }
    assert second["resolved_at"] == "2026-03-05T08:00:00Z"
    assert second["metadata"] == {"Project name": "Shop", "Issue Type": "Task", "Status": "Waiting for customer"}
    assert "status" not in second  # a workflow's own word is kept, not guessed
    assert (first.line, second.line) == (2, 5)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("zipped", [False, True])
def test_delimiters_and_encodings(tmp_path: Path, delimiter: str, encoding: str, zipped: bool) -> None:
    text = "\r\n".join(
        delimiter.join(row) for row in (["id", "summary", "priority"], ["1", "Größe fehlt – Café", "High"], ["2", "zwei", "p4"])
    )
    content = text.encode(encoding)
    path = written(tmp_path, "export.csv.gz" if zipped else "export.csv", gzip.compress(content) if zipped else content)
    taken, rejects = both(files.read(path))
    assert not rejects
    assert [(row["external_id"], row["title"], row["severity"]) for row in taken] == [
        ("1", "Größe fehlt – Café", "p2"),
        ("2", "zwei", "p4"),
    ]


def test_excel_names_its_delimiter(tmp_path: Path) -> None:
    taken, _ = both(files.read(written(tmp_path, "a.csv", "sep=;\nKey;Summary\nA-1;a, b\n")))
    assert [(row["external_id"], row["title"]) for row in taken] == [("A-1", "a, b")]


def test_a_mapping_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "Nr,Was,Wann,priority\n7,Kaputt,2026-03-01 12:00,whatever\n")
    taken, _ = both(files.read(path, mapping="title=Was,external_id=Nr,source_created_at=Wann,severity="))
    assert taken[0]["title"] == "Kaputt"
    assert taken[0]["source_created_at"] == "2026-03-01T12:00:00Z"
    assert "severity" not in taken[0]
    with pytest.raises(files.UnreadableFileError, match=r"column 'Wo' is not in the file; its columns: 'Nr', 'Was'"):
        files.read(path, mapping={"title": "Wo"})
    with pytest.raises(files.UnreadableFileError, match=r"field 'titel' is not allowed; allowed: external_id, title"):
        files.read(path, mapping="titel=Was")
    with pytest.raises(files.UnreadableFileError, match="allowed: field=column"):
        files.read(path, mapping="title")
    with pytest.raises(files.UnreadableFileError, match="none of them is known as a title"):
        files.read(path)


def test_a_mapped_column_must_be_right(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "title,state,type\nx,Weird,Story\n")
    _, rejects = both(files.read(path, mapping={"status": "state"}))
    assert rejects[0].reason.startswith("status: 'Weird' is not allowed; allowed: open, in_loop")
    _, rejects = both(files.read(path, mapping={"kind": "type"}))
    assert rejects[0].reason.startswith("kind: 'Story' is not allowed; allowed: incident")
    _, rejects = both(files.read(path, mapping={"source": "title", "title": "type"}))
    assert not rejects


def test_bad_rows_leave_their_neighbours(tmp_path: Path) -> None:
    rows = [
        "id,title,priority,created",
        "1,good,p1,2026-03-01T00:00:00Z",
        "2,bad,urgentest,",
        "3,bad,p1,yesterday",
        "4,short",
        "5,nul\0,p1,",
        "6,good,,",
    ]
    taken, rejects = both(files.read(written(tmp_path, "a.csv", "\n".join(rows))))
    assert [row["external_id"] for row in taken] == ["1", "6"]
    assert [(reject.index, reject.line) for reject in rejects] == [(1, 3), (2, 4), (3, 5), (4, 6)]
    reasons = [reject.reason for reject in rejects]
    assert reasons[0].startswith("severity: 'urgentest' is not allowed; allowed: p1 to p4")
    assert reasons[1].startswith("source_created_at: 'yesterday' is not allowed; allowed: ISO 8601")
    assert reasons[2] == "2 values for 4 columns"
    assert "NUL" in reasons[3]


def test_a_quote_that_never_closes_costs_one_line(tmp_path: Path) -> None:
    rows = ["id,title", '1,"never closed', *(f'{number},"row {number}"' for number in range(2, 5_000))]
    taken, rejects = both(files.read(written(tmp_path, "a.csv", "\n".join(rows))))
    assert len(taken) >= 4_997
    assert rejects[0].line == 2
    only, rejects = both(files.read(written(tmp_path, "b.csv", 'id,title\n1,"open\n2,fine\n')))
    assert [row["external_id"] for row in only] == ["2"]
    assert "quote is never closed" in rejects[0].reason
    _, rejects = both(files.read(written(tmp_path, "c.csv", 'id,title\n1,"a "word" b"\n2,fine\n')))
    assert "write a quote inside it twice" in rejects[0].reason


def test_huge_fields_and_lines_are_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8") as out:
        out.write("id,title,body\n1,x," + "y" * 40_000_000 + "\n2,fine,\n")
    lines = tmp_path / "a.jsonl"
    with lines.open("w", encoding="utf-8") as out:
        out.write('{"id": 1, "title": "' + "y" * 40_000_000 + '"}\n{"id": 2, "title": "fine"}\n')
    tracemalloc.start()
    taken, rejects = both(files.read(path))
    more, refused = both(files.read(lines))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken[-1]["title"] == "fine"
    assert "longer than 131,072 characters" in rejects[0].reason
    assert [row["title"] for row in more] == ["fine"]
    assert "longer than 4,194,304 characters" in refused[0].reason
    assert peak < 40_000_000


def test_long_texts_keep_their_ends(tmp_path: Path) -> None:
    trace = "first line\n" + "\n".join(f"  at frame {number}" for number in range(8_000)) + "\nlast line"
    value = {"title": "word " * 200, "message": "m" * 60_000, "stacktrace": trace}
    (record,), _ = both(files.read(written(tmp_path, "a.jsonl", json.dumps(value))))
    assert record["title"].endswith("…")
    assert record["body"].startswith(("word " * 200).strip())
    assert "characters left out" in record["body"]
    assert record["stacktrace"].startswith("first line")
    assert record["stacktrace"].endswith("last line")


def test_invalid_utf8_is_refused_by_record(tmp_path: Path) -> None:
    content = '{"title": "Größe"}\n'.encode() + b'{"title": "a\xffb"}\n' + b'{"title": "\\ud800"}\n' + b'{"title": "fine"}\n'
    taken, rejects = both(files.read(written(tmp_path, "a.jsonl", content)))
    assert [row["title"] for row in taken] == ["Größe", "fine"]
    assert "byte 0xff at position 1" in rejects[0].reason
    assert "surrogate U+D800" in rejects[1].reason
    taken, rejects = both(files.read(written(tmp_path, "b.csv", "id,title\n1,Größe\n".encode() + b"2,a\xffb\n")))
    assert (len(taken), len(rejects)) == (1, 1)


def test_json_lines_that_are_broken(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    nested = '{"a":' * 40 + "1" + "}" * 40
    lines = [
        '{"title": "one"}',
        "",
        "{broken",
        "[1, 2]",
        '"text"',
        deep,
        nested,
        '{"title": NaN}',
        "{}",
        '{"title": "two", "n": {"a": [1, 2], "b": [{"c": 1}]}}',
    ]
    taken, rejects = both(files.read(written(tmp_path, "a.jsonl", "\n".join(lines))))
    assert [row["title"] for row in taken] == ["one", "two"]
    assert taken[1]["metadata"] == {"n.a": "1, 2", "n.b": '[{"c": 1}]'}
    assert [reject.line for reject in rejects] == [3, 4, 5, 6, 7, 8, 9]
    shown = " | ".join(reject.reason for reject in rejects)
    for part in (
        "not JSON: Expecting property name",
        "is not an object",
        "nested",
        "at most 16 deep",
        "NaN is not JSON",
        "title: '' is not allowed",
    ):
        assert part in shown


def test_lists_and_addresses(tmp_path: Path) -> None:
    values = [{"title": "a", "services": ["cart", "web"], "url": "/issues/1"}, {"title": "b", "services": [], "url": "https://x.example/1"}]
    (first, second), _ = both(files.read(written(tmp_path, "a.jsonl", "\n".join(json.dumps(value) for value in values))))
    assert (first["service"], first["metadata"]) == ("cart", {"services": "cart, web", "external_url": "/issues/1"})
    assert ("service" in second, second["external_url"]) == (False, "https://x.example/1")


def test_documents_of_json(tmp_path: Path) -> None:
    taken, _ = both(files.read(written(tmp_path, "a.json", json.dumps([{"title": "a"}, {"title": "b"}], indent=2))))
    assert [row["title"] for row in taken] == ["a", "b"]
    taken, _ = both(files.read(written(tmp_path, "b.json", json.dumps({"name": "only", "timestamp": 1772368200}, indent=2))))
    assert taken[0]["source_created_at"] == "2026-03-01T12:30:00Z"
    with pytest.raises(files.UnreadableFileError, match=r"c\.json: not JSON"):
        files.read(written(tmp_path, "c.json", '[{"title": "a"},'))
    with pytest.raises(files.UnreadableFileError, match="nested too deeply"):
        files.read(written(tmp_path, "d.json", "[" * 200_000))


def test_alertmanager() -> None:
    taken, rejects = both(files.read(SAMPLES / "alertmanager.json"))
    firing, resolved = taken
    assert firing["external_id"] == "c0ffee0011223344:2026-03-01T12:30:00.123456Z"
    assert (firing["severity"], firing["status"], firing["service"], firing["environment"]) == ("p3", "open", "ledger", "prod")
    assert (firing["title"], firing["body"], firing["error_type"]) == (
        "Disk of ledger-db-2 fills within 4 hours",
        "91 % used",
        "DiskWillFill",
    )
    assert firing["metadata"]["runbook_url"] == "https://wiki.example/disk"
    assert "resolved_at" not in firing
    assert (resolved["severity"], resolved["status"], resolved["service"]) == ("p1", "resolved", "ledger")
    assert (resolved["source_created_at"], resolved["resolved_at"]) == ("2026-03-01T11:30:00Z", "2026-03-01T12:45:00Z")
    assert rejects[0].reason.startswith("startsAt: ''")


def test_alertmanager_as_lines_and_as_listed_by_its_api(tmp_path: Path) -> None:
    payload = json.loads((SAMPLES / "alertmanager.json").read_text())
    lines = written(tmp_path, "a.jsonl", "\n".join(json.dumps(payload) for _ in range(2)))
    assert len(both(files.read(lines, format="alertmanager"))[0]) == 4
    listed = [{**payload["alerts"][0], "status": {"state": "active"}, "updatedAt": "2026-03-01T12:31:00Z"}, 7]
    taken, rejects = both(files.read(written(tmp_path, "b.json", json.dumps(listed))))
    assert taken[0]["source_updated_at"] == "2026-03-01T12:31:00Z"
    assert len(rejects) == 1
    broken = {"alerts": [7, {"labels": [], "startsAt": "2026-03-01T12:31:00Z"}, {"labels": {}, "startsAt": "2026-03-01T12:31:00Z"}]}
    _, rejects = both(files.read(written(tmp_path, "c.json", json.dumps(broken))))
    assert [reject.reason.split(":")[0] for reject in rejects] == ["alerts[0]", "labels", "labels.alertname"]
    _, rejects = both(files.read(written(tmp_path, "d.json", '{"title": "no alert"}'), format="alertmanager"))
    assert "an object with `alerts`" in rejects[0].reason


def test_cloudevents(tmp_path: Path) -> None:
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": "A234",
        "source": "/ci/shop",
        "type": "dev.cdevents.testsuiterun.finished",
        "time": "2026-03-01T12:30:00+01:00",
        "datacontenttype": "application/json",
        "data": {"summary": "3 tests failed", "severity": "major", "service": "cart", "run": {"id": 7}},
    }
    other = {key: event[key] for key in ("specversion", "source", "type")} | {"id": "B1", "subject": "cart"}
    coded = other | {"id": "C1", "data_base64": base64.b64encode(b'{"message": "boom"}').decode()}
    text = other | {"id": "D1", "data": "plain words", "datacontenttype": "text/plain"}
    bad = [other | {"id": ""}, other | {"specversion": "0.3"}, other | {"data_base64": "%%%"}]
    taken, rejects = both(files.read(written(tmp_path, "batch.json", json.dumps([event, other, coded, text, *bad]))))
    assert taken[0] == {
        "external_id": "/ci/shop#A234",
        "source": "cloudevents",
        "title": "3 tests failed",
        "severity": "p2",
        "service": "cart",
        "source_created_at": "2026-03-01T11:30:00Z",
        "metadata": {
            "ce_id": "A234",
            "ce_source": "/ci/shop",
            "ce_type": event["type"],
            "ce_datacontenttype": "application/json",
            "run.id": 7,
        },
    }
    assert [row["title"] for row in taken[1:]] == ["dev.cdevents.testsuiterun.finished cart", "boom", "plain words"]
    assert [reject.reason.split(":")[0] for reject in rejects] == ["id", "specversion", "data_base64"]
    (single,), _ = both(files.read(written(tmp_path, "one.json", json.dumps(event, indent=1)), format="cloudevents"))
    assert single["external_id"] == "/ci/shop#A234"


def test_junit() -> None:
    (first, second), rejects = both(files.read(SAMPLES / "surefire.xml"))
    assert not rejects
    assert (first["title"], first["kind"], first["source"], first["service"]) == (
        "com.acme.pricing.RoundingTest::roundsHalfEven",
        "check",
        "junit",
        "pricing",
    )
    assert first["body"] == "expected: <10.12> but was: <10.13>"
    assert first["stacktrace"].splitlines()[1] == "\tat com.acme.pricing.RoundingTest.roundsHalfEven(RoundingTest.java:41)"
    assert (first["error_type"], second["error_type"]) == ("org.opentest4j.AssertionFailedError", "java.lang.NullPointerException")
    assert first["source_created_at"] == "2026-03-01T02:15:09Z"
    (only,), _ = both(files.read(SAMPLES / "pytest.xml"))
    assert (only["title"], only["error_type"], only["source_created_at"]) == (
        "tests.test_cart::test_total[EUR]",
        "AssertionError",
        "2026-03-01T01:15:09.123456Z",
    )
    assert only["metadata"]["hostname"] == "runner-7"


def test_a_single_test_case_is_enough(tmp_path: Path) -> None:
    (only,), _ = both(files.read(written(tmp_path, "a.xml", '<testcase name="x" file="x_test.py"><failure>boom</failure></testcase>')))
    assert (only["title"], only["body"], only["metadata"]) == ("x", "boom", {"result": "failure", "file": "x_test.py"})


def test_junit_ids_are_stable_and_differ_by_run(tmp_path: Path) -> None:
    text = (SAMPLES / "surefire.xml").read_text()
    ids = [row["external_id"] for row in both(files.read(written(tmp_path, "surefire.xml", text)))[0]]
    assert ids == [row["external_id"] for row in both(files.read(SAMPLES / "surefire.xml"))[0]]
    later = written(tmp_path, "surefire.xml", text.replace("02:15:09", "03:15:09"))
    assert not set(ids) & {row["external_id"] for row in both(files.read(later))[0]}


def test_junit_that_is_broken_or_hostile(tmp_path: Path) -> None:
    text = (SAMPLES / "surefire.xml").read_text()
    taken, rejects = both(files.read(written(tmp_path, "a.xml", text[: text.index('<testcase name="readsRates')])))
    assert len(taken) == 1
    assert rejects[0].reason.startswith("not XML: no element found")
    bomb = (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><testsuite><testcase name="&b;"><failure/></testcase></testsuite>'
    )
    _, rejects = both(files.read(written(tmp_path, "b.xml", bomb)))
    assert rejects[0].reason == "the XML declares entities, which is not allowed"
    _, rejects = both(files.read(written(tmp_path, "c.xml", "<testsuite>" * 100_000)))
    assert "nested at most 64 deep" in rejects[0].reason
    odd = (
        '<testsuites><testsuite name="db" timestamp="soon"><testcase name="t"><failure message="m"/></testcase></testsuite>'
        '<testsuite name="web"><error message="setup failed"/><testcase classname="C"><flakyFailure type="T">once</flakyFailure></testcase>'
        "<testcase><failure/></testcase></testsuite><testsuite><testcase><error/></testcase></testsuite></testsuites>"
    )
    taken, rejects = both(files.read(written(tmp_path, "d.xml", odd)))
    assert [row["title"] for row in taken] == ["web", "C", "web"]
    assert taken[1]["metadata"]["flaky"] is True
    assert rejects[0].reason.startswith("timestamp: 'soon'")
    assert rejects[1].reason.startswith("name: ''")


def test_a_truncated_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    plain = "\n".join(json.dumps({"title": f"failure {number} {number * 7919 % 104729}"}) for number in range(40_000)).encode()
    whole = gzip.compress(plain)
    taken, rejects = both(files.read(written(tmp_path, "a.jsonl.gz", whole[: len(whole) - 9])))
    assert len(taken) > 30_000
    assert rejects[0].reason.startswith("the file ends here: the gzip file is broken")
    with pytest.raises(files.UnreadableFileError, match="broken gzip"):
        files.read(written(tmp_path, "b.jsonl.gz", whole[:12]))


def test_a_file_that_breaks_off_among_its_first_rows(tmp_path: Path) -> None:
    rows = "id,title\n" + "".join(f"{number},failure {number * 7919}\n" for number in range(60))
    taken, rejects = both(files.read(written(tmp_path, "a.csv.gz", gzip.compress(rows.encode())[:-8])))
    assert len(taken) >= 1
    assert rejects[-1].reason.startswith("the file ends here: the gzip file is broken")
    taken, rejects = both(files.read(written(tmp_path, "b.csv", rows.encode("utf-16")[:-1])))
    assert len(taken) >= 1
    assert rejects[-1].reason.startswith("the file ends here: not valid utf-16")
    with pytest.raises(files.UnreadableFileError, match=r"c\.json\.gz: the gzip file is broken"):
        files.read(written(tmp_path, "c.json.gz", gzip.compress(json.dumps([{"title": rows}]).encode())[:-8]))
    with pytest.raises(files.UnreadableFileError, match=r"d\.json: not valid utf-16"):
        files.read(written(tmp_path, "d.json", json.dumps([{"title": "x"}]).encode("utf-16")[:-1]))


def test_a_mapped_name_that_no_object_has(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"What": "x", "Team": "a"}\n{"What": "y"}\n')
    taken, rejects = both(files.read(path, mapping="title=What,team=Team,service=Servcie"))
    assert [row.get("team") for row in taken] == ["a", None]
    assert [reject.reason for reject in rejects] == ["map: column 'Servcie' is in none of the objects"]


def test_what_is_odd_stays_odd(tmp_path: Path) -> None:
    values = [{"title": "a", "n": 1e308, "big": "\u00e9" * 3_000, " ": 1, "source": "two words!", "created": "0001-01-01T00:00:00Z"}]
    path = written(tmp_path, "a.jsonl", json.dumps(values[0]).replace("1e+308", "1e999"))
    (record,), _ = both(files.read(path))
    assert record["metadata"]["n"] == "inf"
    assert len(record["metadata"]["big"]) == 2_000
    assert record["metadata"]["source"] == "two words!"
    assert "source_created_at" not in record
    alert = {"labels": {"alertname": "A"}, "startsAt": "0001-01-01T00:00:00Z"}
    still = {"labels": {"alertname": "B"}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "status": "resolved"}
    taken, rejects = both(files.read(written(tmp_path, "b.json", json.dumps([alert, still]))))
    assert rejects[0].reason.startswith("startsAt")
    assert (taken[0]["status"], "resolved_at" in taken[0]) == ("resolved", False)


def test_a_pattern_of_bare_keys_gets_names(tmp_path: Path) -> None:
    rows = ["pattern,occurred_at,system,node", "24/0,2026-01-01,24,0", ",2026-01-01,9,9", "7/3,2026-01-02,7,3"]
    taken, rejects = both(files.read(written(tmp_path, "a.csv", "\n".join(rows))))
    assert [row["title"] for row in taken] == ["system 24, node 0", "system 7, node 3"]
    assert len(rejects) == 1
    taken, _ = both(files.read(written(tmp_path, "b.csv", "pattern,system\n24/0,24\n")))
    assert taken[0]["title"] == "24/0"


def test_many_shapes_of_objects_and_documents_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\n".join(json.dumps({"title": "x", f"key{number}": 1}) for number in range(600))
    assert len(both(files.read(written(tmp_path, "a.jsonl", lines)))[0]) == 600
    monkeypatch.setattr(jsonl, "DOCUMENT_LIMIT", 100)
    with pytest.raises(files.UnreadableFileError, match="one JSON document of more than"):
        files.read(written(tmp_path, "b.json", json.dumps([{"title": "x" * 200}], indent=1)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"  \n ", "is empty"),
        (b"PK\x03\x04rest", "a zip or Excel workbook"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x00\x01\x02\x03\x80\xff\xfe\x00", "columns"),
        (b"just some words\nand more", "none of them is known as a title"),
        (b'"open', "line 1: a field is longer"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(files.UnreadableFileError, match=reason):
        files.read(written(tmp_path, "a.dat", content))


def test_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(files.UnreadableFileError, match=r"format: 'xls' is not allowed; allowed: csv, jsonl"):
        files.read(tmp_path / "a", format="xls")
    with pytest.raises(files.UnreadableFileError, match="cannot be read: No such file"):
        files.read(tmp_path / "a")
    with pytest.raises(files.UnreadableFileError, match="cannot be read: Is a directory"):
        files.read(tmp_path)


def test_ids_without_an_id_are_stable_and_distinct(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "title,created\nsame,2026-01-01\n\nsame,2026-01-01\n")
    ids = [row["external_id"] for row in both(files.read(path))[0]]
    assert len(set(ids)) == 2
    assert ids == [row["external_id"] for row in both(files.read(path))[0]]


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        ("2026-03-01T12:30:00+02:00", "2026-03-01T10:30:00Z"),
        ("2026-03-01 12:30:00 UTC", "2026-03-01T12:30:00Z"),
        ("2026-03-01", "2026-03-01T00:00:00Z"),
        ("2026-03-01T12:30:00.000+0000", "2026-03-01T12:30:00Z"),
        (1772368200, "2026-03-01T12:30:00Z"),
        ("1772368200123", "2026-03-01T12:30:00.123000Z"),
        ("Sun, 01 Mar 2026 12:30:00 GMT", "2026-03-01T12:30:00Z"),
        ("Mar 1, 2026 12:30 PM", "2026-03-01T12:30:00Z"),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_moments(given_value: object, expected: str | None) -> None:
    assert records.moment("created", given_value) == expected


@pytest.mark.parametrize("value", ["03/04/2026", "tomorrow", "2026-13-01", True, "9999-12-31T23:59:59-14:00", "1900-01-01", "Foo, 1 Bar"])
def test_moments_that_are_none(value: object) -> None:
    with pytest.raises(records.BadValueError, match="created: "):
        records.moment("created", value)


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("P1", "p1"),
        ("sev-0", "p1"),
        ("SEV2", "p2"),
        ("3 - Moderate", "p3"),
        (4, "p4"),
        ("5", "p4"),
        ("Blocker", "p1"),
        ("Warning", "p3"),
        ("High (customer)", "p2"),
    ],
)
def test_severities(value: object, level: str) -> None:
    assert records.severity(value) == level


@given(st.binary(max_size=400), st.sampled_from([None, *files.FORMATS]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_crash_a_reader(tmp_path: Path, content: bytes, form: str | None) -> None:
    try:
        both(files.read(written(tmp_path, "a", content), format=form))
    except files.UnreadableFileError:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
NAMED = st.dictionaries(
    st.sampled_from(
        ["id", "title", "message", "severity", "created", "status", "labels", "startsAt", "alerts", "specversion", "type", "data", "source"]
    ),
    JSON,
)


@given(st.lists(NAMED, max_size=5))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_object_crashes_a_reader(tmp_path: Path, objects: list[Any]) -> None:
    lines = "\n".join(json.dumps(value) for value in objects)
    if lines:
        both(files.read(written(tmp_path, "a.jsonl", lines), format="jsonl"))


REAL = {
    "data/bgl/events.csv.gz": (54_552, 0),
    "data/lanl_cause/events.csv.gz": (14_169, 0),
    "data/lanl_node/events.csv.gz": (14_043, 126),
    "data/nodejs/events.csv.gz": (11_665, 0),
    "data/osv_project/events.csv": (1_892, 0),
    "data/tsp/events.csv.gz": (23_396, 0),
    "data/uci/events.csv.gz": (15_170, 0),
    "data/upptime/events.csv": (890, 0),
    "data/web/events.csv.gz": (47_714, 0),
    "data/defects4j/items.jsonl.gz": (1_125, 0),
    "data/gitbugs/items.jsonl.gz": (2_503, 0),
    "data/loghub/items.jsonl.gz": (16_000, 0),
    "data/nodejs_excerpts/items.jsonl.gz": (3_370, 3),
    "data/nodejs_excerpts/items-masked.jsonl.gz": (3_370, 3),
    "data/ossfuzz/items.jsonl.gz": (2_749, 0),
    "data/postmortems/incidents.jsonl.gz": (250, 0),
    "data/uci_group/incidents.jsonl.gz": (12_589, 0),
    "connectors/prometheus_alertmanager/webhook_v4.json": (1, 0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_sets(name: str) -> None:
    taken, rejects = both(files.read(shared(name)))
    assert (len(taken), len(rejects)) == REAL[name]
    assert len({row["external_id"] for row in taken}) == len(taken)
    if "/events.csv" in name:
        assert all("source_created_at" in row for row in taken)
        titles: dict[str, str] = {}
        for row in taken:  # one pattern, one title: the way back from our groups to the given keys
            assert titles.setdefault(row["metadata"]["pattern"], row["title"]) == row["title"]
        assert len(set(titles.values())) >= 0.99 * len(titles)
