from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfix.failures import frames, stacktraces

JAVA = """com.acme.web.RequestFailed: checkout failed
\tat com.acme.web.Router.dispatch(Router.java:88)
\tat com.acme.web.Server.handle(Server.java:41)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: java.sql.SQLTimeoutException: timeout after 3000 ms
\tat org.postgresql.Driver.connect(Driver.java:12)
\tat com.acme.billing.Ledger$$EnhancerBySpringCGLIB$$1a2b3c.book(<generated>)
\tat com.acme.billing.Ledger.lambda$book$3(Ledger.java:77)
\tat com.acme.web.Router.dispatch(Router.java:80)
\t... 2 more
"""
PYTHON = """Traceback (most recent call last):
  File "/srv/app/shop/stock.py", line 12, in reserve
    row = rows[0]
IndexError: list index out of range

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/usr/lib/python3.12/site-packages/flask/app.py", line 880, in full_dispatch_request
    rv = self.dispatch_request()
  File "/srv/app/shop/views.py", line 30, in buy
    stock.reserve(item)
  File "/srv/app/shop/stock.py", line 15, in reserve
    raise OutOfStock(item) from error
shop.errors.OutOfStock: item 881
"""
JAVASCRIPT = """TypeError: Cannot read properties of undefined (reading 'id')
    at Object.<anonymous> (/app/src/cart.js:10:5)
    at async Promise.all (index 0)
    at async total (/app/src/cart.js:22:9)
    at Layer.handle [as handle_request] (/app/node_modules/express/lib/router/layer.js:95:5)
    at processTicksAndRejections (node:internal/process/task_queues:96:5) {
  [cause]: RangeError: bad page
      at page (/app/src/pages.3f2a1bc9.js:1:2)
}
"""
GO = """panic: runtime error: index out of range [3] with length 3

goroutine 18 [running]:
main.(*Cart).Total(0xc000012018, 0x3)
\t/home/build/shop/cart.go:31 +0x1d
main.serve.func1()
\t/home/build/shop/main.go:12 +0x85
net/http.HandlerFunc.ServeHTTP(0xc000, {0x1, 0x2}, 0x3)
\t/usr/local/go/src/net/http/server.go:2136 +0x29
created by main.main in goroutine 1
\t/home/build/shop/main.go:40 +0x3f
"""
ASAN = """==4242==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000011 at pc 0x4f2a
READ of size 1 at 0x602000000011 thread T0
    #0 0x4f2a3c in __asan_memcpy /src/llvm/compiler-rt/lib/asan/asan.cpp:22:3
    #1 0x51aa00 in parse_header(char const*, unsigned long) /src/png/parse.c:118:9
    #2 0x51bb11 in png::Reader<unsigned char>::read() /src/png/reader.cc:42:5
    #3 0x7f11 in __libc_start_main (/lib/libc.so.6+0x2409a)

0x602000000011 is located 0 bytes to the right of 1-byte region
allocated by thread T0 here:
    #0 0x4e in malloc
    #1 0x51 in other_place /src/png/alloc.c:3:1
"""
GDB = """Program received signal SIGSEGV, Segmentation fault.
#0  0x000055 in list_pop (list=0x0) at list.c:21
#1  queue_next (q=0x7ffe) at queue.c:9
#2  0x00007f in ?? () from /lib/x86_64-linux-gnu/libc.so.6
"""
RUST = """thread 'main' panicked at src/cart.rs:14:9:
called `Option::unwrap()` on a `None` value
stack backtrace:
   0: rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:645:5
   1: core::option::unwrap_failed
             at /rustc/abc/library/core/src/option.rs:1984:5
   2: shop::cart::Cart::total::h0123456789abcdef
             at ./src/cart.rs:14:9
   3: shop::main::{{closure}}
             at ./src/main.rs:5:3
"""
CSHARP = """Shop.CheckoutException: checkout failed
 ---> System.NullReferenceException: Object reference not set
   at Shop.Cart.<TotalAsync>d__5.MoveNext() in C:\\src\\Cart.cs:line 17
   at Shop.Cart.<>c__DisplayClass3_0.<Sum>b__0(Item i) in C:\\src\\Cart.cs:line 30
   --- End of inner exception stack trace ---
   at Shop.Web.Pay(Int32 id) in C:\\src\\Web.cs:line 9
   at System.Threading.Tasks.Task.Execute()
"""
RUBY = """app/models/cart.rb:14:in `total': undefined method `price' for nil (NoMethodError)
\tfrom app/models/cart.rb:9:in `block in lines'
\tfrom /usr/local/bundle/gems/rack-2.2.8/lib/rack/builder.rb:3:in `call'
"""
PHP = """PHP Fatal error:  Uncaught RuntimeException: no stock in /var/www/app/Stock.php:12
Stack trace:
#0 /var/www/app/Cart.php(30): App\\Stock->reserve(Object(App\\Item))
#1 /var/www/vendor/laravel/framework/src/Pipeline.php(180): App\\Cart->{closure}(Object)
#2 {main}
"""


@pytest.mark.parametrize(
    ("text", "language", "kind", "own"),
    [
        (
            JAVA,
            "java",
            "java.sql.SQLTimeoutException",
            [
                "com.acme.billing.Ledger.book",
                "com.acme.billing.Ledger.book.lambda",
                "com.acme.web.Router.dispatch",
                "com.acme.web.Server.handle",
            ],
        ),
        (PYTHON, "python", "IndexError", ["reserve", "buy"]),
        (JAVASCRIPT, "javascript", "RangeError", ["page"]),
        (GO, "go", "panic", ["main.(*Cart).Total", "main.serve.lambda", "main.main"]),
        (ASAN, "native", "heap-buffer-overflow", ["parse_header", "png::Reader::read"]),
        (GDB, "native", "SIGSEGV", ["list_pop", "queue_next"]),
        (RUST, "rust", "panic", ["shop::cart::Cart::total", "shop::main::lambda"]),
        (CSHARP, "csharp", "System.NullReferenceException", ["Shop.Cart.TotalAsync", "Shop.Cart.Sum.lambda"]),
        (RUBY, "ruby", "NoMethodError", ["total", "lines"]),
        (PHP, "php", "RuntimeException", ["App\\Stock::reserve"]),
    ],
)
def test_each_language_gives_its_root_cause_and_the_applications_frames(text: str, language: str, kind: str, own: list[str]) -> None:
    trace = stacktraces.parse(text)
    assert trace is not None
    assert (trace.language, trace.root.type) == (language, kind)
    assert [f.name for f in trace.path() if f.in_app] == own


def test_frames_know_their_file_and_line() -> None:
    trace = stacktraces.parse(GO)
    assert trace is not None
    assert (trace.root.frames[0].where, trace.root.frames[0].line) == ("cart.go", 31)


def test_test_frames_are_told_from_the_code_under_test() -> None:
    trace = stacktraces.parse("AssertionError: no\n\tat shop.Cart.total(Cart.java:3)\n\tat shop.CartTest.adds(CartTest.java:9)\n")
    assert trace is not None
    assert [f.test for f in trace.root.frames] == [False, True]


@pytest.mark.parametrize(
    ("raw", "stable"),
    [
        ("std::vector<std::map<int, Foo>, std::allocator<int> >::push_back(Foo const&)", "std::vector::push_back"),
        ("std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<ch", "std::__1::basic_string"),
        ("Foo::operator<(Foo const&) const", "Foo::operator<"),
        ("com.acme.Foo.<init>", "com.acme.Foo.<init>"),
        ("com.sun.proxy.$Proxy42.run", "$Proxy.run"),
        ("com.acme.Foo$$Lambda$14/0x0000000800c03000.apply", "com.acme.Foo$lambda.apply"),
        ("main.run.func2.1", "main.run.lambda"),
        ("block (2 levels) in perform", "perform"),
        ("do_work.isra.0", "do_work"),
        ("App\\Cart->{closure}", "App\\Cart->lambda"),
    ],
)
def test_names_lose_what_changes_from_build_to_build(raw: str, stable: str) -> None:
    assert frames.stable(raw) == stable


def test_minified_names_give_way_to_the_file_without_its_hash() -> None:
    trace = stacktraces.parse(
        "TypeError: x\n    at a (https://cdn.example/main.9f8e7d6c.js:1:20)\n    at tt (https://cdn.example/main.9f8e7d6c.js:1:90)\n"
    )
    assert trace is not None
    assert [f.name for f in trace.root.frames] == ["?@main.js", "?@main.js"]


@pytest.mark.parametrize("text", ["", "all is well", "at noon we had lunch", "{}", "\x00\x01", "#1 priority: fix it", "\t/a/b.go:3 +0x1"])
def test_prose_is_no_trace(text: str) -> None:
    found = stacktraces.parse(text)
    assert found is None or not any(f.in_app for f in found.path())


@settings(deadline=None)
@given(
    st.text(max_size=400),
    st.sampled_from([JAVA, PYTHON, JAVASCRIPT, GO, ASAN, GDB, RUST, CSHARP, RUBY, PHP]),
    st.integers(0, 900),
    st.integers(0, 900),
)
def test_cut_and_dirty_traces_never_raise(dirt: str, text: str, start: int, length: int) -> None:
    stacktraces.parse(dirt + text[start : start + length] + dirt)
    stacktraces.is_header(dirt)
    frames.stable(dirt)


@pytest.mark.parametrize(
    ("text", "kind", "own"),
    [
        ("TypeError: x\ntotal@https://cdn.example/cart.js:3:7\nbuy@https://cdn.example/cart.js:9:1\n", "TypeError", ["total", "buy"]),
        ("png.c:12:3: runtime error: shift of negative value\n    #0 0x12 in shift /src/png.c:12:3\n", "runtime-error", ["shift"]),
        ("a.Outer: x\n\tat a.B.c(B.java:1)\nCaused by: a.Inner: y\n", "a.Inner", ["a.B.c"]),
        ("a.Outer: x\n\tat a.B.c(B.java:1)\n\tSuppressed: a.Other: z\n\t\tat a.D.e(D.java:1)\n", "a.Outer", ["a.B.c"]),
        (
            "panic: no\n\ngoroutine 1 [running]:\nmain.a()\n\t/x/a.go:1\n\ngoroutine 2 [select]:\nmain.b()\n\t/x/b.go:2\n",
            "panic",
            ["main.a"],
        ),
    ],
)
def test_less_common_shapes(text: str, kind: str, own: list[str]) -> None:
    trace = stacktraces.parse(text)
    assert trace is not None
    assert (trace.root.type, [f.name for f in trace.path() if f.in_app]) == (kind, own)


@pytest.mark.parametrize(
    "row", ["Traceback (most recent call last):", "panic: no", "ERROR: AddressSanitizer: SEGV on", "java.io.IOException: x", "ValueError"]
)
def test_headers_of_traces_are_known(row: str) -> None:
    assert stacktraces.is_header(row)
    assert not stacktraces.is_header("not ok 4 parallel/test")
