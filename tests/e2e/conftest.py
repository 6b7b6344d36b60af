"""A Ray head of one's own: private home, token, ports and temporary folder; stopped whatever happens."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from jobs.quickstart_ask import free_port
from jobs.supervise import Supervisor

BIN = Path(sys.executable).parent
START_TIMEOUT_S = 120


@dataclass
class Head:
    """A running head and the environment that reaches it."""

    environment: dict[str, str]
    api: str

    def run(self, *command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=Path(__file__).parents[2],
        )


@pytest.fixture(scope="package")  # gone before the tests of other folders, which start clusters of their own
def head() -> Iterator[Head]:
    # A short path: Ray's sockets live below it and their names are limited to 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="mr", dir="/tmp"))
    dashboard = free_port()
    api = f"http://127.0.0.1:{dashboard}"
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("RAY_") or key == "RAY_USAGE_STATS_ENABLED"
    }
    environment = {
        **kept,
        "HOME": str(home),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "MEDRAY_HOME": os.environ.get("MEDRAY_HOME", str(Path.home() / ".cache/medray")),
        "RAY_AUTH_MODE": "token",
        "RAY_API_SERVER_ADDRESS": api,
        "RAY_DASHBOARD_ADDRESS": api,
    }
    gcs = free_port()
    command = [str(BIN / "ray"), "start", "--head", "--block", f"--port={gcs}", "--num-cpus=8"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--temp-dir={home}/ray"]
    command += ["--dashboard-agent-listen-port=0", f"--ray-client-server-port={free_port()}"]
    command += ["--object-store-memory=400000000"]
    subprocess.run([str(BIN / "ray"), "get-auth-token", "--generate"], env=environment, check=True, capture_output=True)
    try:
        with Supervisor() as supervisor, (home / "head.log").open("wb") as log:
            child = supervisor.start(command, environment=environment, output=log)
            _wait_ready(child, api, home)
            yield Head({**environment, "RAY_ADDRESS": f"127.0.0.1:{gcs}"}, api)
        assert supervisor.processes() == []
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait_ready(child: subprocess.Popen[bytes], api: str, home: Path) -> None:
    token = (home / ".ray" / "auth_token").read_text().strip()
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if child.poll() is not None:
            break
        try:
            if httpx.get(f"{api}/api/version", headers={"Authorization": f"Bearer {token}"}).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    pytest.fail(f"the head did not come up: {(home / 'head.log').read_text()[-2000:]}")
