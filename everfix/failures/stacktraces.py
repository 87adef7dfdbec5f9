"""Stack traces of ten languages as one shape: a chain of errors, each with its frames, the innermost call first."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from everfix.failures import frames, normalise
from everfix.failures.frames import Frame

MOST_LINES, MOST_FRAMES, MOST_ERRORS, LONGEST_LINE = 1200, 200, 12, 1000  # beyond these a trace repeats itself


@dataclass(frozen=True, slots=True)
class Error:
    """One error of a chain with its frames, innermost call first; `common` frames are those of the error that wraps it."""

    type: str
    message: str
    frames: tuple[Frame, ...]
    common: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """A parsed trace: `errors` from the outermost wrapper to the root cause; never empty."""

    language: str
    errors: tuple[Error, ...]

    @property
    def root(self) -> Error:
        return self.errors[-1]

    def path(self) -> tuple[Frame, ...]:
        """Return the way to the root cause, innermost call first: its own frames, then its wrappers' below the point of the catch."""
        way = self.errors[-1].frames
        for wrapper in reversed(self.errors[:-1]):
            way = _joined(way, wrapper)
        return way


def _joined(inner: tuple[Frame, ...], wrapper: Error) -> tuple[Frame, ...]:
    """Continue `inner` with the frames of the wrapper that lie outside the function that caught it."""
    if not inner:
        return wrapper.frames
    outer = [f.name for f in wrapper.frames]
    for depth in range(len(inner) - 1, -1, -1):
        if inner[depth].name in outer:
            return inner[: depth + 1] + wrapper.frames[outer.index(inner[depth].name) + 1 :]
    return inner


_JAVA = re.compile(
    r"^\s*at (?:[\w.@-]+/{1,2}|PluginClassLoader for [\w-]+//)*([\w.$<>/\-]+\.[\w$<>\-]+)\((Native Method|Unknown Source"
    r"|SourceFile|<\w+>|[\w$.\-]+\.\w{1,6})(?::(-?\d+))?\)"
)
_CSHARP = re.compile(r"^\s*(?:at|bei|à|в) (.+?\)?)(?: \[0x[0-9a-f]+\])?(?: in (.+?):(?:line |Zeile )?(\d+)\s*)?$")
_JS = re.compile(
    r"^\s*at (?:async )?(?:new )?(?:(.+?) (?:\[as [^\]]+\] )?\((?:eval at .*, )?(.*?)(?::(\d+))?(?::\d+)?\)|(?:async"
    r" )?((?:[a-z-]+:)?[^\s()]+?):(\d+):\d+)\W*$"
)
_GECKO = re.compile(r"^([^@\s]{0,200})@((?:https?:|file:|app:|resource:|webpack|\.{0,2}/)[^\s]*?):(\d+)(?::\d+)?$")
_PYTHON = re.compile(r'^\s*File "([^"]*)", line (\d+)(?:, in (.+))?$')
_GO = re.compile(r"^(?:created by )?([\w./\-*()%~]+\.[\w.()*\[\]{}\-]+?)(?:\([^)]*\)?|\{[^}]*\})?(?: in goroutine \d+)?$")
_GO_PLACE = re.compile(r"^\s+(\S+\.(?:go|s)):(\d+)(?: \+0x[0-9a-f]+)?$")
_PHP = re.compile(r"^#\d+ (?:(.+?)\((\d+)\)|\[internal function\]): (.+)$")
_NATIVE = re.compile(
    r"^\s*#\d+:?\s+(?:0x[0-9a-f]+\s+(?:in\s+)?|in\s+|(?=[\w:~<>.]+ ?\())(.+?)(?:\s+(?:at\s+)?((?:/|[A-Za-z]:[\\/]"
    r"|\.{0,2}/)?[\w./\\+\-]+\.\w{1,4}):(\d+)(?::\d+)?"
    r"|\s+(?:from\s+)?\(?(/?[\w./+\-]+)(?:\+0x[0-9a-f]+)?\)?(?:\s+\(BuildId[^)]*\))?)?\s*$"
)
_RUST = re.compile(r"^\s*\d+:\s+(?:0x[0-9a-f]+ - )?([<\w].*)$")
_RUST_PLACE = re.compile(r"^\s+at ((?:/|\.|[A-Za-z]:|[\w-]+/)[^\s:]*\.rs):(\d+)(?::\d+)?$")
_RUBY = re.compile(r"^\s*(?:from |\d+: from )?([^\s:]+\.(?:rb|erb|rake|ru)|<internal:[^>]+>|\S*/bin/\w+):(\d+):in [`'](.+?)'(?::\s*(.*))?$")
_ARGUMENTS = re.compile(r" \(.*?=.*\)$| \(\)$")
_MORE = re.compile(r"^\s*\.\.\. (\d+) (?:more|common frames omitted)")

_TYPE = r"[A-Za-z_][\w$]*(?:(?:\.|::|\\|/)[A-Za-z_][\w$]*)*"
_HEAD = re.compile(
    rf"^(?:Exception in thread \"[^\"]*\" |Uncaught(?: \(in promise\))? |Unhandled exception\. |PHP Fatal error:\s+Uncaught "
    rf"|Fatal error:\s+Uncaught |Next |\(?|Error: Uncaught )({_TYPE})(?: \[[\w-]+\])?(?::\s*(.*)|(\s*))$"
)
_NAMED = re.compile(r"(?:Error|Exception|Failure|Fault|Throwable|Panic|Interrupt|Exit|Warning|Timeout|Violation|Errno\S*|Abort|Iteration)$")
_CHAIN = re.compile(
    rf"^\s*(?:Caused by|caused by|\[cause\]|Wrapped by|--->|Cause \d+|Suppressed):?\s*(?:\(Inner Exception #\d+\)"
    rf" )?({_TYPE})(?: \[[\w-]+\])?(?::\s*(.*))?"
)
_ASAN = re.compile(r"^(?:==\d+==\s*)?(?:ERROR|WARNING|SUMMARY): (\w*Sanitizer|libFuzzer): ([\w-]+(?: [A-Z]\w+)?)(.*)$")
_UBSAN = re.compile(r"^\S+?:\d+(?::\d+)?: runtime error: (.*)$")
_SIGNAL = re.compile(r"(?:Program (?:received signal|terminated with signal)|signal:?) (SIG[A-Z]+)")
_PANIC = re.compile(r"^(?:\[signal |panic: |fatal error: |runtime: )(.*)$")
_RUST_PANIC = re.compile(r"thread '[^']*'(?: \(\d+\))? panicked at (?:'(.*)', )?(.+?\.rs):\d+(?::\d+)?:?\s*$")
_PYTHON_START = re.compile(r"^\s*(?:\+ Exception Group )?Traceback \(most recent call last\)")
_PYTHON_JOIN = re.compile(r"^\s*(?:The above exception was the direct cause|During handling of the above exception)")
_GUTTER = re.compile(r"^\s*[|+][-\s|+]*(?=\S)")


class _Builder:
    """Collects errors and frames line by line; `swap` says that the chain is told cause first."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, str, list[Frame], int]] = []
        self.language = ""
        self.cause_first = False
        self.outermost_first = False

    def error(self, kind: str, message: str) -> None:
        if len(self.errors) < MOST_ERRORS:
            self.errors.append((kind, message.strip(), [], 0))

    def frame(self, frame: Frame, language: str) -> None:
        if not self.errors:
            self.errors.append(("", "", [], 0))
        held = self.errors[-1][2]
        if len(held) < MOST_FRAMES:
            held.append(frame)
            self.language = self.language or language

    def more(self, count: int) -> None:
        if self.errors:
            kind, message, held, _ = self.errors[-1]
            self.errors[-1] = (kind, message, held, count)

    def place(self, where: str, line: str) -> None:
        if self.errors and self.errors[-1][2]:
            old = self.errors[-1][2][-1]
            self.errors[-1][2][-1] = frames.made(old.name, where, line)

    def done(self) -> Trace | None:
        errors = [e for e in self.errors if e[2] or e[0]]
        if not any(e[2] for e in errors):
            return None
        if self.cause_first:
            errors.reverse()
        made = tuple(Error(k, m, tuple(reversed(f)) if self.outermost_first else tuple(f), c) for k, m, f, c in errors)
        return Trace(self.language, made)


def parse(text: str) -> Trace | None:
    """Return the trace found in `text`, or None where no line looks like a frame; never raises, whatever the text."""
    rows = [row[:LONGEST_LINE] for row in normalise.clean(text).split("\n")[:MOST_LINES]]
    language = _language(rows)
    if not language:
        return None
    build = _Builder()
    build.outermost_first = language == "python"
    _READERS[language](rows, build)
    return build.done()


def _language(rows: list[str]) -> str:
    """Return the language most of whose frame lines are present; the tables below go from the strictest shape to the loosest."""
    counts, left = dict.fromkeys(_READERS, 0), 24
    for row in rows:
        for language, shapes in _SIGNS:
            if any(shape.match(row) for shape in shapes):
                counts[language] += 1
                left -= 1
                break
        if not left:
            break
    best = max(counts, key=lambda k: counts[k])
    return best if counts[best] else ""


def _head(row: str, build: _Builder) -> bool:
    """Take `row` as the header of an error, if it reads like `Type: message`."""
    chain = _CHAIN.match(row)
    if chain:
        build.error(chain.group(1), chain.group(2) or "")
        return True
    head = _HEAD.match(row.strip())
    if head and (
        _NAMED.search(head.group(1)) or (not build.errors and head.group(2) is not None and re.search(r"[.\\]|::", head.group(1)))
    ):
        build.error(head.group(1), head.group(2) or "")
        return True
    return False


def _java(rows: list[str], build: _Builder) -> None:
    for row in rows:
        frame, more = _JAVA.match(row), _MORE.match(row)
        if row.lstrip().startswith("Suppressed:"):
            break
        if frame:
            build.frame(frames.made(frame.group(1), frame.group(2), frame.group(3)), "java")
        elif more:
            build.more(int(more.group(1)[:6]))
        elif row.lstrip().startswith("Caused by") or not build.errors:
            _head(row, build)


def _python(rows: list[str], build: _Builder) -> None:
    """Python tells frames before the error, the outermost call first, and the cause before what was raised from it."""
    pending: list[Frame] = []
    build.cause_first, build.language = True, "python"
    for raw in rows:
        row = _GUTTER.sub("", raw)
        frame = _PYTHON.match(row)
        if frame:
            pending.append(frames.made(frame.group(3) or "<module>", frame.group(1), frame.group(2)))
        elif pending and row and not row[0].isspace() and not _PYTHON_START.match(row) and not _PYTHON_JOIN.match(row):
            kind, _, message = row.partition(":")
            build.error(kind.strip() if re.fullmatch(_TYPE, kind.strip()) else "", message if kind != row else "")
            build.errors[-1][2].extend(pending[-MOST_FRAMES:])
            pending = []
    if pending:
        build.error("", "")
        build.errors[-1][2].extend(pending[-MOST_FRAMES:])


def _javascript(rows: list[str], build: _Builder) -> None:
    for row in rows:
        frame, gecko = _JS.match(row), _GECKO.match(row)
        if frame:
            where = frame.group(2) or frame.group(4) or ""
            build.frame(frames.made(_js_name(frame.group(1) or ""), where, frame.group(3) or frame.group(5)), "javascript")
        elif gecko:
            build.frame(frames.made(gecko.group(1), gecko.group(2), gecko.group(3)), "javascript")
        elif "[cause]" in row or "caused by" in row.lower()[:20] or not build.errors:
            _head(row, build)


def _js_name(name: str) -> str:
    return re.sub(r"^(?:async |new |get |set |Object\.|Module\.|Function\.|global\.|Promise\.)+(?=.)", "", name)


def _csharp(rows: list[str], build: _Builder) -> None:
    """C# tells `Outer ---> Inner`, then the inner frames, then `--- End of inner exception stack trace ---` and the outer frames."""
    ends = 0
    for row in rows:
        frame = _CSHARP.match(row)
        if row.lstrip().startswith("--- End of inner") and len(build.errors) > ends + 1:
            ends += 1
            build.errors.append(build.errors.pop(len(build.errors) - 1 - ends))
            build.cause_first = True
        elif frame and re.match(r"\s*(?:at|bei|à|в) ", row):
            build.frame(frames.made(frame.group(1), frame.group(2) or "", frame.group(3)), "csharp")
        elif row.strip() and not row.lstrip().startswith("--- End"):
            for part in re.split(r"(?=--->)", row):
                _head(part.strip(), build)


def _go(rows: list[str], build: _Builder) -> None:
    for row in rows:
        place, panic = _GO_PLACE.match(row), _PANIC.match(row)
        if panic and not build.errors:
            build.error("panic", panic.group(1))
        elif row.startswith("goroutine ") and build.errors and build.errors[-1][2]:
            break
        elif place:
            build.place(place.group(1), place.group(2))
        elif _GO.match(row) and not row.startswith(("goroutine ", "exit ")):
            name = re.sub(r"^created by |(?: in goroutine \d+)$|\((?:0x|\{|\.\.\.|\)|[^*)]*,)[^()]*\)?$|\(\)$", "", row)
            build.frame(frames.made(name, "", None), "go")


def _native(rows: list[str], build: _Builder) -> None:
    for row in rows:
        frame, asan, signal = _NATIVE.match(row), _ASAN.match(row), _SIGNAL.search(row)
        if asan and not build.errors:
            build.error(asan.group(2).strip(), "")
        elif signal and not build.errors:
            build.error(signal.group(1), "")
        elif _UBSAN.match(row) and not build.errors:
            build.error("runtime-error", row.split("runtime error:", 1)[1])
        elif frame:
            if re.match(r"\s*#0\b", row) and build.errors and build.errors[-1][2]:
                break  # the stacks of allocation and release say where the memory came from, not what failed
            build.frame(frames.made(_ARGUMENTS.sub("", frame.group(1)), frame.group(2) or frame.group(4) or "", frame.group(3)), "native")


def _rust(rows: list[str], build: _Builder) -> None:
    for at, row in enumerate(rows):
        panic, frame, place = _RUST_PANIC.search(row), _RUST.match(row), _RUST_PLACE.match(row)
        if panic and not build.errors:
            build.error("panic", panic.group(1) or (rows[at + 1] if at + 1 < len(rows) else ""))
        elif place:
            build.place(place.group(1), place.group(2))
        elif frame:
            build.frame(frames.made(frame.group(1)), "rust")


def _ruby(rows: list[str], build: _Builder) -> None:
    for row in rows:
        frame = _RUBY.match(row)
        if frame:
            said = re.match(r"(.*?)\s*\(([\w:]+)\)\s*$", frame.group(4) or "")
            if said and (not build.errors or build.errors[-1][0]):  # a second header begins the cause
                build.error(said.group(2), said.group(1))
            build.frame(frames.made(frame.group(3), frame.group(1), frame.group(2)), "ruby")
        elif not build.errors:
            _head(row, build)


def _php(rows: list[str], build: _Builder) -> None:
    build.cause_first = True  # «Next» tells the wrapper after its cause
    for row in rows:
        frame = _PHP.match(row)
        if frame:
            build.frame(frames.made(re.sub(r"->", "::", frame.group(3)), frame.group(1) or "", frame.group(2)), "php")
        elif row.startswith("Next ") or not build.errors:
            _head(row, build)


_SIGNS: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = (
    ("python", (_PYTHON,)),
    ("php", (_PHP,)),
    ("native", (_NATIVE,)),
    ("rust", (_RUST_PLACE, re.compile(r"^\s+\d+:\s+(?:0x[0-9a-f]+ - )?[<\w].*::"))),
    ("ruby", (_RUBY,)),
    ("go", (_GO_PLACE,)),
    ("java", (_JAVA,)),
    ("javascript", (_JS, _GECKO)),
    ("csharp", (re.compile(r"^\s*(?:at|bei|à|в) [\w.<>`\[\],+|]+\(.*\)(?: in .+:line \d+)?\s*$"),)),
)
_READERS: dict[str, Callable[[list[str], _Builder], None]] = {
    "python": _python,
    "php": _php,
    "native": _native,
    "rust": _rust,
    "ruby": _ruby,
    "go": _go,
    "java": _java,
    "javascript": _javascript,
    "csharp": _csharp,
}


def is_header(row: str) -> bool:
    """Say whether a line reads like the beginning of a trace: `Type: message`, `Traceback …`, `panic: …` or a sanitizer's report."""
    if any(shape.match(row) for shape in (_PYTHON_START, _PANIC, _ASAN, _CHAIN)) or _RUST_PANIC.search(row):
        return True
    head = _HEAD.match(row.strip())
    return bool(head and _NAMED.search(head.group(1)))
