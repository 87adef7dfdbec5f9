"""A model is asked over real HTTP: every provider, every way it can fail, and what is kept of each call."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from pydantic import BaseModel, SecretStr

from everfix.core import llm, outbound
from everfix.core.llm_providers import PROVIDERS, Choice
from everfix.errors import ConfigurationError
from everfix.settings import Settings, read
from tests import model_server
from tests.model_server import ModelServer, Reply

KEY = "sk-test-0123456789abcdef"


class Sum(BaseModel):
    number: int


@pytest.fixture(scope="module")
def llm_server() -> Iterator[ModelServer]:
    with model_server.running() as made:
        yield made


def choice(llm_server: ModelServer, provider: str = "openai", **more: object) -> Choice:
    bedrock = {"options": {"access_key_id": "AKIATEST", "region": "eu-west-1"}} if provider == "bedrock" else {}
    path = "/v1" if provider in ("openai", "lm_studio", "openai_compatible") else ""
    model = "some-model" if not PROVIDERS[provider].models["balanced"] else ""
    return Choice(provider, model, KEY, llm_server.url + path, trusted=True, **{**bedrock, **more})  # type: ignore[arg-type]


def assistant(*choices: Choice, seconds: float = 5.0) -> llm.Assistant:
    return llm.Assistant(choices, outbound.Guard(), seconds)


def question(**more: object) -> llm.Question[Sum]:
    return llm.Question("test", "Add.", "1 and 1", Sum, **more)  # type: ignore[arg-type]


def two(answer: Sum) -> str:
    return "" if answer.number == 2 else "the number must be 2"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_wrong_answer_goes_back_with_the_reason(llm_server: ModelServer, provider: str) -> None:
    """D175: each provider, over its own protocol."""
    llm_server.says(Reply({"number": 3}), Reply({"number": 2}))
    who = assistant(choice(llm_server, provider))
    answer = who.ask(question(check=two))
    assert (answer.output.number, answer.refusal) == (2, "")
    assert [(call.outcome, call.reason) for call in who.calls] == [("refused", "the number must be 2"), ("accepted", "")]
    assert {"google", "anthropic", "openai", "bedrock", "ollama", "lm_studio"} <= set(PROVIDERS)
    assert "the number must be 2" in llm_server.asked[1].words
    assert [call.input_tokens + call.output_tokens for call in who.calls] == [1200, 1200]
    assert "Add." in who.calls[0].prompt
    assert "1 and 1" in who.calls[0].prompt
    assert '"number"' in who.calls[0].answer
    known = bool(PROVIDERS[provider].prices)
    assert all((call.cost is not None) == known and call.priced_by for call in who.calls)


def test_a_second_wrong_answer_is_told_as_such(llm_server: ModelServer) -> None:
    llm_server.says(Reply({"number": 3}))
    who = assistant(choice(llm_server))
    answer = who.ask(question(check=two))
    assert answer.refusal == "the number must be 2"
    assert [call.outcome for call in who.calls] == ["refused", "refused"]


@pytest.mark.parametrize("text", ["nonsense", '{"number": "many"}', '{"number": 2', "[]"])
def test_an_answer_that_cannot_be_read_goes_back_once(llm_server: ModelServer, text: str) -> None:
    for provider in ("openai", "ollama", "openai_compatible"):
        llm_server.says(Reply(text=text), Reply({"number": 2}))
        who = assistant(choice(llm_server, provider))
        assert who.ask(question()).output.number == 2
        assert [call.outcome for call in who.calls] == ["refused", "accepted"], provider
        assert who.calls[0].reason
        llm_server.says(Reply(text=text))
        who = assistant(choice(llm_server, provider))
        with pytest.raises(llm.NoAnswer, match="could not be read"):
            who.ask(question())
        assert [call.outcome for call in who.calls] == ["refused", "refused"], provider


def test_too_many_requests_are_waited_out(llm_server: ModelServer) -> None:
    llm_server.says(Reply(status=429, headers={"retry-after": "0"}), Reply({"number": 2}))
    assert assistant(choice(llm_server)).ask(question()).output.number == 2


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=500), "answered 500"),
        (Reply(status=401, text=f"wrong key {KEY}"), "answered 401"),
        (Reply(status=404, text="no such model"), "no such model"),
        (Reply({"number": 2}, seconds=1.0), "no answer within 0.4 s"),
    ],
)
def test_no_answer_is_said_in_words_without_the_key(llm_server: ModelServer, reply: Reply, said: str) -> None:
    llm_server.says(reply)
    who = assistant(choice(llm_server), seconds=0.4 if reply.seconds else 5.0)
    with pytest.raises(llm.NoAnswer, match=said) as caught:
        who.ask(question())
    assert KEY not in caught.value.message
    assert [(call.outcome, KEY in call.reason) for call in who.calls] == [("failed", False)]
    assert who.calls[0].cost is None


def test_the_next_provider_is_asked_when_one_gives_no_answer(llm_server: ModelServer) -> None:
    """C282."""
    llm_server.says(lambda asked: Reply(status=503) if asked.path.endswith("/messages") else Reply({"number": 2}))
    who = assistant(choice(llm_server, "anthropic"), choice(llm_server, "openai"))
    answer = who.ask(question())
    assert answer.label == "openai:gpt-4o"
    assert [(call.provider, call.outcome) for call in who.calls] == [("anthropic", "failed"), ("openai", "accepted")]


def test_a_private_address_is_refused_before_anything_is_sent(llm_server: ModelServer) -> None:
    llm_server.says(Reply({"number": 2}))
    tenant = Choice("openai_compatible", "m", KEY, llm_server.url + "/v1", source="workspace")
    with pytest.raises(llm.NoAnswer, match="private address"):
        assistant(tenant).ask(question())
    assert llm_server.asked == []
    named = llm.Assistant((tenant,), outbound.Guard(hosts=frozenset({"127.0.0.1"})), 5.0)
    assert named.ask(question()).output.number == 2


def test_a_redirect_to_a_private_address_is_not_followed(llm_server: ModelServer) -> None:
    llm_server.says(Reply(status=307, headers={"location": "http://169.254.169.254/latest"}))
    with pytest.raises(llm.NoAnswer):
        assistant(choice(llm_server)).ask(question())


def test_tiers_choose_the_providers_own_models_and_how_long_one_may_think(llm_server: ModelServer) -> None:
    llm_server.says(Reply({"number": 2}))
    for tier, model in PROVIDERS["anthropic"].models.items():
        assistant(choice(llm_server, "anthropic")).ask(question(tier=tier))
        assert llm_server.asked[-1].body["model"] == model
    assistant(Choice("anthropic", "claude-opus-4-8", KEY, llm_server.url, trusted=True)).ask(question(tier="fast"))
    assert llm_server.asked[-1].body["model"] == "claude-opus-4-8", "a model that was chosen is asked whatever the tier"


def test_prices_are_per_million_tokens_and_unknown_ones_are_said() -> None:
    cost, table = llm.price("openai", "gpt-4o", 1_000_000, 1_000_000)
    assert cost == Decimal("12.5")
    assert table.startswith("genai-prices ")
    assert llm.price("openai", "made-up-model", 1, 1)[0] is None
    assert "made-up-model" in llm.price("openai", "made-up-model", 1, 1)[1]
    assert llm.price("ollama", "llama3.2", 1, 1) == (None, "Ollama has no list price")


def secret(**keys: str) -> Settings:
    return read(**{name: SecretStr(value) if name.endswith("key") else value for name, value in keys.items()})


def test_the_environment_is_read_in_order() -> None:
    """C282."""
    assert llm.configured(secret()) == ()
    both = llm.configured(secret(openai_api_key="b", anthropic_api_key="a", google_api_key="c"))
    assert [one.provider for one in both] == ["anthropic", "openai", "google"]
    alone = llm.configured(secret(ai_provider="Gemini", ai_model="m", anthropic_api_key="a", google_api_key="c"))
    assert [(one.provider, one.model, one.key) for one in alone] == [("google", "m", "c")]
    local = llm.configured(secret(ai_provider="ollama", ai_model="llama3.2"))
    assert local[0].address == "http://localhost:11434"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ai_provider": "chatty"}, "there are anthropic, openai"),
        ({"ai_provider": "openai"}, "needs an API key"),
        ({"ai_provider": "ollama"}, "name of a model"),
        ({"ai_provider": "openai_compatible", "ai_model": "m"}, "needs a base URL"),
    ],
)
def test_a_wrong_environment_is_said(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        llm.configured(secret(**given))


def test_the_aliases_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_PROVIDER", "lm_studio")
    monkeypatch.setenv("AI_MODEL", "qwen")
    monkeypatch.setenv("AI_BASE_URL", "ftp://nowhere")
    with pytest.raises(ConfigurationError, match="AI_BASE_URL cannot be used"):
        read()
    monkeypatch.setenv("AI_BASE_URL", "http://localhost:1234/v1")
    assert llm.configured(read())[0].provider == "lm_studio"
    monkeypatch.setenv("GEMINI_API_KEY", "g")
    assert read().google_api_key is not None


def test_importing_everfix_does_not_import_the_sdks() -> None:
    import subprocess
    import sys

    code = "import sys, everfix.app, everfix.worker; print([m for m in ('pydantic_ai','openai','anthropic','boto3','google.genai') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
