"""Tables as they come in: types, bad rows, bounds; read here in this process, without the child that guards the server."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet as arrow_parquet

from everfix.ml.intake import __main__ as intake
from everfix.ml.intake.refused import Limits, Refused

LIMITS = Limits(bytes=50_000_000, rows=1_000_000)


def taken(
    folder: Path, content: str | bytes, role: str = "dataset", limits: Limits = LIMITS, **mapping: str
) -> tuple[dict[str, Any], pl.DataFrame]:
    path, out = folder / "upload", folder / "kept.parquet"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return intake.taken(path, out, role, mapping, limits), pl.read_parquet(out)


def refused(folder: Path, content: str | bytes, role: str = "dataset", limits: Limits = LIMITS, **mapping: str) -> Refused:
    with pytest.raises(Refused) as caught:
        taken(folder, content, role, limits, **mapping)
    return caught.value


def parquet(folder: Path, table: Any, **options: Any) -> bytes:
    path = folder / "made.parquet"
    arrow_parquet.write_table(pa.table(table), path, **options)
    return path.read_bytes()


def types(found: dict[str, Any]) -> dict[str, str]:
    return {column["name"]: column["type"] for column in found["schema"]}


def test_types_are_found(tmp_path: Path) -> None:
    rows = [
        "id,share,ok,at,day,zip,big,word,note,none",
        "1,0.5,true,2026-01-01T10:00:00Z,2026-01-01,00123,12345678901234567890,a,,",
        "2,NaN,False,2026-01-01 10:00,2026-01-02,01234,12345678901234567891,b,x,",
        "3,1e-3,yes,2026-01-01T12:00:00.5+02:00,2026-01-03,12345,12345678901234567892,NA,,",
    ]
    found, frame = taken(tmp_path, "\n".join(rows))
    assert types(found) == {
        "id": "integer",
        "share": "number",
        "ok": "boolean",
        "at": "datetime",
        "day": "date",
        "zip": "text",
        "big": "text",
        "word": "text",
        "note": "text",
        "none": "text",
    }
    assert frame["share"].to_list() == [0.5, None, 0.001]
    assert frame["ok"].to_list() == [True, False, True]
    assert [value.isoformat() for value in frame["at"].to_list()] == [
        "2026-01-01T10:00:00+00:00",
        "2026-01-01T10:00:00+00:00",
        "2026-01-01T10:00:00.500000+00:00",
    ]
    assert frame["zip"].to_list() == ["00123", "01234", "12345"]
    assert frame["word"].to_list() == ["a", "b", "NA"]  # a text column keeps its words: NA may be a country
    assert frame["day"].to_list()[0] == dt.date(2026, 1, 1)


def test_bad_rows_are_listed_and_the_rest_kept(tmp_path: Path) -> None:
    rows = ["a,b,c"] + [f"{place},{place}.5,x" for place in range(1, 301)]
    rows[10], rows[20], rows[30] = "ten,10.5,x", "20,20.5", "30,thirty,x"
    found, frame = taken(tmp_path, "\n".join(rows))
    assert found["rows"] == frame.height == 297
    assert found["rejects"] == {
        "count": 3,
        "listed": [
            {"row": 10, "column": "a", "reason": "'ten' is not a whole number"},
            {"row": 30, "column": "b", "reason": "'thirty' is not a number"},
            {"row": 20, "column": None, "reason": "2 values for 3 columns"},
        ],
    }
    assert 10 not in frame["a"].to_list()


def test_a_row_bad_twice_counts_once(tmp_path: Path) -> None:
    rows = ["a,b"] + [f"{place},{place}" for place in range(300)]
    rows[5] = "x,y"
    found, _ = taken(tmp_path, "\n".join(rows))
    assert (found["rejects"]["count"], found["rows"]) == (1, 299)


def test_a_file_of_which_too_much_is_bad_is_refused_whole(tmp_path: Path) -> None:
    rows = ["a,b"] + ["1,2"] * 8 + ["1"] * 2
    problem = refused(tmp_path, "\n".join(rows))
    assert problem.kind == "invalid"
    assert problem.reason == "2 of 10 rows cannot be read (more than 10%); the first: row 9: 1 values for 2 columns"


@pytest.mark.parametrize(
    ("late", "kind"),
    [("0.5", "number"), ("word", "text"), ("007", "text"), ("99999999999999999999", "text")],
)
def test_a_type_that_the_first_rows_hide_is_found(tmp_path: Path, late: str, kind: str) -> None:
    """The types are guessed from the first rows; what comes later widens them and the file is read again."""
    rows = ["a,b"] + [f"{place},1" for place in range(6_000)] + [f"{late},1"] * (1 if kind == "number" or late == "007" else 200)
    found, frame = taken(tmp_path, "\n".join(rows))
    assert types(found)["a"] == kind
    assert found["rejects"]["count"] == 0
    assert frame["a"].null_count() == 0


def test_a_column_that_is_empty_at_first(tmp_path: Path) -> None:
    rows = ["a,b"] + [f"{place}," for place in range(6_000)]
    found, frame = taken(tmp_path, "\n".join([*rows, "6000,5"]))
    assert types(found)["b"] == "integer"
    assert frame["b"].to_list()[-1] == 5


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("a;b\n1,5;ä\n2,5;ö\n", "utf-8"),
        ("a;b\n1,5;ä\n2,5;ö\n", "cp1252"),
        ("a\tb\n1.5\tä\n2.5\tö\n", "utf-16"),
        ("\ufeffa|b\n1.5|ä\n2.5|ö\n", "utf-8"),
    ],
)
def test_delimiter_encoding_and_decimal_comma(tmp_path: Path, text: str, encoding: str) -> None:
    found, frame = taken(tmp_path, text.encode(encoding))
    assert types(found) == {"a": "number", "b": "text"}
    assert frame.rows() == [(1.5, "ä"), (2.5, "ö")]


def test_a_file_without_a_header_gets_names(tmp_path: Path) -> None:
    found, frame = taken(tmp_path, "1,2.5\n3,4.5\n")
    assert types(found) == {"column_1": "integer", "column_2": "number"}
    assert frame.height == 2


def test_names_are_made_unique(tmp_path: Path) -> None:
    assert list(types(taken(tmp_path, "a,a,,a_2\nx,y,z,w\n")[0])) == ["a", "a_2", "column_3", "a_2_2"]


def test_quotes_lines_and_gzip(tmp_path: Path) -> None:
    found, frame = taken(tmp_path, gzip.compress(b'a,b\n1,"two\nlines, and a ""quote"""\n'))
    assert found["format"] == "csv.gz"
    assert frame["b"].to_list() == ['two\nlines, and a "quote"']


def test_statistics_and_quality(tmp_path: Path) -> None:
    rows = ["x,y,same,gone"] + [f"{place},{'a' if place % 4 else 'b'},1," for place in range(100)] + ["inf,a,1,", "5,a,1,"]
    found, _ = taken(tmp_path, "\n".join(rows))
    x, y, same, gone = found["schema"]
    values = [*range(100), 5]
    assert (x["infinite"], x["min"], x["max"], x["missing"], x["zeros"]) == (1, 0.0, 99.0, 0, 1)
    assert x["mean"] == pytest.approx(float(np.mean(values)))
    assert x["std"] == pytest.approx(float(np.std(values, ddof=1)))
    assert x["q25"] == pytest.approx(float(np.quantile(values, 0.25)))
    assert y["top"] == [{"value": "a", "count": 77}, {"value": "b", "count": 25}]
    assert (same["unique"], gone["missing"], gone["unique"]) == (1, 102, 0)
    quality = found["quality"]
    assert quality["duplicate_rows"] == 1
    assert {(issue["code"], issue["column"]) for issue in quality["issues"]} == {
        ("constant_column", "same"),
        ("empty_column", "gone"),
        ("infinite_values", "x"),
        ("duplicate_rows", None),
    }
    parts = {"completeness": 0.75, "information": 0.5, "uniqueness": 101 / 102, "validity": 1 - 1 / 408}
    assert quality["parts"] == pytest.approx(parts, abs=1e-6)
    assert quality["overall_score"] == round(100 * (0.4 * 0.75 + 0.2 * (0.5 + 101 / 102 + 1 - 1 / 408)), 1)


def test_a_column_of_mixed_types_is_told(tmp_path: Path) -> None:
    """Too many misfits for a number: the column stays text, no row is lost, and the quality says so."""
    found, frame = taken(tmp_path, "a,b\n" + "".join(f"{place if place % 10 else 'n.a.!'},x{place}\n" for place in range(100)))
    assert (types(found)["a"], frame.height) == ("text", 100)
    (issue,) = [issue for issue in found["quality"]["issues"] if issue["code"] == "mixed_types"]
    assert issue["words"] == "a holds numbers in 90.0% of its values, and other text in the rest"


def test_parquet_is_kept_with_its_types(tmp_path: Path) -> None:
    at = pa.array([1, 2], pa.timestamp("ns"))
    body = parquet(
        tmp_path,
        {
            "i": pa.array([1, None], pa.int8()),
            "u": pa.array([2**63, 1], pa.uint64()),
            "f": pa.array([float("nan"), 1.5], pa.float32()),
            "d": pa.array(["a", "b"]).dictionary_encode(),
            "at": at,
            "m": pa.array([1, 2], pa.decimal128(10, 2)),
            "n": pa.nulls(2),
            "t": pa.array([1, 2], pa.time32("s")),
        },
    )
    found, frame = taken(tmp_path, body)
    assert types(found) == {
        "i": "integer",
        "u": "number",
        "f": "number",
        "d": "text",
        "at": "datetime",
        "m": "number",
        "n": "text",
        "t": "text",
    }
    assert found["schema"][2]["missing"] == 1
    assert frame["d"].to_list() == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"", "invalid", "empty"),
        (b"\n\n  \n", "invalid", "empty"),
        (b"a,b\n", "invalid", "no rows"),
        (b"PK\x03\x04rest", "media", "a zip archive or an Excel workbook"),
        (b"%PDF-1.7", "media", "a PDF"),
        (b"\x89PNG\r\n", "media", "a picture"),
        (b'{"a": 1}', "media", "JSON"),
        (b"<html>", "media", "HTML"),
        (b"ab\x00cd\x00", "media", "neither CSV nor Parquet"),
        (b"PAR1 but not really", "invalid", "the Parquet file is broken"),
        (b"\x1f\x8b not gzip", "invalid", "the gzip archive is broken"),
        (b'a,b\n1,"never closed\n' + b"2,3\n" * 10, "invalid", "a quote is never closed"),
        (("a" * 400 + ",b\n1,2\n").encode(), "invalid", "a name of 400 characters"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, kind: str, said: str) -> None:
    problem = refused(tmp_path, content)
    assert problem.kind == kind
    assert said in problem.reason


def test_bounds_of_a_csv(tmp_path: Path) -> None:
    small = Limits(bytes=1_000, rows=3, columns=2)
    assert refused(tmp_path, "a,b\n" + "1,2\n" * 4, limits=small).reason == "the table has more than 3 rows"
    assert refused(tmp_path, "a,b,c\n1,2,3\n", limits=small).reason == "the table has 3 columns; at most 2 are allowed"
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * 1_000)
    problem = refused(tmp_path, bomb, limits=small)
    assert (problem.kind, problem.reason) == ("large", "the file unpacks to more than 1,000 bytes")


def test_bounds_of_parquet(tmp_path: Path) -> None:
    small = Limits(bytes=10_000, rows=1_000, columns=2)
    many = parquet(tmp_path, {"a": np.zeros(1_001, dtype=np.int64)})
    assert refused(tmp_path, many, limits=small).reason == "the table has 1,001 rows; at most 1,000 are allowed"
    wide = parquet(tmp_path, {name: [1] for name in "abc"})
    assert refused(tmp_path, wide, limits=small).reason == "the table has 3 columns; at most 2 are allowed"
    bomb = parquet(tmp_path, {"a": ["x" * 1_000] * 900}, use_dictionary=True)  # says it holds little, gives 900 kB
    problem = refused(tmp_path, bomb, limits=small)
    assert problem.kind == "large"
    assert "unpacks to more than 10,000 bytes" in problem.reason
    nested = parquet(tmp_path, {"a": [[1, 2]]})
    assert refused(tmp_path, nested).reason.startswith("the column 'a' holds list<")
    assert "binary" in refused(tmp_path, parquet(tmp_path, {"a": [b"x"]})).reason


def test_ten_thousand_columns(tmp_path: Path) -> None:
    names = ",".join(f"c{place}" for place in range(10_000))
    row = ",".join(str(place) for place in range(10_000))
    found, frame = taken(tmp_path, f"{names}\n{row}\n{row}\n")
    assert (found["columns"], frame.shape) == (10_000, (2, 10_000))
    assert refused(tmp_path, f"{names},x\n{row},1\n").reason == "the table has 10,001 columns; at most 10,000 are allowed"


def test_a_prediction_log_by_its_usual_names(tmp_path: Path) -> None:
    rows = "ts,age,plan,y_pred,proba,actual,latency,http_status\n1767225600,30,a,1,0.9,1,12.5,200\n1767225660,40,b,0,0.2,,15,503\n"
    found, frame = taken(tmp_path, rows, "predictions")
    assert list(types(found)) == ["timestamp", "age", "plan", "prediction", "score", "label", "latency_ms", "error"]
    assert frame["timestamp"].to_list()[0].isoformat() == "2026-01-01T00:00:00+00:00"
    assert frame["error"].to_list() == [None, "503"]
    milliseconds, _ = taken(tmp_path, "ts,x\n1767225600000,1\n1767225660000,2\n", "predictions")
    assert milliseconds["schema"][0]["min"] == "2026-01-01T00:00:00+00:00"


def test_a_prediction_log_says_what_it_lacks(tmp_path: Path) -> None:
    assert refused(tmp_path, "x,y\n1,2\n", "predictions").reason == "a prediction log needs a column timestamp; the file has: x, label"
    assert "the column holds no times" in refused(tmp_path, "ts,x\nnoon,2\n", "predictions").reason
    assert (
        refused(tmp_path, "ts,latency\n2026-01-01,fast\n", "predictions").reason
        == "latency_ms: the column must hold numbers; 'fast' is none"
    )
    rows = "ts,x\n" + "2026-01-01T00:00:00Z,1\n" * 300 + ",2\n"
    found, frame = taken(tmp_path, rows, "predictions")
    assert (found["rejects"]["count"], frame.height) == (1, 300)


def test_columns_are_named_by_the_sender(tmp_path: Path) -> None:
    found, _ = taken(tmp_path, "when,score,p\n2026-01-01,7,0.5\n", "predictions", timestamp="when", prediction="p", label="score")
    assert list(types(found)) == ["timestamp", "label", "prediction"]
    assert "is not in the file" in refused(tmp_path, "ts,x\n1,2\n", "predictions", label="nope").reason
    assert "is no column of this kind of table" in refused(tmp_path, "ts,x\n1,2\n", "predictions", nope="x").reason
    assert "two columns would be called 'score'" in refused(tmp_path, "ts,score,p\n1,2,0.5\n", "predictions", score="p").reason


def test_an_evaluation_table(tmp_path: Path) -> None:
    found, _ = taken(tmp_path, "target,predicted,proba_yes,proba_no,age\nyes,no,0.4,0.6,3\n", "evaluation")
    assert list(types(found)) == ["y_true", "y_pred", "y_score_yes", "y_score_no", "age"]
    assert "needs y_true, and y_pred or y_score" in refused(tmp_path, "y_true,x\n1,2\n", "evaluation").reason
    assert refused(tmp_path, "y_true,y_score\n1,high\n", "evaluation").reason == "y_score: the column must hold numbers; 'high' is none"
