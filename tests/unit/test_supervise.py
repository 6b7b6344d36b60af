"""The supervisor finds grandchildren, stops them whatever happened, and sees memory."""

import signal
import subprocess
import sys
import time

import pytest

from jobs.supervise import Supervisor

GRANDCHILD = (
    "import subprocess, sys; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)"
)
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def test_an_orphaned_grandchild_is_stopped():
    with Supervisor() as supervisor:
        supervisor.start([sys.executable, "-c", GRANDCHILD]).wait()
        seen = [len(supervisor.processes()) for _ in range(10) if time.sleep(0.2) is None]
        assert max(seen) == 1
    assert supervisor.processes() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_also_on_ctrl_c_and_failure(error):
    with pytest.raises(error), Supervisor() as supervisor:
        supervisor.start([sys.executable, "-c", "import time; time.sleep(600)"])
        raise error
    assert supervisor.processes() == []


def test_a_child_that_ignores_terminate_is_killed(monkeypatch):
    monkeypatch.setattr("jobs.supervise._GRACE_S", 1.0)
    with Supervisor() as supervisor:
        child = supervisor.start([sys.executable, "-c", STUBBORN])
        time.sleep(0.5)
    assert supervisor.processes() == []
    assert child.returncode == -signal.SIGKILL


def test_others_are_left_alone():
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with Supervisor() as supervisor:
            assert supervisor.run([sys.executable, "-c", "raise SystemExit(3)"]) == 3
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_peak_memory_is_that_of_all_children(monkeypatch):
    monkeypatch.setattr("jobs.supervise._SAMPLE_EVERY_S", 0.1)
    with Supervisor() as supervisor:
        supervisor.run([sys.executable, "-c", "import time; block = bytearray(200_000_000); time.sleep(1.5)"])
    assert 200e6 < supervisor.peak_bytes < 400e6
