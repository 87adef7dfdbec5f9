"""Settings: from the environment, `.env`, or the file that NAME_FILE names; wrong ones are refused at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from everfix import settings as module
from everfix.errors import ConfigurationError
from everfix.settings import Settings


def test_defaults_serve_one_machine() -> None:
    made = Settings()
    assert (made.database_url, made.storage_url, made.master_key, made.host, made.port) == (None, None, None, "127.0.0.1", 4000)
    assert made.url == "http://127.0.0.1:4000"


def test_every_setting_has_a_sentence() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_every_setting_is_used() -> None:
    """A knob that turns nothing misleads."""
    from tests.test_layers import FILES

    code = "\n".join(file.read_text(encoding="utf-8") for file in FILES if file.name != "settings.py")
    assert [name for name in Settings.model_fields if f"settings.{name}" not in code] == ["public_url"], "that one is read by Settings.url"


def test_the_environment_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERFIX_PORT", "4100")
    monkeypatch.setenv("EVERFIX_ALLOWED_ORIGINS", "https://a.example, https://b.example,")
    made = Settings()
    assert (made.port, made.allowed_origins) == (4100, ("https://a.example", "https://b.example"))


def test_a_value_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("c2VjcmV0\n")
    monkeypatch.setenv("EVERFIX_MASTER_KEY_FILE", str(secret))
    key = Settings().master_key
    assert key is not None
    assert key.get_secret_value() == "c2VjcmV0"
    assert "c2VjcmV0" not in repr(Settings())


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "port").write_text("5000")
    monkeypatch.setenv("EVERFIX_PORT_FILE", str(tmp_path / "port"))
    assert Settings().port == 5000
    monkeypatch.setenv("EVERFIX_PORT", "6000")
    assert Settings().port == 6000


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVERFIX_MASTER_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"EVERFIX_MASTER_KEY_FILE names .*none, which cannot be read"):
        module.read()


def test_dot_env_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("EVERFIX_PORT=4300\nOTHER=1\n")
    assert Settings(_env_file=tmp_path / ".env").port == 4300


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 70000),
        ("port", -1),
        ("worker_concurrency", 0),
        ("currency", "dollars"),
        ("app_role", "x; DROP ROLE y"),
        ("log_level", "loud"),
        ("link_seconds", 1),
    ],
)
def test_wrong_values_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"EVERFIX_{name.upper()} cannot be used") as caught:
        module.read(**{name: value})
    assert list(caught.value.details) == [name]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"host": ".".join("0000")}, "http://localhost:4000"),
        ({"host": "::"}, "http://localhost:4000"),
        ({"public_url": "https://x.example/"}, "https://x.example"),
    ],
)
def test_the_address_that_links_carry(given: dict[str, str], url: str) -> None:
    assert Settings(**given).url == url  # type: ignore[arg-type]


def test_the_process_reads_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module.get.cache_clear()
    monkeypatch.setenv("EVERFIX_PORT", "4200")
    assert module.get().port == 4200
    monkeypatch.setenv("EVERFIX_PORT", "4201")
    assert module.get().port == 4200
    module.get.cache_clear()


def test_a_wrong_setting_is_said_in_one_line(tmp_path: Path) -> None:
    from tests.processes import everfix

    with everfix(tmp_path, "worker", port="many") as running:
        assert running.ends() == 1
        assert "EVERFIX_PORT cannot be used" in running.log
        assert "Traceback" not in running.log
