"""Whatever the language: a release that moves lines or files, an error wrapped in another, or another id is the same failure."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfix.failures import fingerprint, grouping, renames, sources
from everfix.failures.fingerprint import Failure

WAY = ("validate_name", "save", "handle", "dispatch")
BASES = ("ledger", "basket", "voucher", "refund", "parcel", "invoice", "courier", "ticket")
names = st.lists(st.text(string.ascii_lowercase, min_size=4, max_size=9).map(lambda w: f"{w}x"), min_size=4, max_size=7, unique=True)


@dataclass(frozen=True)
class Crash:
    """What a program tells when it falls: the calls from the innermost one outwards, in files of their own names."""

    calls: tuple[str, ...]
    message: str = "no stock for order 4711"
    line: int = 10
    folder: str = "src"


def _rows(crash: Crash, row: Callable[[str, int], str]) -> str:
    return "".join(row(name, crash.line + 7 * n) + "\n" for n, name in enumerate(crash.calls))


def python(c: Crash) -> str:
    inward = replace(c, calls=c.calls[::-1])
    return (
        "Traceback (most recent call last):\n"
        + _rows(inward, lambda n, line: f'  File "/srv/{c.folder}/{n}.py", line {line}, in {n}\n    {n}()')
        + f"KeyError: {c.message}\n"
    )


def java(c: Crash) -> str:
    return f"com.acme.Broken: {c.message}\n" + _rows(c, lambda n, line: f"\tat com.acme.{n.title()}.{n}({n.title()}.java:{line})")


def kotlin(c: Crash) -> str:
    return f"com.acme.Broken: {c.message}\n" + _rows(c, lambda n, line: f"\tat com.acme.{n.title()}Kt.{n}({n.title()}.kt:{line})")


def javascript(c: Crash) -> str:
    return f"TypeError: {c.message}\n" + _rows(c, lambda n, line: f"    at {n} (/app/{c.folder}/{n}.js:{line}:5)")


def typescript(c: Crash) -> str:
    return f"TypeError: {c.message}\n" + _rows(c, lambda n, line: f"    at async {n.title()}.{n} (/app/{c.folder}/{n}.ts:{line}:11)")


def go(c: Crash) -> str:
    return f"panic: {c.message}\n\ngoroutine {c.line} [running]:\n" + _rows(
        c, lambda n, line: f"main.{n}(0xc0000{line:05x}, 0x3)\n\t/home/{c.folder}/shop/{n}.go:{line} +0x{line:x}"
    )


def native(c: Crash) -> str:
    return f"=={c.line}==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x6020000{c.line:05x}\n" + "".join(
        f"    #{n} 0x4f{c.line:06x} in {name} /{c.folder}/png/{name}.c:{c.line + n}:3\n" for n, name in enumerate(c.calls)
    )


def rust(c: Crash) -> str:
    return f"thread 'main' panicked at src/main.rs:{c.line}:9:\n{c.message}\nstack backtrace:\n" + "".join(
        f"  {n:2d}: shop::{name}::{name}\n             at ./{c.folder}/{name}.rs:{c.line + n}:9\n" for n, name in enumerate(c.calls)
    )


def csharp(c: Crash) -> str:
    return f"Shop.BrokenException: {c.message}\n" + _rows(
        c, lambda n, line: f"   at Shop.{n.title()}.{n.title()}() in C:\\{c.folder}\\{n}.cs:line {line}"
    )


def ruby(c: Crash) -> str:
    first, *rest = [f"{c.folder}/{n}.rb:{c.line + k}:in `{n}'" for k, n in enumerate(c.calls)]
    return f"{first}: {c.message} (KeyError)\n" + "".join(f"\tfrom {row}\n" for row in rest)


def php(c: Crash) -> str:
    rows = "".join(f"#{k} /var/www/{c.folder}/{n.title()}.php({c.line + k}): App\\{n.title()}->{n}()\n" for k, n in enumerate(c.calls))
    return f"PHP Fatal error:  Uncaught RuntimeException: {c.message} in /var/www/{c.folder}/Main.php:{c.line}\nStack trace:\n{rows}#{len(c.calls)} {{main}}\n"


TELLERS = (python, java, kotlin, javascript, typescript, go, native, rust, csharp, ruby, php)
every_language = pytest.mark.parametrize("tell", TELLERS, ids=lambda tell: tell.__name__)


def failure(trace: str, at: datetime | None = None) -> Failure:
    return Failure(scope="shop", title="", stacktrace=trace, service="shop", occurred_at=at)


def key(trace: str) -> str:
    found = fingerprint.of(failure(trace))
    assert found.why["rule"] == "in-app frames"
    return found.key


@every_language
@settings(deadline=None, max_examples=15)
@given(names, st.integers(1, 4000), st.integers(1, 10**9), st.sampled_from(["src", "lib2", "release-2026-11-25", "build_77"]))
def test_moved_lines_moved_folders_and_other_ids_keep_the_key(
    tell: Callable[[Crash], str], calls: list[str], line: int, order: int, folder: str
) -> None:
    one = Crash(tuple(calls))
    moved = Crash(tuple(calls), f"no stock for order {order}", 10 + line, folder)
    assert tell(moved) != tell(one)
    assert key(tell(moved)) == key(tell(one))


def caused(outer: str, inner: str) -> str:
    return f"{outer}Caused by: {inner}"


WRAPPED: dict[Callable[[Crash], str], Callable[[str, str], str]] = {
    python: lambda outer, inner: f"{inner}\nThe above exception was the direct cause of the following exception:\n\n{outer}",
    java: caused,
    kotlin: caused,
    javascript: lambda outer, inner: f"{outer.rstrip()} {{\n  [cause]: " + inner.rstrip().replace("\n", "\n  ") + "\n}\n",
    typescript: lambda outer, inner: f"{outer.rstrip()} {{\n  [cause]: " + inner.rstrip().replace("\n", "\n  ") + "\n}\n",
    csharp: lambda outer, inner: outer.replace(
        "\n", f"\n ---> {inner.rstrip()}\n   --- End of inner exception stack trace ---\n", 1
    ).replace("Broken", "Checkout", 1),
    ruby: lambda outer, inner: outer.replace("KeyError", "CheckoutError") + inner,
    php: lambda outer, inner: (
        f"PHP Fatal error:  Uncaught {inner.split('Uncaught ')[1].rstrip()}\n\nNext App\\CheckoutError: checkout failed in "
        + outer.split(" in ", 1)[1]
    ),
}  # Go and Rust wrap values, not traces: a panic has one


@pytest.mark.parametrize("tell", WRAPPED, ids=lambda tell: tell.__name__)
@settings(deadline=None, max_examples=15)
@given(names)
def test_an_error_wrapped_in_another_keeps_the_key(tell: Callable[[Crash], str], calls: list[str]) -> None:
    plain, outer = Crash(tuple(calls)), Crash(tuple(calls[-2:]), "checkout failed", 90)
    # Some tell the whole way of the cause, others end where it was caught.
    inner = replace(plain, calls=plain.calls if tell in (javascript, typescript, ruby, php) else plain.calls[:-1])
    assert key(WRAPPED[tell](tell(outer), tell(inner))) == key(tell(plain))


def renamed(calls: tuple[str, ...], which: int) -> tuple[str, ...]:
    return (*calls[:which], f"{calls[which]}_checked", *calls[which + 1 :])


@every_language
def test_a_renamed_function_or_file_stays_in_its_group(tell: Callable[[Crash], str]) -> None:
    """One call of five got another name, in a file of that name: a new fingerprint, yet the group of before, among other failures."""
    grouper, now = grouping.Grouper(), datetime(2026, 11, 25, tzinfo=UTC)
    crashes = [Crash(tuple(f"{part}_{base}" for part in ("load", "check", "apply", "serve", "run"))) for base in BASES]
    said = [grouper.assign(f"a{n}", failure(tell(one), now + timedelta(hours=7 * n))).group for n, one in enumerate(crashes)]
    assert len(set(said)) == len(BASES)
    later = [replace(one, calls=renamed(one.calls, n % 5), line=40) for n, one in enumerate(crashes)]
    again = [grouper.assign(f"b{n}", failure(tell(one), now + timedelta(days=3, hours=n))).group for n, one in enumerate(later)]
    assert again == said


@every_language
def test_the_order_of_arrival_changes_few_final_groups(tell: Callable[[Crash], str]) -> None:
    """At most 5 % of the pairs of one group are in two when the same failures come in another order."""
    crashes = [
        Crash(renamed(calls, n) if n else calls, f"no stock for order {n * 97 + k}", 10 + 13 * n)
        for k, calls in enumerate(tuple(f"{part}_{base}" for part in ("load", "check", "apply", "serve", "run")) for base in BASES)
        for n in (0, 2, 3)
        for _ in range(2)
    ]
    items = [(str(n), failure(tell(one), datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=n))) for n, one in enumerate(crashes)]
    mixed = items.copy()
    random.Random(3).shuffle(mixed)  # noqa: S311 - an order, no secret
    one, other = (final(order) for order in (items, mixed))
    together = [(a, b) for a in one for b in one if a < b and one[a] == one[b]]
    assert sum(other[a] == other[b] for a, b in together) >= 0.95 * len(together)
    assert len(set(other.values())) <= 1.05 * len(set(one.values()))


@every_language
def test_other_functions_under_one_handler_are_other_failures(tell: Callable[[Crash], str]) -> None:
    """Not even in a workspace of a day, whose every failure is near the last one."""
    crashes = [Crash((f"{base}_row", f"find_{base}", f"{base}_page", "handle", "dispatch")) for base in BASES]
    grouper, now = grouping.Grouper(), datetime(2026, 11, 25, tzinfo=UTC)
    groups = [grouper.assign(str(n), failure(tell(one), now + timedelta(hours=n))).group for n, one in enumerate(crashes)]
    assert len(set(groups)) == len(BASES)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (("validate_name_and_mail", "save", "handle", "dispatch"), True),
        (("validate_mail", "save", "handle", "dispatch"), False),  # a sister, not another name
        (("validate_name", "store", "handle", "dispatch"), True),
        (("validate_name", "store", "handle", "main"), False),
        (("validate_name", "save", "dispatch"), False),
    ],
)
def test_what_counts_as_a_rename(other: tuple[str, ...], same: bool) -> None:
    bags = [sources.Bag(fingerprint.of(failure(java(Crash(calls)))).features) for calls in (WAY, other)]
    assert renames.renamed(bags[0], bags[1], sources.Source()) is same
    often = sources.Source(seen=100, documents={bags[0].top: 9})
    assert not (other[:1] == WAY[:1] and renames.renamed(bags[0], bags[1], often)), "a call that many failures end in names none"


def final(items: list[tuple[str, Failure]]) -> dict[str, str]:
    grouper = grouping.Grouper()
    for name, told in items:
        grouper.assign(name, told)
    return grouper.finish()
