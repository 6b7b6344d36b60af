"""The client of OpenAI-compatible endpoints, against real HTTP servers."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from client_server import Script, completion, own_app, served
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from medray.errors import ConfigError, EngineError, MedrayError, RequestError
from medray.evaluation.generation_config import EndpointConfig, SamplingConfig
from medray.evaluation.openai_client import ChatClient, chat_url, retry_after_s
from medray.inference.engine import Message

QUESTION = "How many tablets of ibuprofen may Erika take?"
MESSAGES = (Message("system", "Be brief."), Message("user", QUESTION))
FAST = EndpointConfig(pause_s=0.01, retries=3, timeout_s=10.0)


def ask(url, config=FAST, sampling=None, times=1):
    async def run():
        client = ChatClient(url, config)
        try:
            work = [client.complete(MESSAGES, sampling or SamplingConfig(max_tokens=9)) for _ in range(times)]
            return await asyncio.gather(*work)
        finally:
            await client.aclose()

    return asyncio.run(run())


def test_a_question_and_its_answer():
    script = Script(answer=lambda body: completion("Answer: B", reasoning_content="Is it A?"))
    with served(script.app()) as url:
        (made,) = ask(url)
    assert (made.text, made.reasoning, made.tokens, made.finish_reason) == ("Answer: B", "Is it A?", 2, "stop")
    assert made.seconds > 0
    assert script.bodies == [
        {
            "model": "served-here",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}],
            "max_tokens": 9,
            "temperature": 0.0,
        }
    ]
    assert script.keys == [None]


def test_fields_are_sent_only_where_they_ask_for_something():
    script = Script()
    sampling = SamplingConfig(max_tokens=9, temperature=0.5, top_p=0.9, seed=3, stop=("\n\n",))
    with served(script.app()) as url:
        ask(url, FAST.model_copy(update={"served_model": "other"}), sampling)
    assert script.bodies[0]["model"] == "other"
    assert {key: script.bodies[0][key] for key in ("seed", "top_p", "stop", "temperature")} == {
        "seed": 3,
        "top_p": 0.9,
        "stop": ["\n\n"],
        "temperature": 0.5,
    }


def test_newer_models_have_another_name_for_the_limit_and_one_temperature():
    script = Script()
    with served(script.app()) as url:
        config = FAST.model_copy(update={"limit_field": "max_completion_tokens"})
        ask(url, config, SamplingConfig(max_tokens=9, temperature=1.0))
    assert script.bodies[0]["max_completion_tokens"] == 9
    assert not {"max_tokens", "temperature"} & script.bodies[0].keys()


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    script = Script(answer=lambda body: PlainTextResponse("sk-secret and Erika", status_code=500))
    config = FAST.model_copy(update={"key_variable": "MY_KEY"})
    with served(script.app()) as url, pytest.raises(EngineError) as caught:
        ask(url, config)
    assert script.keys == ["Bearer sk-secret"]
    assert "secret" not in str(caught.value) and "Erika" not in str(caught.value)
    assert "sk-secret" not in config.model_dump_json()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(status):
    script = Script(first=[Response(status_code=status), Response(status_code=status)])
    with served(script.app()) as url:
        (made,) = ask(url)
    assert made.text == "Answer: A" and len(script.bodies) == 3


def test_retry_after_holds_every_request():
    busy = Response(status_code=429, headers={"retry-after": "1"})
    script = Script(first=[busy], delay_s=0.3)
    with served(script.app()) as url:

        async def run():
            client = ChatClient(url, FAST.model_copy(update={"served_model": "m"}))
            first = asyncio.create_task(client.complete(MESSAGES, SamplingConfig()))
            await asyncio.sleep(0.3)  # the refusal has come
            second = asyncio.create_task(client.complete(MESSAGES, SamplingConfig()))
            await asyncio.gather(first, second)
            await client.aclose()

        asyncio.run(run())
    refused, *later = script.times_s
    assert len(later) == 2 and all(at - refused >= 0.99 for at in later)


def test_a_server_that_stays_busy_is_given_up():
    script = Script(answer=lambda body: Response(status_code=503))
    with served(script.app()) as url, pytest.raises(EngineError, match="4 attempts: status 503"):
        ask(url)
    assert len(script.bodies) == 4


def test_a_far_away_time_is_an_error_at_once():
    script = Script(first=[Response(status_code=429, headers={"retry-after": "3600"})])
    with served(script.app()) as url, pytest.raises(EngineError, match="3600 s"):
        ask(url)
    assert len(script.bodies) == 1


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (401, ConfigError, "MEDRAY_API_KEY"),
        (403, ConfigError, "model"),
        (404, ConfigError, "URL"),
        (307, ConfigError, "redirects"),
        (400, RequestError, "refused"),
        (413, RequestError, "refused"),
        (500, EngineError, "500"),
    ],
)
def test_refusals_are_not_tried_again(status, kind, hint):
    headers = {"location": "http://127.0.0.1:9/elsewhere"} if status == 307 else {}
    script = Script(answer=lambda body: JSONResponse({"error": {"message": QUESTION}}, status, headers=headers))
    with served(script.app()) as url, pytest.raises(kind, match=hint) as caught:
        ask(url)
    assert len(script.bodies) == 1
    assert "Erika" not in str(caught.value)


@pytest.mark.parametrize("body", ["no json", "[]", "{}", '{"choices": []}', '{"choices": [{"message": null}]}'])
def test_a_reply_of_another_kind_is_named_without_its_text(body):
    script = Script(answer=lambda _: Response(body, media_type="application/json"))
    with served(script.app()) as url, pytest.raises(EngineError, match="expected a"):
        ask(url)


def test_nothing_listening_is_a_config_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ConfigError, match="cannot reach"):
        ask(url, EndpointConfig(retries=1, pause_s=0.01))


def test_a_slow_answer_is_not_asked_for_again():
    script = Script(delay_s=2.0)
    with served(script.app()) as url, pytest.raises(EngineError, match="timeout_s"):
        ask(url, EndpointConfig(timeout_s=0.3, served_model="m"))
    assert len(script.bodies) == 1


def test_an_endpoint_without_models_says_what_to_set():
    script = Script()
    app = script.app()
    app.router.routes = [route for route in app.router.routes if getattr(route, "path", "") != "/v1/models"]

    @app.get("/v1/models")
    async def none():
        return {"data": []}

    with served(app) as url, pytest.raises(ConfigError, match="served_model"):
        ask(url)


def test_medrays_own_endpoint_answers():
    with served(own_app(answer=lambda messages, adapter, seed: "Answer: B")) as url:
        first, second = ask(url, times=2)
    assert first.text == second.text == "Answer: B"
    assert first.tokens > 0 and first.finish_reason == "stop"


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://host:8000", "http://host:8000/v1"),
        ("http://host:8000/", "http://host:8000/v1"),
        ("https://host/v1", "https://host/v1"),
        ("https://host/v1/chat/completions", "https://host/v1"),
        ("https://host/openai/v1/", "https://host/openai/v1"),
    ],
)
def test_urls(given, base):
    assert chat_url(given) == base


@pytest.mark.parametrize(
    "url", ["ftp://host", "http://", "http://user:pw@host", "http://host?key=pw", "http://host:port"]
)
def test_urls_that_cannot_be_used_are_not_repeated(url):
    with pytest.raises(ConfigError) as caught:
        chat_url(url)
    assert "pw" not in str(caught.value)


def test_retry_after_in_seconds_and_dates():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after_s("2.5", now) == 2.5
    assert retry_after_s(format_datetime(now + timedelta(seconds=7), usegmt=True), now) == 7
    assert retry_after_s(format_datetime(now - timedelta(seconds=7), usegmt=True), now) == 0
    assert [retry_after_s(value, now) for value in (None, "", "soon", "inf", "nan")] == [None] * 5


def test_errors_are_medrays_own():
    assert issubclass(ConfigError, MedrayError) and ConfigError.exit_code == 2
