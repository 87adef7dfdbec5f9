"""Keys and signatures: one purpose's signature never passes for another's; secrets are written so that only their owner reads them."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfix.core import crypto
from everfix.core.crypto import BadEnvelope, BadSignature, Keys
from everfix.errors import ConfigurationError
from everfix.settings import Settings

KEYS = Keys(bytes(32))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(json_values)
def test_what_is_signed_comes_back(payload: Any) -> None:
    assert KEYS.verify("cursor", KEYS.sign("cursor", payload)) == payload


@given(json_values, st.text(min_size=1, max_size=5), st.integers(min_value=0))
def test_what_is_changed_does_not(payload: Any, letters: str, place: int) -> None:
    signed = KEYS.sign("cursor", payload)
    place %= len(signed)
    changed = signed[:place] + letters + signed[place + 1 :]
    if changed != signed:
        with pytest.raises(BadSignature):
            KEYS.verify("cursor", changed)


@given(st.text(max_size=80))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadSignature):
        KEYS.verify("cursor", text)


def test_a_purpose_and_a_key_each_sign_for_themselves() -> None:
    signed = KEYS.sign("cursor", [1])
    with pytest.raises(BadSignature):
        KEYS.verify("download", signed)
    with pytest.raises(BadSignature):
        Keys(bytes([1] * 32)).verify("cursor", signed)
    assert KEYS.derive("a") != KEYS.derive("b")
    assert KEYS.fingerprint != Keys(bytes([1] * 32)).fingerprint


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="holds 5 bytes; it must be 32 bytes in base64"):
        crypto.load(Settings(master_key=base64.b64encode(b"short").decode()))


def test_a_key_that_is_no_base64_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="EVERFIX_MASTER_KEY is not base64"):
        crypto.load(Settings(master_key="***"))


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new")
    first = crypto.load(settings)
    file = tmp_path / "new" / "master.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert crypto.load(settings).fingerprint == first.fingerprint
    file.write_text("broken!")
    with pytest.raises(ConfigurationError, match=r"master\.key is not base64"):
        crypto.load(settings)


def test_a_secret_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "owner.token"
    file.write_text("old")
    file.chmod(0o644)
    crypto.write_secret(file, "new")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new\n", 0o600)
    assert list(tmp_path.iterdir()) == [file]


def test_a_token_is_kept_as_its_hash() -> None:
    assert crypto.token_hash("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(json_values)
def test_what_is_sealed_opens_in_its_place_only(value: Any) -> None:
    sealed = KEYS.seal("destination", "ws/row", value)
    assert KEYS.unseal("destination", "ws/row", sealed) == value
    assert sealed != KEYS.seal("destination", "ws/row", value)  # a fresh data key and nonce each time
    for keys, purpose, place in (
        (KEYS, "destination", "ws/other"),
        (KEYS, "connector", "ws/row"),
        (Keys(b"x" * 32), "destination", "ws/row"),
    ):
        with pytest.raises(BadEnvelope):
            keys.unseal(purpose, place, sealed)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_envelope_does_not_open(place: int, flip: int) -> None:
    sealed = bytearray(KEYS.seal("destination", "ws/row", {"secret": "x"}))
    sealed[place % len(sealed)] ^= flip
    with pytest.raises(BadEnvelope):
        KEYS.unseal("destination", "ws/row", bytes(sealed))
    with pytest.raises(BadEnvelope):
        KEYS.unseal("destination", "ws/row", bytes(sealed[: place % len(sealed)]))
