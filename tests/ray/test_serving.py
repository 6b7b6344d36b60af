"""The served application on a local cluster: the `openai` client, bad requests, dying replicas, and text in no log.

One application: a fast fake pool, a slow fake pool and a tiny real model, each reachable by its model id.
"""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from medray.models.tiny import save_tiny

SECRET = "zebrafishpatient"
QUESTION = f"How many tablets of ibuprofen may {SECRET} take?"
POOLS = ("fast", "slow", "tiny")
SLOW = {"token_delay_s": 0.25, "answer_words": 200, "slots": 8}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], timeout_s: float = 90.0) -> Any:
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    pytest.fail("waited too long")


class Served:
    """A running application and what tests ask of it."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60)
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)

    def post(self, **changes: Any) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json={**body(), **changes})

    def replica_pid(self, deployment: str) -> int:
        import ray
        from ray.util.state import list_actors

        here = ray.get_runtime_context().gcs_address  # without it, any other cluster of this machine is in the way
        found = [
            actor
            for actor in list_actors(here, filters=[("state", "=", "ALIVE")], limit=1000)
            if actor.class_name.endswith(f":{deployment}")
        ]
        return int(found[0].pid) if found else 0

    def ready(self) -> bool:
        return self.http.get("/readyz").status_code == 200


def body(**changes: Any) -> dict[str, Any]:
    return {"model": "medray", "messages": [{"role": "user", "content": QUESTION}], **changes}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from ray import serve

    from medray import cluster
    from medray.serving.app import build_app
    from medray.serving.config import ServingArgs

    tiny = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny(tiny)
    real = {"model": str(tiny), "mode": "adapter", "dtype": "float32", "device": "cpu"}
    pools = [
        {"name": "fast", "engine": {"engine": "fake", "mode": "merged", "fake": {"slots": 8}}, "num_cpus": 0.1},
        {"name": "slow", "engine": {"engine": "fake", "mode": "adapter", "fake": SLOW}, "num_cpus": 0.1},
        {"name": "tiny", "engine": real, "num_cpus": 0.1, "threads": 1},
    ]
    args = ServingArgs.model_validate(
        {
            "pools": pools,
            "monitoring": {"push_interval_s": 0.25, "probe_interval_s": 2.0, "snapshot_max_age_s": 3.0},
            "limits": {"max_body_bytes": 65_536, "request_timeout_s": 60},
        }
    )
    port = free_port()
    with cluster.session(dashboard=True):  # the state API, with which replicas are found, lives in the dashboard
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        serve.run(build_app(args), name="medray")
        served = Served(f"http://127.0.0.1:{port}")
        wait_for(served.ready)
        yield served
        serve.shutdown()


def test_the_openai_client_works_unchanged(served):
    answer = served.openai.chat.completions.create(model="medray:fast", messages=body()["messages"])
    assert answer.choices[0].message.content.startswith("No model wrote this")
    assert answer.usage.total_tokens > answer.usage.completion_tokens > 0
    chunks = list(
        served.openai.chat.completions.create(
            model="medray:fast", messages=body()["messages"], stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == answer.choices[0].message.content
    assert chunks[-1].usage == answer.usage
    assert {model.id for model in served.openai.models.list()} >= {"medray", "medray:fast", "medray:tiny"}
    with pytest.raises(openai.NotFoundError):
        served.openai.chat.completions.create(model="gpt-4", messages=body()["messages"])
    with pytest.raises(openai.BadRequestError):
        served.openai.chat.completions.create(model="medray", messages=[])


def test_a_real_model_answers_within_its_limits(served):
    response = served.post(model="medray:tiny", max_tokens=5)
    told = {name: response.headers[f"x-medray-{name}"] for name in ("category", "mode", "engine", "artifact")}
    assert told == {"category": "medication", "mode": "adapter", "engine": "transformers", "artifact": "tiny"}
    assert 1 <= response.json()["usage"]["completion_tokens"] <= 5
    assert len(response.headers.get_list("x-request-id")) == 1
    long = served.post(model="medray:tiny", messages=[{"role": "user", "content": "word " * 2000}])
    assert (long.status_code, long.json()["error"]["code"]) == (400, "context_length_exceeded")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (json.dumps(body(messages=[])).encode(), 400),
        (json.dumps(body(model="other")).encode(), 404),
        (json.dumps(body(max_tokens=0)).encode(), 400),
        (json.dumps(body(max_tokens=-1)).encode(), 400),
        (json.dumps(body(messages=[{"role": "user", "content": "word " * 6000}])).encode(), 400),
        (json.dumps(body(messages=[{"role": "user", "content": "x" * 70_000}])).encode(), 413),
    ],
)
def test_bad_requests_get_an_error_object_and_the_server_stays_up(served, content, status):
    response = served.http.post("/v1/chat/completions", content=content, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert served.http.get("/healthz").status_code == 200
    assert served.post(model="medray:fast").status_code == 200


def test_readiness_came_with_real_tokens(served):
    pools = served.http.get("/readyz").json()["pools"]
    assert {name: pool["reason"] for name, pool in pools.items()} == dict.fromkeys(POOLS, "generating")


def test_the_decision_follows_live_figures(served):
    """The slow pool makes 4 tokens/s: once that is known, it comes last."""
    served.post(model="medray:slow", max_tokens=3)
    served.post(model="medray:fast")

    def decided() -> bool:
        order = served.post(max_tokens=4).headers["x-medray-decision"]
        return order.split(";")[-1].startswith("slow:") and "unknown" not in order

    wait_for(decided, 30)


def test_a_replica_killed_before_its_first_token_costs_the_client_nothing(served):
    """Requests ranked by the dead pool's last figures go to it first, fail there and are answered by another."""
    assert wait_for(served.ready)
    statuses: list[int] = []

    def ask() -> None:
        statuses.extend(served.post(max_tokens=4).status_code for _ in range(30))

    asking = threading.Thread(target=ask)
    asking.start()
    os.kill(served.replica_pid("Merged-fast"), signal.SIGKILL)
    asking.join()
    assert statuses == [200] * 30
    wait_for(served.ready)


def test_a_replica_killed_on_the_way_ends_the_stream_with_an_error_event(served):
    assert wait_for(served.ready)
    pid = served.replica_pid("Adapter-slow")
    texts: list[str] = []
    with pytest.raises(openai.APIError):
        for chunk in served.openai.chat.completions.create(
            model="medray:slow", messages=body()["messages"], stream=True
        ):
            texts.append(chunk.choices[0].delta.content or "")
            if len(texts) == 4:
                os.kill(pid, signal.SIGKILL)
    assert len(texts) >= 4
    wait_for(lambda: not served.ready())  # a pool without a living replica is not ready
    wait_for(lambda: served.replica_pid("Adapter-slow") not in (0, pid) and served.ready())


def test_a_client_that_leaves_frees_the_engine(served):
    from ray import serve

    monitor = serve.get_deployment_handle("ResourceMonitor", "medray")

    def running() -> int:
        return int(monitor.snapshot.remote().result().pools["slow"].running)

    with served.http.stream("POST", "/v1/chat/completions", json=body(model="medray:slow", stream=True)) as response:
        lines = response.iter_lines()  # held: the end of this iterator is the end of the connection
        assert next(lines)
        wait_for(lambda: running() == 1, 30)
    left_s = time.monotonic()
    wait_for(lambda: running() == 0, 30)
    assert time.monotonic() - left_s < 20  # the whole answer would take 50 s and more


def test_no_question_is_in_any_log(served):
    import ray

    served.post(model="medray:fast", messages=[{"role": "system", "content": SECRET}, *body()["messages"]])
    served.post(messages=[{"role": SECRET, "content": SECRET}])
    served.http.post("/v1/chat/completions", content=SECRET, headers={"content-type": "application/json"})
    time.sleep(1)
    session = Path(ray._private.worker._global_node.get_session_dir_path())
    files = [path for path in session.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any("serve" in str(path) for path in files)
    assert [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []
