"""Model providers: which there are, the models of each tier, and how a client for each is made; SDKs are imported when one is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model

Tier = Literal["fast", "balanced", "deep"]
TIERS: tuple[Tier, ...] = ("fast", "balanced", "deep")


@dataclass(frozen=True, slots=True)
class Choice:
    """One model that may be asked, with what it takes to reach it. `source` says whose choice it was: workspace or environment."""

    provider: str
    model: str = ""  # "" takes the provider's own model of the tier
    key: str = field(default="", repr=False)
    base_url: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    source: str = "environment"
    trusted: bool = False  # the address was given by who runs this server, so that it may be on this network

    @property
    def label(self) -> str:
        """What a run's `writer` says: "anthropic:claude-…"."""
        return f"{self.provider}:{self.model_of('balanced')}"

    def model_of(self, tier: Tier) -> str:
        """Return the model to ask: the one that was chosen whatever the tier, else the provider's own for it."""
        return self.model or PROVIDERS[self.provider].models[tier]

    @property
    def address(self) -> str:
        """Where the model answers; "" where the provider's SDK works it out."""
        return self.base_url or PROVIDERS[self.provider].base_url


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of provider. `output` is how a typed answer is asked for: by a tool's schema, the server's own JSON mode, or in words."""

    key: str
    title: str
    models: Mapping[Tier, str]
    make: Callable[[Choice, str, httpx2.AsyncClient], Model]
    base_url: str = ""
    needs_key: bool = True
    needs_base_url: bool = False
    output: Literal["tool", "native", "prompted"] = "tool"
    prices: str = ""  # the provider's name in the price table; "" where nobody publishes a price
    settings: Mapping[str, Any] = field(default_factory=lambda: {"max_retries": 2})  # the SDK heeds Retry-After


def _anthropic(choice: Choice, model: str, client: httpx2.AsyncClient) -> Model:
    from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415 - heavy, and only this provider needs it
    from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

    return AnthropicModel(model, provider=AnthropicProvider(api_key=choice.key, base_url=choice.address, http_client=client))


def _openai(choice: Choice, model: str, client: httpx2.AsyncClient) -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    return OpenAIChatModel(model, provider=OpenAIProvider(api_key=choice.key, base_url=choice.address, http_client=client))


def _compatible(choice: Choice, model: str, client: httpx2.AsyncClient) -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

    key = choice.key or ("lm-studio" if choice.provider == "lm_studio" else None)
    name = choice.provider.replace("_", "-")
    return OpenAIChatModel(
        model,
        provider=OpenAICompatibleProvider(
            name, base_url=choice.address, api_key=key, http_client=client, profile={"supports_json_schema_output": True}
        ),
    )


def _ollama(choice: Choice, model: str, client: httpx2.AsyncClient) -> Model:
    from pydantic_ai.models.ollama import OllamaModel  # noqa: PLC0415
    from pydantic_ai.providers.ollama import OllamaProvider  # noqa: PLC0415

    address = choice.address.rstrip("/")
    address = address if address.endswith("/v1") else f"{address}/v1"
    return OllamaModel(model, provider=OllamaProvider(base_url=address, api_key=choice.key or None, http_client=client))


def _google(choice: Choice, model: str, client: httpx2.AsyncClient) -> Model:
    from pydantic_ai.models.google import GoogleModel  # noqa: PLC0415
    from pydantic_ai.providers.google import GoogleProvider  # noqa: PLC0415

    return GoogleModel(model, provider=GoogleProvider(api_key=choice.key, base_url=choice.address, http_client=client))


def _bedrock(choice: Choice, model: str, client: httpx2.AsyncClient) -> Model:  # noqa: ARG001 - boto3 brings its own
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from pydantic_ai.models.bedrock import BedrockConverseModel  # noqa: PLC0415
    from pydantic_ai.providers.bedrock import BedrockProvider  # noqa: PLC0415

    region = choice.options.get("region") or "us-east-1"
    config = Config(read_timeout=120, connect_timeout=10, retries={"max_attempts": 3, "mode": "standard"})
    where: dict[str, Any] = {"region_name": region, "config": config} | ({"endpoint_url": choice.base_url} if choice.base_url else {})
    if choice.options.get("auth_mode") != "iam_role" and not choice.options.get("access_key_id"):
        return BedrockConverseModel(
            model, provider=BedrockProvider(api_key=choice.key, region_name=region, base_url=choice.base_url or None)
        )
    keys = {"aws_access_key_id": choice.options["access_key_id"], "aws_secret_access_key": choice.key} if choice.key else {}
    session = boto3.Session(region_name=region, **keys)
    if choice.options.get("role_arn"):
        taken = session.client("sts").assume_role(RoleArn=choice.options["role_arn"], RoleSessionName="everfix")["Credentials"]
        session = boto3.Session(taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"], region_name=region)
    return BedrockConverseModel(model, provider=BedrockProvider(bedrock_client=session.client("bedrock-runtime", **where)))


_LOCAL: Mapping[Tier, str] = {"fast": "", "balanced": "", "deep": ""}
_CLAUDE: Mapping[Tier, str] = {"fast": "claude-haiku-5-5", "balanced": "claude-sonnet-5-5", "deep": "claude-opus-5-5"}

# In the order in which they are tried when the environment holds keys of several.
PROVIDERS: Mapping[str, Provider] = {
    provider.key: provider
    for provider in (
        Provider("anthropic", "Anthropic", _CLAUDE, _anthropic, base_url="https://api.anthropic.com", prices="anthropic"),
        Provider(
            "openai",
            "OpenAI",
            {"fast": "gpt-4o-mini", "balanced": "gpt-4o", "deep": "gpt-6.1-sol"},
            _openai,
            base_url="https://api.openai.com/v1",
            prices="openai",
        ),
        Provider(
            "google",
            "Google",
            {"fast": "gemini-2.5-flash", "balanced": "gemini-2.5-flash", "deep": "gemini-3.8-flash"},
            _google,
            base_url="https://generativelanguage.googleapis.com",
            prices="google",
        ),
        Provider(
            "bedrock",
            "Amazon Bedrock",
            {tier: f"global.anthropic.{name}" for tier, name in _CLAUDE.items()},
            _bedrock,
            prices="aws",
            settings={},
        ),
        Provider("ollama", "Ollama", _LOCAL, _ollama, base_url="http://localhost:11434", needs_key=False, output="native"),
        Provider("lm_studio", "LM Studio", _LOCAL, _compatible, base_url="http://localhost:1234/v1", needs_key=False, output="native"),
        Provider(
            "openai_compatible",
            "OpenAI-compatible server",
            _LOCAL,
            _compatible,
            needs_key=False,
            needs_base_url=True,
            output="prompted",
        ),
    )
}
ALIASES = {
    "gemini": "google",
    "aws": "bedrock",
    "amazon_bedrock": "bedrock",
    "lmstudio": "lm_studio",
    "openai-compatible": "openai_compatible",
}
