"""Keys and signatures: one master key per installation, one derived key per purpose."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from everfix.errors import ConfigurationError
from everfix.settings import Settings

KEY_BYTES = 32
NONCE_BYTES, TAG_BYTES = 12, 16
ENVELOPE = b"\x01"  # the envelope's version


class BadSignature(ValueError):
    """A signed text was changed, cut, or signed for something else."""


class BadEnvelope(ValueError):
    """A sealed value was changed, moved to another row, or sealed under another master key."""


class Keys:
    """Derives a key per purpose (HKDF-SHA256, RFC 5869), so that a cursor's signature can never pass for a link's."""

    def __init__(self, master: bytes) -> None:
        if len(master) != KEY_BYTES:
            raise ConfigurationError(f"EVERFIX_MASTER_KEY holds {len(master)} bytes; it must be {KEY_BYTES} bytes in base64")
        self._master = master

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes that only this purpose gets."""
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"everfix:{purpose}".encode()).derive(self._master)

    def sign(self, purpose: str, payload: object) -> str:
        """Return JSON `payload` and its HMAC-SHA256 as one URL-safe text."""
        body = json.dumps(payload, separators=(",", ":"), sort_keys=True).encode()
        mac = hmac.digest(self.derive(purpose), body, "sha256")[:16]
        return _encode(mac + body)

    def verify(self, purpose: str, text: str) -> object:
        """Return the payload that `sign` took; raises BadSignature for anything else."""
        try:
            raw = _decode(text)
        except (binascii.Error, ValueError) as problem:
            raise BadSignature("not a signed text") from problem
        mac, body = raw[:16], raw[16:]
        if not hmac.compare_digest(mac, hmac.digest(self.derive(purpose), body, "sha256")[:16]):
            raise BadSignature("the signature does not fit")
        payload: object = json.loads(body)
        return payload

    def seal(self, purpose: str, bound_to: str, value: object) -> bytes:
        """Return JSON `value` in an envelope (AES-256-GCM): a fresh data key seals it, the purpose's key seals the data key.

        `bound_to` says where the envelope belongs (workspace and row); copied elsewhere, it does not open.
        """
        data_key, bound = secrets.token_bytes(KEY_BYTES), f"{purpose}:{bound_to}".encode()
        first, second = secrets.token_bytes(NONCE_BYTES), secrets.token_bytes(NONCE_BYTES)
        wrapped = AESGCM(self.derive(f"seal {purpose}")).encrypt(first, data_key, bound)
        return ENVELOPE + first + wrapped + second + AESGCM(data_key).encrypt(second, json.dumps(value).encode(), bound)

    def unseal(self, purpose: str, bound_to: str, envelope: bytes) -> object:
        """Return the value that `seal` took; raises BadEnvelope for anything else."""
        wrapped_end = 1 + NONCE_BYTES + KEY_BYTES + TAG_BYTES
        if envelope[:1] != ENVELOPE or len(envelope) < wrapped_end + NONCE_BYTES + TAG_BYTES:
            raise BadEnvelope("not an envelope of this version")
        bound = f"{purpose}:{bound_to}".encode()
        first, wrapped = envelope[1 : 1 + NONCE_BYTES], envelope[1 + NONCE_BYTES : wrapped_end]
        second, sealed = envelope[wrapped_end : wrapped_end + NONCE_BYTES], envelope[wrapped_end + NONCE_BYTES :]
        try:
            data_key = AESGCM(self.derive(f"seal {purpose}")).decrypt(first, wrapped, bound)
            value: object = json.loads(AESGCM(data_key).decrypt(second, sealed, bound))
        except InvalidTag as problem:
            raise BadEnvelope("the envelope does not open: another row, another master key, or changed bytes") from problem
        return value

    @property
    def fingerprint(self) -> str:
        """Return a text that tells two master keys apart and gives nothing away."""
        return self.derive("fingerprint").hex()[:16]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(raw) != text:  # one spelling per payload, so that a changed last letter never passes
        raise ValueError("not canonical base64")
    return raw


def load(settings: Settings) -> Keys:
    """Return the installation's keys: EVERFIX_MASTER_KEY, else data_dir/master.key, made on first use (mode 0600)."""
    if settings.master_key is not None:
        return Keys(_from_base64(settings.master_key.get_secret_value(), "EVERFIX_MASTER_KEY"))
    path = settings.data_dir / "master.key"
    if not path.exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        write_secret(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())
    return Keys(_from_base64(path.read_text(encoding="utf-8"), str(path)))


def _from_base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise ConfigurationError(f"{where} is not base64") from problem


def write_secret(path: Path, text: str) -> None:
    """Write `text` so that no other user ever sees it, whole or not at all; an existing file is replaced."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    part.replace(path)


def token_hash(secret: str) -> bytes:
    """Return what is stored of a bearer token: its SHA-256 (the secret has 256 random bits, so no salt or stretching is needed)."""
    return hashlib.sha256(secret.encode()).digest()
