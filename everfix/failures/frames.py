"""Frames of stack traces: names that outlive a build, and whether a call belongs to the application, to a test or to a library."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """One call: `name` is stable under line shifts, lambdas' indices, generated suffixes and hashes of builds."""

    name: str
    where: str = ""
    line: int | None = None
    in_app: bool = True
    test: bool = False


_GENERATED = (
    (re.compile(r"\$\$Lambda(?:\$\d+)?(?:[/@.]0x[0-9a-f]+|/\d+)?"), "$lambda"),
    (re.compile(r"lambda\$([\w<>]+)\$\w*\d+\b"), r"\1.lambda"),
    (re.compile(r"\$\$(?:EnhancerBy|FastClassBy|SpringCGLIB|KeyFactoryBy|MockitoMock|_javassist|HibernateProxy)\w*(?:\$\$\w+)*"), ""),
    (re.compile(r"(?:com\.sun\.proxy\.|jdk\.proxy\d+[./])*\$Proxy\d+"), "$Proxy"),
    (re.compile(r"\bGeneratedMethodAccessor\d+\b"), "GeneratedMethodAccessor"),
    (re.compile(r"<>c(?:__DisplayClass[\d_]+)?\.<(\w+)>b__[\d_]+"), r"\1.lambda"),
    (re.compile(r"<(\w+)>g__(\w+)\|[\d_]+"), r"\1.\2"),
    (re.compile(r"<(\w+)>d__\d+(?:`\d+)?\.MoveNext"), r"\1"),
    (re.compile(r"\{\{closure\}\}|\{closure(?:[#:][^}]*)?\}|<lambda>|<anonymous>|\banonymous\b"), "lambda"),
    (re.compile(r"^(?:java|jdk)\.[\w.]+/(?=java|jdk|sun|com\.sun)"), ""),
    (re.compile(r"::h[0-9a-f]{16}\b"), ""),
    (re.compile(r"\.func\d+(?:\.\d+)*\b"), ".lambda"),
    (re.compile(r"\[clone [^\]]*\]|\.(?:isra|part|constprop|cold|llvm)\.\d+"), ""),
    (re.compile(r"(?<=[\w>])\$\d+(?=$|[.$(])"), "$lambda"),
    (re.compile(r"`\d+|\[[^\]]*\](?=\.|\(|$)"), ""),
    (re.compile(r"0x[0-9a-fA-F]+|@[0-9a-f]{5,}"), ""),
)
_QUALIFIED = re.compile(r"(?: const| volatile| noexcept| &{1,2}|\[abi:\w+\])+$")
_BLOCKS = re.compile(r"^(?:block|rescue|ensure)(?: \(\d+ levels\))? in ")
_MINIFIED = re.compile(r"^[A-Za-z_$]{1,2}\d?$")


@functools.lru_cache(maxsize=16_384)
def stable(name: str) -> str:
    """Return a function's name without what changes from build to build: template arguments, indices of lambdas, proxies, hashes."""
    name = _BLOCKS.sub("", name.strip())
    for pattern, word in _GENERATED:
        if pattern.search(name):
            name = pattern.sub(word, name)
    name = _QUALIFIED.sub("", _without_brackets(name)).strip(" .:")
    return re.sub(r"\s+", " ", name)[:200]


def _without_brackets(name: str) -> str:
    """Drop <template arguments> and (parameters), nested or cut off, but keep operator<, operator() and <init>."""
    if "<" not in name and "(" not in name:
        return name
    out, depth = [], 0
    kept = _KEPT.sub(lambda m: m.group(0).translate(_SAFE), name)
    for c in kept:
        if c in "<(":
            depth += 1
        elif c in ">)":
            depth = max(0, depth - 1)
        elif not depth:
            out.append(c)
    return "".join(out).translate(_BACK)


_KEPT = re.compile(
    r"operator(?:<=>|<<=?|>>=?|<=?|>=?|->\*?|\(\))|<(?:init|clinit|module|main)>|\(\*?[A-Z]\w*\)(?=\.)|\(anonymous namespace\)"
)
_SAFE = str.maketrans("<>()", "\ue000\ue001\ue002\ue003")
_BACK = str.maketrans("\ue000\ue001\ue002\ue003", "<>()")
_HASHED_FILE = re.compile(r"(?:[.\-_](?=[0-9a-f]*\d)[0-9a-f]{6,})+(?=\.|$)|(?<=\.js)\?.*$")


def _file(path: str) -> str:
    """Return a file's own name without directories, hashes of builds and queries."""
    return _HASHED_FILE.sub("", path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1])[:120]


_LIBRARY_NAME = re.compile(
    r"^(?:java|javax|jakarta|jdk|sun|com\.sun|kotlin|kotlinx|scala|groovy|clojure|dalvik|android|androidx|com\.android"
    r"|junit|org\.junit|org\.testng|org\.hamcrest"
    r"|org\.apache\.tools|org\.apache\.maven|org\.gradle|org\.springframework|org\.hibernate|org\.apache\.(?:catalina"
    r"|coyote|tomcat|http|kafka\.common)|org\.eclipse\.jetty"
    r"|org\.postgresql|com\.mysql|oracle\.jdbc|com\.zaxxer|redis\.clients|io\.lettuce|org\.slf4j|ch\.qos|org\.aspectj"
    r"|org\.jboss|io\.grpc|io\.undertow"
    r"|io\.netty|io\.reactivex|reactor|com\.google\.common|com\.fasterxml|net\.bytebuddy|net\.sf\.cglib|okhttp3|retrofit2"
    r"|worker\.org\.gradle"
    r"|System|Microsoft|MS|xunit|Xunit|NUnit)\."
    r"|^(?:\$Proxy|runtime\.|testing\.|reflect\.|panic$|created by |syscall\.|sync\.|net/http\.|database/sql\.|encoding/\w+\.)"
    r"|^<?(?:std|core|alloc|tokio|rayon_core|rust_begin_unwind|__rust|backtrace|hashbrown|futures_\w+|fuzzer|__sanitizer"
    r"|__asan|__msan|__ubsan|__tsan|__gnu_cxx|__cxa)(?:::|_|$)"
    r"|^(?:__libc_|__interceptor_|__GI_|_start$|start_thread$|clone3?$|raise$|abort$|gsignal$|__assert|__restore_rt"
    r"|operator (?:new|delete)|malloc$|free$|realloc$|calloc$"
    r"|(?:__)?mem(?:cpy|move|set|cmp|chr)\w*$|(?:__)?str(?:n?cpy|n?cmp|n?len|n?dup|n?cat|chr|str)$|LLVMFuzzerTestOneInput$"
    r"|main$|WinMain$|BaseThreadInitThunk$|RtlUserThreadStart$)"
)  # fmt: skip
_LIBRARY_PLACE = re.compile(
    r"(?:^|[\\/])(?:site-packages|dist-packages|node_modules|vendor|gems|bower_components|\.cargo|rustc|rustlib"
    r"|third_party)[\\/]|[\\/]pkg[\\/]mod[\\/]"
    r"|[\\/]lib[\\/]python\d|[\\/]Python\d+[\\/]lib[\\/]|^<frozen |[\\/]go[\\/]src[\\/]|^(?:node:|internal/|native "
    r"|webpack/bootstrap|<internal:|<string>$|\[native)"
    r"|[\\/]ruby[\\/]\d|^/(?:usr/)?lib(?:32|64)?/|\.so(?:\.\d+)*$|[\\/]compiler-rt[\\/]|[\\/]libfuzzer|[\\/]glibc",
    re.IGNORECASE,
)
_TEST = re.compile(
    r"(?:^|[.$:/\\])(?:test_\w+\.py|conftest\.py|\w+_test\.(?:go|py|rb|cc|cpp)|[\w.-]+\.(?:test|spec)\.[cm]?[jt]sx?|\w+_spec\.rb)"
    r"|(?:^|[.$:\\/])(?:\w*Tests?|\w*TestCase|\w*[a-z]IT|\w*Spec|Test[A-Z]\w*)[.$:]|(?:^|[.:])test_\w+$"
)


@functools.lru_cache(maxsize=16_384)
def made(name: str, where: str = "", line: str | None = None) -> Frame:
    plain = stable(name)
    file = _file(where) if where else ""
    nameless = plain in ("", "?", "??") and not (file and _TEST.search(file))  # a test's body often has no name, but its file does
    library = bool(_LIBRARY_NAME.match(plain)) or bool(where and _LIBRARY_PLACE.search(where)) or nameless
    if _MINIFIED.match(plain) and file.endswith((".js", ".mjs", ".cjs")):
        plain = "?"
    if plain in ("", "?", "lambda"):
        plain = f"{plain or '?'}@{file}"
    test = bool(_TEST.search(plain)) or bool(file and _TEST.search(file))
    return Frame(plain, file, int(line) if line and line.isdigit() else None, not library, test)
