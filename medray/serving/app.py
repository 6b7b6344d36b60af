"""`medray.serving.app:build_app`: the Serve application of a `serve_configs/*.yaml`.

No `from __future__ import annotations` here: Serve's typed builder reads the annotation of `args` at run time, and with
strings in its place would hand over an unchecked dict.
"""

from typing import Any, cast

from ray import serve
from ray.serve import Application

from medray.log import event
from medray.serving.config import ServingArgs
from medray.serving.monitor import ResourceMonitor
from medray.serving.plan import PoolPlan, plan_pools
from medray.serving.replicas import EnginePool, pool_options
from medray.serving.selector import EngineSelector


def build_app(args: ServingArgs) -> Application:
    """Return the application graph: selector -> pools, everyone -> monitor.

    Raises ConfigError, ModelError or ArtifactError when a pool's model cannot be served.
    """
    plans = plan_pools(args)
    deployments = {plan.deployment: plan.name for plan in plans}
    monitor = _monitor().bind(deployments, args.monitoring.snapshot_max_age_s)
    pools = [_pool(plan).bind(plan, args.monitoring, monitor) for plan in plans]
    event("application_built", pools=[plan.name for plan in plans], fallbacks=sum(plan.fallback for plan in plans))
    return cast("Application", _selector(args).bind(args, plans, monitor, *pools))


def _monitor() -> Any:
    # A report a second from every replica would drown the access log.
    logging = {"enable_access_log": False}
    options = {"num_replicas": 1, "max_ongoing_requests": 1000, "ray_actor_options": {"num_cpus": 0}}
    return serve.deployment(ResourceMonitor).options(**options, logging_config=logging)


def _pool(plan: PoolPlan) -> Any:
    return serve.deployment(EnginePool).options(**pool_options(plan))


def _selector(args: ServingArgs) -> Any:
    ingress = serve.deployment(serve.ingress()(EngineSelector))
    return ingress.options(
        num_replicas=args.selector_replicas, max_ongoing_requests=200, ray_actor_options={"num_cpus": 0.25}
    )
