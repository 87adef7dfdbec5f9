"""Ids: UUIDv7 inside, prefixed ULID outside, the same 128 bits; whatever is no id is refused saying what is allowed."""

from __future__ import annotations

import threading
import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from everfix.core import ids
from everfix.core.ids import Prefix

PREFIXES = st.sampled_from(list(Prefix))


@given(PREFIXES, st.uuids())
def test_showing_and_reading_are_inverse(prefix: Prefix, value: UUID) -> None:
    shown = ids.show(prefix, value)
    assert shown.startswith(f"{prefix}_")
    assert len(shown) == len(prefix) + 27
    for spelling in (shown, shown.removeprefix(f"{prefix}_"), str(value), value.hex, shown.lower(), str(value).upper()):
        assert ids.parse(prefix, spelling) == value
    assert ids.parse(prefix, value) == value


@given(st.uuids(), st.uuids())
def test_the_order_of_the_text_is_the_order_of_the_bits(one: UUID, other: UUID) -> None:
    assert (ids.show(Prefix.ISSUE, one) < ids.show(Prefix.ISSUE, other)) == (one.int < other.int)


@given(PREFIXES, st.text(max_size=60))
def test_anything_else_is_refused_with_a_reason(prefix: Prefix, text: str) -> None:
    try:
        value = ids.parse(prefix, text)
    except ValueError:
        with pytest.raises(ValueError, match=f"expected {prefix}_"):
            ids.parse(prefix, text)
    else:
        assert ids.parse(prefix, ids.show(prefix, value)) == value


@pytest.mark.parametrize(
    "wrong", ["", "iss_", "pat_01K4X9T3QKJ2M4N5P6R7S8T9V0", "iss_81K4X9T3QKJ2M4N5P6R7S8T9V0", "iss_01K4X9T3QKJ2M4N5P6R7S8T9VU", 7, None, []]
)
def test_wrong_ids(wrong: object) -> None:
    with pytest.raises(ValueError, match="iss_"):
        ids.parse(Prefix.ISSUE, wrong)


def test_letters_that_a_reader_confuses() -> None:
    assert ids.parse(Prefix.ISSUE, "iss_O1K4X9T3QKJ2M4N5P6R7S8T9Vo") == ids.parse(Prefix.ISSUE, "iss_01K4X9T3QKJ2M4N5P6R7S8T9V0")
    assert ids.parse(Prefix.ISSUE, "iss_0iK4X9T3QKJ2M4N5P6R7S8T9VL") == ids.parse(Prefix.ISSUE, "iss_01K4X9T3QKJ2M4N5P6R7S8T9V1")


def test_new_ids_are_version_7_and_grow() -> None:
    made = [ids.new() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {(value.version, value.variant) for value in made} == {(7, "specified in RFC 4122")}
    assert abs((made[0].int >> 80) / 1000 - time.time()) < 60


def test_threads_do_not_share_an_id() -> None:
    made: list[UUID] = []
    threads = [threading.Thread(target=lambda: made.extend([ids.new() for _ in range(2000)])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 16_000


def test_a_field_reads_both_and_writes_the_prefixed_one() -> None:
    adapter: TypeAdapter[UUID] = TypeAdapter(ids.field(Prefix.ISSUE))
    value = ids.new()
    assert adapter.validate_python(str(value)) == adapter.validate_python(ids.show(Prefix.ISSUE, value)) == value
    assert adapter.dump_python(value) == ids.show(Prefix.ISSUE, value)
    assert adapter.json_schema()["pattern"].startswith("^iss_")


def test_prefixes_of_the_reference() -> None:
    """C19."""
    assert {
        Prefix.ORGANIZATION: "org",
        Prefix.WORKSPACE: "ws",
        Prefix.USER: "usr",
        Prefix.MEMBER: "mem",
        Prefix.INGEST_JOB: "ing_job",
    }.items() <= {prefix: prefix.value for prefix in Prefix}.items()
