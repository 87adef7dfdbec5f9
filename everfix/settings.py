"""Settings: every knob of Everfix with a sentence; from the environment, `.env`, or a file named by NAME_FILE."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError
from pydantic_settings.sources import EnvSettingsSource

from everfix.errors import ConfigurationError


class FileSource(EnvSettingsSource):
    """Reads a value from the file that NAME_FILE names, so that a secret need not stand in the environment."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ANN401 - the library's signature
        for _, name, complex_ in self._extract_field_info(field, field_name):
            path = os.environ.get(f"{name.upper()}_FILE")
            if path:
                try:
                    return Path(path).read_text(encoding="utf-8").strip(), field_name, complex_
                except OSError as problem:
                    raise ConfigurationError(f"{name.upper()}_FILE names {path}, which cannot be read: {problem.strerror}") from problem
        return None, field_name, False


class Settings(BaseSettings):
    """One process's settings. Environment names carry the prefix EVERFIX_ (exceptions are aliases)."""

    model_config = SettingsConfigDict(env_prefix="EVERFIX_", env_file=".env", extra="ignore", populate_by_name=True)

    data_dir: Path = Field(default=Path("everfix-data"), description="Where the embedded database, files and keys of this machine live.")
    database_url: str | None = Field(
        default=None,
        description="PostgreSQL 15 or newer, as a role that may create tables and roles; without it an embedded server starts.",
    )
    app_role: str = Field(
        default="everfix_app", pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="The restricted database role that serves requests and jobs."
    )
    storage_url: str | None = Field(
        default=None, description="Where files go: file://, s3://, gs:// or az://; default: a folder in data_dir."
    )
    storage_endpoint: str | None = Field(
        default=None, description="Address of an S3-compatible server, e.g. https://minio.example:9000; default: Amazon's."
    )
    storage_region: str | None = Field(default=None, description="Region of the S3 bucket; default: AWS_REGION.")
    storage_access_key: str | None = Field(
        default=None, description="Key id for the S3 bucket; default: AWS_ACCESS_KEY_ID or the machine's role."
    )
    storage_secret_key: SecretStr | None = Field(default=None, description="Secret of that key; default: AWS_SECRET_ACCESS_KEY.")
    master_key: SecretStr | None = Field(
        default=None, description="32 bytes in base64; signs and encrypts. Default: made once and kept in data_dir/master.key."
    )
    host: str = Field(default="127.0.0.1", description="Address the HTTP server listens on.")
    port: int = Field(default=4000, ge=0, le=65535, description="Port the HTTP server listens on; 0 takes a free one.")
    public_url: str | None = Field(
        default=None, description="How people and links reach this server, e.g. https://everfix.example; default: host and port."
    )
    worker_concurrency: int = Field(default=2, ge=1, le=64, description="How many jobs one process works on at a time.")
    request_max_bytes: int = Field(default=10_000_000, ge=1_000, description="Largest request body accepted, in bytes.")
    upload_max_bytes: int = Field(default=500_000_000, ge=1_000, description="Largest table that may be uploaded, in bytes as sent.")
    upload_unpacked_bytes: int = Field(
        default=8_000_000_000, ge=1_000, description="Most bytes that an uploaded table may unpack to (Parquet, gzip)."
    )
    upload_max_rows: int = Field(default=50_000_000, ge=1, description="Most rows that an uploaded table may have.")
    upload_memory_bytes: int = Field(
        default=2_000_000_000, ge=200_000_000, description="Memory that reading one uploaded table may take, in bytes."
    )
    link_seconds: int = Field(default=86_400, ge=60, le=31_536_000, description="How long a signed download link works, in seconds.")
    job_heartbeat_seconds: float = Field(
        default=30.0, gt=0.2, le=3600, description="A job whose worker has been silent this long is taken over by another."
    )
    job_attempts: int = Field(
        default=5, ge=1, le=50, description="How often a failing job is tried before it is put among the dead letters."
    )
    cron_token: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("CRON_TOKEN", "EVERFIX_CRON_TOKEN"),
        description="What an outside scheduler sends in the header x-cron-token to POST /api/cron/tick; without it that call answers 503.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe log line written.")
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of the amounts of money in the first workspace.")
    loop_cost: float = Field(default=4_800.0, ge=0, description="Money one recurrence of a failure costs in the first workspace.")
    ai_provider: str | None = Field(
        default=None,
        validation_alias="AI_PROVIDER",
        description="Language model for workspaces that chose none: anthropic, openai, google, bedrock, ollama, lm_studio, openai_compatible.",
    )
    ai_model: str | None = Field(default=None, validation_alias="AI_MODEL", description="Model to ask; default: the provider's own.")
    ai_api_key: SecretStr | None = Field(default=None, validation_alias="AI_API_KEY", description="Key of AI_PROVIDER.")
    ai_base_url: str | None = Field(
        default=None,
        validation_alias="AI_BASE_URL",
        pattern=r"^https?://",
        description="Where AI_PROVIDER answers, when not at its own address.",
    )
    anthropic_api_key: SecretStr | None = Field(
        default=None, validation_alias="ANTHROPIC_API_KEY", description="Asked first where AI_PROVIDER is not set."
    )
    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY", description="Asked after Anthropic.")
    google_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("GOOGLE_API_KEY", "GEMINI_API_KEY"), description="Asked after OpenAI."
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Browser origins that may call the API, comma-separated."
    )

    outbound_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Private hosts, addresses or networks that messages may be sent to all the same, comma-separated, e.g. 10.0.5.0/24.",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="Mail server: smtp://user:password@host:587 (STARTTLS when offered), smtp+starttls:// (required) or smtps:// (TLS).",
    )
    mail_from: str | None = Field(
        default=None, description="Sender of mail, e.g. 'Everfix <reports@example.com>'; a destination may name its own."
    )

    @field_validator("allowed_origins", "outbound_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, FileSource(settings_cls), dotenv_settings

    @property
    def url(self) -> str:
        """Return the address that links and messages carry."""
        return (self.public_url or f"http://{'localhost' if self.host in ('0.0.0.0', '::') else self.host}:{self.port}").rstrip("/")  # noqa: S104 - compares, does not bind


def environment_name(field: str) -> str:
    """Return the name of a setting (or of its alias) in the environment."""
    known = Settings.model_fields.get(field)
    alias = known.validation_alias if known is not None else field
    alias = alias.choices[0] if isinstance(alias, AliasChoices) else alias
    return f"EVERFIX_{field.upper()}" if alias is None else str(alias)


def read(**given: Any) -> Settings:  # noqa: ANN401 - fields of Settings
    """Return the settings with what is given on top; raises ConfigurationError naming each wrong one and what is allowed."""
    try:
        return Settings(**given)
    except ValidationError as problem:
        wrong = {str(error["loc"][0]): error["msg"].removeprefix("Value error, ") for error in problem.errors(include_input=False)}
        names = " and ".join(environment_name(name) for name in wrong)
        raise ConfigurationError(f"{names} cannot be used", details=wrong) from problem
    except SettingsError as problem:
        raise problem.__cause__ if isinstance(problem.__cause__, ConfigurationError) else ConfigurationError(str(problem)) from problem


@lru_cache(maxsize=1)
def get() -> Settings:
    """Return the process's settings, read once."""
    return read()
