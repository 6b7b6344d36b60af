"""`medray serve MODEL`: a model you have behind the endpoint, in both modes, until Ctrl-C."""

import ipaddress
import signal
import socket
import threading

import click

from medray import cluster
from medray.errors import ConfigError, EngineError, InputError
from medray.models import ModelRef, resolve
from medray.serving.config import ServingArgs

_APP = "medray"


@click.command()
@click.argument("model")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--unprotected", is_flag=True, help="Allow an address that others can reach; there are no API keys yet.")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--max-context-tokens", type=click.IntRange(min=2), default=None)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="CPU threads per replica.")
def serve(
    model: str,
    port: int,
    host: str,
    unprotected: bool,
    dtype: str,
    device: str,
    max_context_tokens: int | None,
    threads: int,
) -> None:
    """Serve MODEL (hub id, folder, artifact or pulled name) as an OpenAI-compatible endpoint, without training."""
    check_address(host, port, unprotected=unprotected)
    ref = resolve(model)
    engine = {"model": model, "dtype": dtype, "device": device, "max_context_tokens": max_context_tokens}
    args = build_args(ref, engine, threads=threads)
    click.echo(describe(ref))
    with cluster.session():
        _run(args, host, port)


def build_args(ref: ModelRef, engine: dict[str, str | int | None], *, threads: int) -> ServingArgs:
    """Return the application's arguments: one pool per mode."""
    cuda = str(engine["device"]).startswith("cuda")
    pools = [
        {"name": mode, "engine": {**engine, "mode": mode}, "threads": threads, "num_gpus": 0.45 if cuda else 0.0}
        for mode in ("adapter", "merged")
    ]
    return ServingArgs.model_validate({"pools": pools})


def describe(ref: ModelRef) -> str:
    """Say what will be served."""
    if ref.kind == "adapter":
        return f"Serving {ref.name}: adapter mode beside its base, and merged mode with the adapter folded in."
    return f"Serving {ref.name}: it has no adapter, so both modes serve the same weights."


def check_address(host: str, port: int, *, unprotected: bool) -> None:
    """Refuse an address that is taken or that others can reach. Raises ConfigError or InputError."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise ConfigError(f"--host: expected an IP address or localhost, got '{host}'") from None
    if not loopback and not unprotected:
        raise ConfigError(
            f"--host {host}: others could reach it and there are no API keys: use 127.0.0.1, or give --unprotected"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(f"cannot listen on {host}:{port} ({error.strerror}): choose another --port") from None


def _run(args: ServingArgs, host: str, port: int) -> None:
    """Run until Ctrl-C or SIGTERM; what this started stops with it. Raises EngineError when it does not come up."""
    from ray import serve as ray_serve

    from medray.serving.app import build_app

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # one way to stop: KeyboardInterrupt, then `finally`
    try:
        ray_serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port})
        ray_serve.run(build_app(args), name=_APP, route_prefix="/")
        click.echo(f"Ready on http://{host}:{port}/v1 (Ctrl-C stops it). Demonstration: not medical advice.")
        threading.Event().wait()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise EngineError(f"the endpoint did not start: {reason}") from None
    except KeyboardInterrupt:
        click.echo("Stopping.")
    finally:
        ray_serve.shutdown()
