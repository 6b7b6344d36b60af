"""`serve deploy serve_configs/local.yaml` on a local head: healthy, ready, answering in both modes."""

import random
import string
import time
from pathlib import Path

import httpx
import pytest
import yaml

from jobs.quickstart_ask import free_port

READY_S = 300


@pytest.fixture(scope="module")
def deployed(head, root, tmp_path_factory):
    """The shipped config with another port; no artifact exists below this MEDRAY_ROOT, so the fallback serves."""
    folder = tmp_path_factory.mktemp("deploy")
    config = yaml.safe_load((root / "serve_configs/local.yaml").read_text())
    port = config["http_options"]["port"] = free_port()
    config["applications"][0]["runtime_env"] = {"env_vars": {"MEDRAY_ROOT": str(folder)}}
    (folder / "local.yaml").write_text(yaml.safe_dump(config))
    result = head.run("serve", "deploy", str(folder / "local.yaml"))
    assert result.returncode == 0, result.stderr[-2000:]
    url = f"http://127.0.0.1:{port}"
    _wait_ready(url, head)
    yield url
    head.run("serve", "shutdown", "--yes")


def _wait_ready(url: str, head) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/readyz", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(1)
        time.sleep(1)
    pytest.fail(head.run("serve", "status").stdout[-3000:])


@pytest.mark.timeout(READY_S + 120)
def test_status_is_healthy_and_both_modes_answer(deployed, head):
    status = yaml.safe_load(head.run("serve", "status").stdout)
    assert status["applications"]["medray"]["status"] == "RUNNING"
    models = [row["id"] for row in httpx.get(f"{deployed}/v1/models").json()["data"]]
    pinned = [name for name in models if ":" in name]
    assert len(pinned) == 2
    modes = set()
    for model in pinned:
        body = {"model": model, "messages": [{"role": "user", "content": "What is asthma?"}], "max_tokens": 4}
        reply = httpx.post(f"{deployed}/v1/chat/completions", json=body, timeout=120)
        assert reply.status_code == 200, reply.text
        assert reply.json()["usage"]["completion_tokens"] >= 1
        modes.add(reply.headers["x-medray-mode"])
    assert modes == {"adapter", "merged"}


@pytest.mark.timeout(120)
def test_medray_ask_talks_to_it(deployed, head):
    result = head.run("medray", "ask", "What is asthma?", "--url", deployed, "--max-tokens", "4")
    assert result.returncode == 0, result.stderr
    for word in ("diagnosis", "mode", "not medical advice"):
        assert word in (result.stdout + result.stderr).lower()


def test_no_question_text_in_any_log(deployed, head):
    """A planted word must not be found in anything that Ray or we wrote below the head's folder."""
    # Made up at run time: a word in this file would be found in the working folder that a job submission uploads.
    word = "zan" + "".join(random.SystemRandom().choices(string.ascii_lowercase, k=12))
    body = {"model": "medray", "messages": [{"role": "user", "content": f"What is {word}?"}], "max_tokens": 2}
    assert httpx.post(f"{deployed}/v1/chat/completions", json=body, timeout=120).status_code == 200
    bad = httpx.post(f"{deployed}/v1/chat/completions", json={**body, "max_tokens": word}, timeout=60)
    assert bad.status_code == 400
    assert word not in bad.text
    time.sleep(3)
    folder = Path(head.environment["HOME"])
    holders = [path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]
    assert holders == []
