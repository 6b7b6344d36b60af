"""The whole application graph in this process, by Serve's local testing mode (kept to this one fixture)."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from ray.exceptions import RayTaskError
from ray.serve.exceptions import BackPressureError
from serving_fakes import QUESTION, serving_args

from medray.errors import EngineError, PoolsUnavailable, RequestError
from medray.serving.app import build_app
from medray.serving.handles import translate


@pytest.fixture(scope="module")
def ingress() -> Iterator[Any]:
    from ray import serve

    args = serving_args(monitoring={"push_interval_s": 0.05, "probe_interval_s": 0.5})
    handle = serve.run(build_app(args), name="local", _local_testing_mode=True)
    time.sleep(0.5)
    yield handle


def test_the_graph_is_built_and_its_pools_report(ingress):
    assert [pool.ready for pool in ingress.ready.remote().result()] == [True, True]


def test_our_errors_come_out_of_rays():
    refusal = RequestError("too long", status=400, code="context_length_exceeded", param="messages")
    wrapped = RayTaskError("generate", "Traceback", refusal, "p", 1, "127.0.0.1").as_instanceof_cause()
    assert isinstance(wrapped, RequestError)
    assert str(wrapped) != "too long"  # it speaks of processes and addresses
    mine = translate(wrapped)
    assert type(mine) is RequestError
    assert (str(mine), mine.code, mine.param) == ("too long", "context_length_exceeded", "messages")
    assert isinstance(translate(BackPressureError(1, 1)), PoolsUnavailable)
    foreign = translate(RayTaskError("generate", "t", ValueError(QUESTION), "p", 1, "127.0.0.1"))
    assert type(foreign) is EngineError
    assert QUESTION not in str(foreign)
