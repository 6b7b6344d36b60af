"""The HTTP surface over real fake engines: good requests, every bad one, streams, retries, and random bodies."""

import json
import logging
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_fakes import QUESTION, BrokenPoolClient, EnginePoolClient, chat_body, figures, make_endpoint

from medray.errors import PoolsUnavailable, RequestError
from medray.knowledge import build_messages
from medray.serving.replies import sse
from medray.serving.routes import create_http
from medray.serving.snapshot import Snapshot

PATH = "/v1/chat/completions"


def client_over(left: Any = None, right: Any = None, snapshot: Snapshot | None = None, **changes: Any) -> TestClient:
    pools = {"left": left or EnginePoolClient(), "right": right or EnginePoolClient()}
    return TestClient(create_http(make_endpoint(pools, snapshot, **changes)), raise_server_exceptions=False)


def error_of(response: Any) -> dict[str, Any]:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return dict(error)


def events_of(response: Any) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_whole_answer_has_openais_shape_and_our_headers():
    pool = EnginePoolClient()
    response = client_over(left=pool).post(PATH, json=chat_body())
    data = response.json()
    assert response.status_code == 200
    assert data["object"] == "chat.completion"
    assert data["choices"][0]["message"]["content"].startswith("No model wrote this")
    assert data["choices"][0]["finish_reason"] == "stop"
    assert data["usage"]["total_tokens"] == data["usage"]["prompt_tokens"] + data["usage"]["completion_tokens"]
    told = {name: response.headers[f"x-medray-{name}"] for name in ("category", "mode", "engine", "artifact")}
    assert told == {"category": "medication", "mode": "adapter", "engine": "fake", "artifact": "fake-left"}
    assert "left:D=" in response.headers["x-medray-decision"]
    assert response.headers["x-request-id"]
    assert data["medray"]["decision"][0]["pool"] == "left"
    assert pool.streams[0].cancelled == 1


def test_a_stream_holds_the_same_text_and_ends_in_order():
    client = client_over()
    whole = client.post(PATH, json=chat_body()).json()
    response = client.post(PATH, json=chat_body(stream=True, stream_options={"include_usage": True}))
    events = events_of(response)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-medray-mode"] in ("adapter", "merged")
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in events if event["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert events[-1] == {**events[-1], "choices": [], "usage": whole["usage"]}


def test_our_prompt_comes_first_and_the_clients_system_text_stays():
    pool = EnginePoolClient()
    turns = [
        {"role": "user", "content": "My chest hurts."},
        {"role": "assistant", "content": "Since when?"},
        {"role": "system", "content": "Answer in French."},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    response = client_over(left=pool).post(PATH, json=chat_body(messages=turns))
    assert response.headers["x-medray-category"] == "medication"  # the last question counts
    system, *rest = pool.requests[0].messages
    assert system.content == build_messages(QUESTION, "medication")[0]["content"] + "\n\nAnswer in French."
    assert [(turn.role, turn.content) for turn in rest] == [
        ("user", "My chest hurts."),
        ("assistant", "Since when?"),
        ("user", QUESTION),
    ]


def test_parameters_reach_the_engine():
    pool = EnginePoolClient()
    asked = {"max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "stop": ["x", "y"], "seed": 3}
    client_over(left=pool).post(PATH, json=chat_body(**asked))
    request = pool.requests[0]
    assert (request.max_tokens, request.temperature, request.top_p, request.stop, request.seed) == (
        7,
        0.5,
        0.9,
        ("x", "y"),
        3,
    )
    assert request.deadline_s == pytest.approx(300, abs=1)


def test_a_model_id_may_name_a_pool():
    response = client_over().post(PATH, json=chat_body(model="medray:right"))
    assert response.headers["x-medray-mode"] == "merged"
    assert response.json()["model"] == "medray:right"


BAD = {
    "no messages": (chat_body(messages=[]), 400, "messages"),
    "messages absent": ({"model": "medray"}, 400, "messages"),
    "messages not a list": (chat_body(messages="hi"), 400, "messages"),
    "a role of no one": (chat_body(messages=[{"role": "wizard", "content": "x"}]), 400, "messages[0].role"),
    "a tool's role": (chat_body(messages=[{"role": "tool", "content": "x"}]), 400, "messages[0].role"),
    "no question": (chat_body(messages=[{"role": "system", "content": "x"}]), 400, "messages"),
    "a blank question": (chat_body(messages=[{"role": "user", "content": " \n"}]), 400, "messages"),
    "an image": (chat_body(messages=[{"role": "user", "content": [{"type": "image_url"}]}]), 400, None),
    "an unknown model": (chat_body(model="gpt-4"), 404, "model"),
    "an unknown pool": (chat_body(model="medray:nope"), 404, "model"),
    "no max_tokens": (chat_body(max_tokens=0), 400, "max_tokens"),
    "negative max_tokens": (chat_body(max_tokens=-5), 400, "max_tokens"),
    "too many max_tokens": (chat_body(max_tokens=10**6), 400, "max_tokens"),
    "max_tokens in words": (chat_body(max_tokens="ten"), 400, "max_tokens"),
    "a hot temperature": (chat_body(temperature=3), 400, "temperature"),
    "two answers": (chat_body(n=2), 400, "n"),
    "tools": (chat_body(tools=[{"type": "function"}]), 400, "tools"),
    "logprobs": (chat_body(logprobs=True), 400, "logprobs"),
    "five stops": (chat_body(stop=list("abcde")), 400, "stop"),
    "an empty stop": (chat_body(stop=""), 400, "stop"),
    "stream options alone": (chat_body(stream_options={"include_usage": True}), 400, None),
    "a long prompt": (chat_body(messages=[{"role": "user", "content": "word " * 5000}]), 400, "messages"),
    "a list": ([], 400, None),
    "a number": (7, 400, None),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_get_an_error_object(name):
    body, status, param = BAD[name]
    client = client_over()
    response = client.post(PATH, json=body)
    error = error_of(response)
    assert response.status_code == status
    assert error["type"] == "invalid_request_error"
    assert param is None or error["param"] == param
    assert client.post(PATH, json=chat_body()).status_code == 200


def test_codes_that_clients_look_for():
    client = client_over()
    long = chat_body(messages=[{"role": "user", "content": "word " * 5000}])
    assert error_of(client.post(PATH, json=long))["code"] == "context_length_exceeded"
    assert error_of(client.post(PATH, json=chat_body(model="x")))["code"] == "model_not_found"


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"model": "\\ud800"}', b"\xff\xfe", b"[" * 5000, b"NaN"])
def test_malformed_json_is_a_400(body):
    response = client_over().post(PATH, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert error_of(response)["code"] == "invalid_json"


def test_harmless_values_of_what_is_unsupported_pass():
    harmless = {"tools": None, "logprobs": False, "frequency_penalty": 0, "response_format": {"type": "text"}}
    assert client_over().post(PATH, json=chat_body(**harmless, user="u", metadata={"a": "b"}, n=1)).status_code == 200


def test_paths_methods_types_and_sizes():
    client = client_over(limits={"max_body_bytes": 2048})
    assert error_of(client.get("/nope"))["code"] == "not_found"
    assert client.get(PATH).status_code == 405
    assert client.post(PATH, content=b"x=1", headers={"content-type": "text/plain"}).status_code == 415
    large = chat_body(messages=[{"role": "user", "content": "x" * 3000}])
    assert client.post(PATH, json=large).status_code == 413

    def pieces():
        yield b'{"model": "'
        for _ in range(10):
            yield b"x" * 1000

    chunked = client.post(PATH, content=pieces(), headers={"content-type": "application/json"})
    assert "content-length" not in chunked.request.headers
    assert (chunked.status_code, error_of(chunked)["code"]) == (413, "body_too_large")


def test_errors_never_quote_the_request():
    secret = "zebrafish42"
    client = client_over()
    bodies = [
        chat_body(model=secret),
        chat_body(max_tokens=secret),
        chat_body(messages=[{"role": secret, "content": secret}]),
        chat_body(messages=[{"role": "user", "content": {secret: secret}}]),
        chat_body(stop=[secret, 5]),
        chat_body(response_format={"type": secret}),
        {secret: secret},
        [secret],
    ]
    for body in bodies:
        response = client.post(PATH, json=body)
        assert 400 <= response.status_code < 500
        assert secret not in response.text
    raw = client.post(PATH, content=f'{{"{secret}"'.encode(), headers={"content-type": "application/json"})
    assert secret not in raw.text


def test_a_pool_that_fails_first_is_passed_over():
    broken, well = BrokenPoolClient(), EnginePoolClient()
    response = client_over(left=broken, right=well).post(PATH, json=chat_body())
    assert broken.calls == 1
    assert (response.status_code, response.headers["x-medray-mode"]) == (200, "merged")


def test_a_refusal_is_not_retried():
    refusing, well = BrokenPoolClient(RequestError("no", code="x", status=422)), EnginePoolClient()
    response = client_over(left=refusing, right=well).post(PATH, json=chat_body())
    assert response.status_code == 422
    assert well.requests == []


def test_no_pool_left_is_a_503_that_says_when_to_come_back():
    full = BrokenPoolClient(PoolsUnavailable("full"))
    response = client_over(left=full, right=BrokenPoolClient()).post(PATH, json=chat_body())
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert error_of(response)["code"] == "pools_unavailable"


def test_a_failure_on_the_way_ends_a_stream_with_an_error_event():
    failing = EnginePoolClient(fail_at_token=4)
    spare = EnginePoolClient()
    response = client_over(left=failing, right=spare).post(PATH, json=chat_body(stream=True))
    events = events_of(response)
    assert response.status_code == 200
    assert events[-1]["error"]["type"] == "server_error"
    assert any(event["choices"][0]["delta"].get("content") for event in events[:-1])
    assert spare.requests == []  # another pool would continue another text
    assert failing.streams[0].cancelled == 1


def test_a_failure_on_the_way_is_a_500_for_a_whole_answer():
    response = client_over(left=EnginePoolClient(fail_at_token=4)).post(PATH, json=chat_body())
    assert response.status_code == 500
    assert error_of(response)["type"] == "server_error"


def test_a_foreign_exception_stays_inside(caplog, capsys):
    foreign = BrokenPoolClient(ValueError(f"cannot handle {QUESTION}"))
    with caplog.at_level(logging.DEBUG):
        response = client_over(left=foreign).post(PATH, json=chat_body())
    assert response.status_code == 500
    printed = capsys.readouterr()
    assert "request_failed_unexpectedly" in printed.err
    assert "ibuprofen" not in response.text + caplog.text + printed.out + printed.err


def test_time_is_up_before_the_first_token():
    slow = EnginePoolClient(ttft_s=30.0)
    short = {"request_timeout_s": 0.2, "first_token_timeout_s": 10.0}
    response = client_over(left=slow, right=slow, limits=short).post(PATH, json=chat_body())
    assert response.status_code == 504
    assert error_of(response)["code"] == "deadline_exceeded"


def test_a_pool_that_hangs_before_its_first_token_is_left():
    hanging, well = EnginePoolClient(ttft_s=30.0), EnginePoolClient()
    limits = {"first_token_timeout_s": 0.2}
    response = client_over(left=hanging, right=well, limits=limits).post(PATH, json=chat_body())
    assert response.headers["x-medray-mode"] == "merged"
    assert hanging.streams[0].cancelled == 1


def test_models_are_listed_and_found_one_by_one():
    client = client_over(snapshot=Snapshot({"left": figures(precision="float32", kernels="sdpa")}))
    ids = [item["id"] for item in client.get("/v1/models").json()["data"]]
    assert ids == ["medray", "medray:left", "medray:right"]
    assert client.get("/v1/models/medray:left").json()["medray"]["pools"][0]["precision"] == "float32"
    assert client.get("/v1/models/other").status_code == 404


def test_health_is_the_process_and_readiness_the_pools():
    client = client_over()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_text_cannot_end_a_server_sent_event():
    assert sse({"a": "x\n\ndata: y\r\u2028"}).count("\n") == 2


@pytest.fixture(scope="module")
def shared():
    with client_over() as client:  # one event loop for all of them
        yield client


leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
json_value = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = ["model", "messages", "stream", "stream_options", "max_tokens", "temperature", "top_p", "stop", "seed", "n"]
near_request = st.fixed_dictionaries(
    {"model": st.just("medray"), "messages": st.just(chat_body()["messages"]) | json_value},
    optional=dict.fromkeys([*fields[2:], "tools", "logprobs", "content", "user"], json_value),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=near_request | json_value)
def test_random_bodies_never_break_the_server(shared, body):
    raw = json.dumps(body).encode("utf-8", errors="surrogatepass")
    response = shared.post(PATH, content=raw, headers={"content-type": "application/json"})
    assert response.status_code < 500
    if response.status_code != 200:
        error_of(response)


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=200))
def test_random_bytes_never_break_the_server(shared, raw):
    response = shared.post(PATH, content=raw, headers={"content-type": "application/json"})
    assert 400 <= response.status_code < 500
