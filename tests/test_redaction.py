"""What tells who somebody is, or opens a door, does not leave; and comes back unchanged."""

from __future__ import annotations

import pytest

from everfix.core.redaction import Redactor

PEOPLE = [("Jane Doeringer", "jane.doe@acme.example"), ("Ng", "ng@acme.example")]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("mail jane@acme.example now", "mail [e-mail A] now"),
        ("call +49 170 1234567 or (415) 555-0100", "call [phone A] or [phone B]"),
        ("from 10.0.0.12 and 10.0.0.12 to 10.0.0.13", "from [address A] and [address A] to [address B]"),
        ("at fe80::1ff:fe23:4567:890a and ::1", "at [address A] and [address B]"),
        ("Authorization: Bearer abcdefghijkl.mnop", "Authorization: Bearer [token A]"),
        ("password=hunter22 token: 'abcd1234'", "password=[secret A] token: '[secret B]'"),
        ("postgres://app:s3cr3t@db/x", "postgres://[secret A]@db/x"),
        ("key sk-" + "ant-" + "x1" * 12, "key [key A]"),
        ("AKIAIOSFODNN7EXAMPLE", "[key A]"),
        ("efx_pat_0123456789abcdefghij", "[token A]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "[token A]"),
        ("Jane Doeringer paged; Doeringer said", "[name A] paged; [name B] said"),
        ("card 4111 1111 1111 1111", "card [card A]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[key A]"),
    ],
)
def test_personal_data_is_hidden_and_shown_again(text: str, hidden: str) -> None:
    redactor = Redactor(PEOPLE)
    assert redactor.hide(text) == hidden
    assert redactor.show(hidden) == text


@pytest.mark.parametrize(
    "text",
    [
        "Issues rose 12 % to 41,600 (from 30,400) on 5 Nov 2026",
        "2026-11-21T10:15:00+00:00",
        "OOM in image resizer at 12:30:45",
        "request 0191f3c2-7b5a-7c3e-9d1f-1234567890ab failed",
        "std::vector<int> in CartService::total",
        "version 1.2.3 to 10.4.1",
        "12 of 137 predictions, 4.5 days, $107,520",
        "the token bucket is empty and the secret of it",
    ],
)
def test_figures_and_names_of_things_stay(text: str) -> None:
    assert Redactor(PEOPLE).hide(text) == text


def test_a_placeholder_holds_no_digit_and_unknown_ones_stay() -> None:
    redactor = Redactor()
    told = redactor.hide(" ".join(f"a{number}@x.example" for number in range(60)))
    assert not any(letter.isdigit() for letter in told)
    assert redactor.show("[e-mail ZZZ]") == "[e-mail ZZZ]"
    assert redactor.show(told) == " ".join(f"a{number}@x.example" for number in range(60))
