"""Language models: one question with a typed answer; every call is timed, priced and kept, and a wrong answer goes back with the reason.

Who is asked: the workspace's own provider, else the environment's in the order Anthropic, OpenAI, the rest, else nobody: without an
Assistant the rules write, and nothing leaves this host. pydantic-ai and the providers' SDKs are imported with the first question.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.metadata
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from everfix.core import clock, outbound
from everfix.core.llm_providers import ALIASES, PROVIDERS, Choice, Tier
from everfix.errors import ConfigurationError, EverfixError, Outbound
from everfix.settings import Settings

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

T = TypeVar("T", bound=BaseModel)
SECONDS: dict[Tier, float] = {"fast": 45.0, "balanced": 90.0, "deep": 240.0}  # for one call with its retries
EFFORT: dict[Tier, str | bool] = {"fast": False, "balanced": "low", "deep": "high"}  # how long a model that can think may
MOST_TOKENS = 8_000  # of one answer
KEPT = 200_000  # characters of a prompt or answer that are kept


@dataclass(slots=True)
class Call:
    """One call of a model, as it is kept. `cost` is None where no price is known; `priced_by` says by which table, or why not.

    Outcomes: accepted (the answer was used), refused (it broke a rule, `reason` says which), failed (there was no answer).
    """

    purpose: str
    provider: str
    model: str
    prompt: str
    at: datetime
    version: str = ""
    answer: str = ""
    outcome: str = "failed"
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    priced_by: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked. `check` returns "" for a sound answer, else what is wrong with it: that goes back to the model."""

    purpose: str
    system: str
    data: str
    answer: type[T]
    check: Callable[[T], str] = lambda _: ""
    tries: int = 2
    tier: Tier = "balanced"


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came of it. `refusal` is "" or what was still wrong after the last try; `label` names who answered."""

    output: T
    refusal: str
    label: str
    model: str
    version: str


class NoAnswer(EverfixError):
    """No language model gave a usable answer."""

    code, status = "model_unavailable", 502


@dataclass(frozen=True)
class Assistant:
    """Who may be asked, in order; the next one is tried only when one gives no answer at all. `calls` grows with every call."""

    choices: tuple[Choice, ...]
    guard: outbound.Guard
    seconds: float | None = None
    calls: list[Call] = field(default_factory=list)

    @property
    def label(self) -> str:
        return self.choices[0].label

    def ask(self, question: Question[T], *, model: str = "") -> Answer[T]:
        """Put a question, with `model` instead of the configured one; raises NoAnswer, saying in words what each provider said."""
        said = []
        for choice in self.choices if not model else [dataclasses.replace(self.choices[0], model=model)]:
            try:
                return asyncio.run(_ask(self, choice, question))
            except NoAnswer as problem:
                said.append(f"{PROVIDERS[choice.provider].title}: {problem.message}")
        raise NoAnswer("; ".join(said))


def configured(settings: Settings) -> tuple[Choice, ...]:
    """Return whom the environment names: AI_PROVIDER alone, else every provider whose key is there; raises ConfigurationError."""
    if settings.ai_provider:
        key = settings.ai_api_key or _key_of(settings, provider(settings.ai_provider))
        chosen = Choice(
            provider(settings.ai_provider),
            settings.ai_model or "",
            key.get_secret_value() if key else "",
            settings.ai_base_url or "",
            trusted=True,
        )
        problem = missing(chosen)
        if problem:
            raise ConfigurationError(f"AI_PROVIDER={settings.ai_provider}: {problem}")
        return (chosen,)
    found: list[Choice] = []
    for name in PROVIDERS:
        secret = _key_of(settings, name)
        if secret is not None:
            found.append(Choice(name, settings.ai_model or "" if not found else "", secret.get_secret_value(), trusted=True))
    return tuple(found)


def _key_of(settings: Settings, name: str) -> SecretStr | None:
    keys = {"anthropic": settings.anthropic_api_key, "openai": settings.openai_api_key, "google": settings.google_api_key}
    return keys.get(name)


def provider(name: str) -> str:
    """Return a provider's key for any of its spellings; raises ConfigurationError naming those there are."""
    low = name.strip().lower().replace(" ", "_")
    low = ALIASES.get(low, low.replace("-", "_"))
    if low not in PROVIDERS:
        raise ConfigurationError(f"there is no model provider {name[:60]!r}; there are {', '.join(PROVIDERS)}")
    return low


def missing(choice: Choice) -> str:
    """Return what a choice lacks, in words; "" when it can be asked."""
    known = PROVIDERS[choice.provider]
    if known.needs_key and not choice.key and choice.options.get("auth_mode") != "iam_role":
        return f"{known.title} needs an API key"
    if known.needs_base_url and not choice.base_url:
        return f"{known.title} needs a base URL"
    if not choice.model_of("balanced"):
        return f"{known.title} needs the name of a model"
    return ""


async def _ask(who: Assistant, choice: Choice, question: Question[T]) -> Answer[T]:
    import httpx2  # noqa: PLC0415 - with the SDKs, only when a model is asked

    known, name = PROVIDERS[choice.provider], choice.model_of(question.tier)
    seconds = who.seconds or SECONDS[question.tier]
    first = len(who.calls)
    timeout = httpx2.Timeout(seconds + 1, connect=min(10.0, seconds))  # `request_timeout` ends it before
    guard = _guard(who.guard, choice)
    try:
        await _reachable(guard, choice)
        async with httpx2.AsyncClient(transport=_transport(guard), timeout=timeout, trust_env=False) as client:
            kept = _kept(known.make(choice, name, client), who.calls, question.purpose, choice, name)
            settings: Any = {**known.settings, "request_timeout": seconds, "max_tokens": MOST_TOKENS, "thinking": EFFORT[question.tier]}
            agent, refusals = _agent(kept, question, known.output, who.calls)
            output = (await agent.run(question.data, model_settings=settings)).output
    except _failures() as problem:
        reason = _said(problem, choice.key)
        if len(who.calls) > first and who.calls[-1].outcome == "accepted":
            who.calls[-1].outcome, who.calls[-1].reason = "refused", reason
        raise NoAnswer(reason) from problem
    return Answer(output, refusals[-1] if refusals else "", f"{choice.provider}:{name}", name, who.calls[-1].version)


def _agent(model: Model, question: Question[T], output: str, calls: list[Call]) -> tuple[Agent[None, T], list[str]]:
    """Return the agent that answers, and the list of what each of its answers was refused for ("" for a sound one)."""
    from pydantic_ai import Agent, ModelRetry, NativeOutput, PromptedOutput, ToolOutput  # noqa: PLC0415

    kinds: dict[str, Any] = {
        "tool": ToolOutput(question.answer, name="answer", description="Hand in the answer."),
        "native": NativeOutput(question.answer, name="answer"),
        "prompted": PromptedOutput(question.answer, name="answer"),
    }
    agent: Any = Agent(model, output_type=kinds[output], instructions=question.system, retries=question.tries - 1)
    refusals: list[str] = []
    first = len(calls)

    @agent.output_validator  # type: ignore[untyped-decorator]
    def _checked(answer: T) -> T:
        refusals.append(question.check(answer))
        if refusals[-1]:
            calls[-1].outcome, calls[-1].reason = "refused", refusals[-1]
            if len(calls) - first < question.tries:
                raise ModelRetry(refusals[-1])
        return answer

    return agent, refusals


def _kept(model: Model, calls: list[Call], purpose: str, choice: Choice, name: str) -> Model:
    """Return `model` with every call of it appended to `calls`, answered or not."""
    from pydantic_ai.models.wrapper import WrapperModel  # noqa: PLC0415

    class Kept(WrapperModel):
        async def request(
            self, messages: list[ModelMessage], model_settings: ModelSettings | None, model_request_parameters: ModelRequestParameters
        ) -> ModelResponse:
            told, feedback = _prompt(messages)
            if feedback and calls and calls[-1].outcome == "accepted":
                calls[-1].outcome, calls[-1].reason = "refused", feedback
            made = Call(purpose, choice.provider, name, told[:KEPT], clock.now(), reason="it was given up before an answer came")
            calls.append(made)
            begun = time.monotonic()
            try:
                answer = await super().request(messages, model_settings, model_request_parameters)
            except _failures() as problem:
                made.reason = _said(problem, choice.key)
                raise
            finally:
                made.seconds = time.monotonic() - begun
            made.outcome, made.reason, made.version = "accepted", "", answer.model_name or name
            made.answer = _answer(answer)[:KEPT]
            made.input_tokens, made.output_tokens = answer.usage.input_tokens, answer.usage.output_tokens
            made.cost, made.priced_by = price(choice.provider, made.version, made.input_tokens, made.output_tokens)
            return answer

    return Kept(model)


def price(provider_key: str, model: str, input_tokens: int, output_tokens: int) -> tuple[Decimal | None, str]:
    """Return what a call cost in US dollars and by which table; None and why where no price is known.

    The table is the data of the package genai-prices (per million tokens, collected from the providers' price pages), whose version
    dates it; it is never downloaded while Everfix runs.
    """
    import genai_prices  # noqa: PLC0415

    table = f"genai-prices {importlib.metadata.version('genai-prices')}"
    listed = PROVIDERS[provider_key].prices
    if not listed:
        return None, f"{PROVIDERS[provider_key].title} has no list price"
    if not input_tokens and not output_tokens:
        return None, "the provider did not say how many tokens it took"
    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=input_tokens, output_tokens=output_tokens), model, provider_id=listed
        )
    except LookupError:
        return None, f"{table} has no price of {model}"
    return found.total_price, table


def _failures() -> tuple[type[Exception], ...]:
    """Return what goes wrong on the way to an answer: the provider's errors, the network's, an answer that cannot be read."""
    import httpx2  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from pydantic_ai.exceptions import AgentRunError, UserError  # noqa: PLC0415

    return (AgentRunError, UserError, httpx2.HTTPError, BotoCoreError, ClientError, Outbound, OSError, ValueError)


def _prompt(messages: Sequence[ModelMessage]) -> tuple[str, str]:
    """Return what a request adds to the conversation, and the feedback on the answer before, if it is that."""
    newest: Any = messages[-1]
    parts = [str(getattr(part, "content", "")) for part in newest.parts]
    instructions = getattr(newest, "instructions", None) if len(messages) == 1 else None
    feedback = "\n".join(parts) if len(messages) > 1 else ""
    return "\n\n".join([*([str(instructions)] if instructions else []), *parts]), feedback


def _answer(answer: ModelResponse) -> str:
    said = []
    for part in answer.parts:
        arguments = getattr(part, "args_as_json_str", None)
        said.append(arguments() if arguments else str(getattr(part, "content", "")))
    return "\n".join(text for text in said if text)


def _said(problem: BaseException, secret: str) -> str:
    """Return a failure in the provider's own words, cut, without the key that some of them repeat."""
    said = _words(problem)
    return said.replace(secret, "[key]") if secret else said


def _words(problem: BaseException) -> str:
    from pydantic_ai.exceptions import ModelHTTPError, ModelRequestTimeout, UnexpectedModelBehavior  # noqa: PLC0415

    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, Outbound):
            return seen.message
        if isinstance(seen, ModelRequestTimeout):
            return f"no answer within {seen.timeout:g} s"
        if isinstance(seen, ModelHTTPError):
            return f"it answered {seen.status_code}: {' '.join(str(seen.body).split())[:300]}"
        seen = seen.__cause__
    if isinstance(problem, UnexpectedModelBehavior):
        return f"the answer could not be read: {' '.join(str(problem.__cause__ or problem).split())[:300]}"
    return " ".join(str(problem).split())[:300] or type(problem).__name__


def _guard(guard: outbound.Guard, choice: Choice) -> outbound.Guard:
    """Return the guard for one choice: an address from this server's own environment may be called wherever it is."""
    host = urlsplit(choice.address).hostname
    return dataclasses.replace(guard, hosts=guard.hosts | {host.lower()}) if choice.trusted and host else guard


async def _reachable(guard: outbound.Guard, choice: Choice) -> None:
    """Raise Outbound at once for an address that may not be called: the SDKs would try it again and again."""
    parts = urlsplit(choice.address)
    if parts.hostname:
        await asyncio.to_thread(guard.resolve, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))


def _transport(judged: outbound.Guard) -> httpx2.AsyncBaseTransport:
    """Return the way out: every request goes to an address that the guard has judged, under the name that was asked for."""
    import httpx2  # noqa: PLC0415

    class Judged(httpx2.AsyncBaseTransport):
        def __init__(self) -> None:
            self._inner = httpx2.AsyncHTTPTransport(trust_env=False)

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            name = request.url.host
            port = request.url.port or (443 if request.url.scheme == "https" else 80)
            addresses = await asyncio.to_thread(judged.resolve, name, port)
            request.extensions = {**request.extensions, "sni_hostname": name}
            for place, address in enumerate(addresses):
                request.url = request.url.copy_with(host=address)  # the Host header keeps the name
                try:
                    return await self._inner.handle_async_request(request)
                except httpx2.ConnectError:
                    if place == len(addresses) - 1:
                        raise
            raise Outbound(f"the name {name} has no address")

        async def aclose(self) -> None:
            await self._inner.aclose()

    return Judged()
