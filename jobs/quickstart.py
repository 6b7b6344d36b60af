"""`make quickstart`: lessons, distillation, compression, serving and three questions, in one command without a GPU.

Each stage runs as its own process, by the same command a user would type, and leaves its artifact below `--out`.
Everything that was started is stopped, also on Ctrl-C and on failure.
"""

import json
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from pydantic import Field

from jobs import entry, quickstart_report
from jobs.quickstart_ask import Answer, ask, free_port, teacher_answers, wait_ready, write_serve_config
from jobs.supervise import Supervisor
from medray.artifacts import is_remote
from medray.config import Config, config_hash
from medray.errors import ConfigError, MedrayError, TrainingError
from medray.models import resolve
from medray.report import provenance

_CONFIGS = Path(__file__).parent / "configs"
_WORKERS = 2
_ROOT = Path(__file__).parents[1]


class QuickstartConfig(Config):
    """The whole path on a laptop, from a corpus to served answers."""

    teacher: str
    data: str = "sample"
    questions: tuple[str, ...] = Field(min_length=1)
    max_tokens: int = Field(default=64, ge=1)
    ready_timeout_s: float = Field(default=300.0, gt=0)
    port: int | None = Field(default=None, ge=1, le=65535)  # None: any free one


@dataclass(frozen=True)
class Folders:
    """Where each stage's artifact goes."""

    lessons: Path
    distilled: Path
    compressed: Path
    serve_config: Path
    server_log: Path
    summary: Path

    @classmethod
    def below(cls, out: Path) -> "Folders":
        """Name the folders below `out`."""
        names = ("lessons", "distilled", "compressed", "serve.yaml", "serve.log", "summary.json")
        return cls(*(out / name for name in names))


def quickstart(config: QuickstartConfig, request: entry.Request) -> None:
    """Run every stage, serve, ask, and print what came out."""
    if is_remote(request.out):
        raise ConfigError("expected --out to be a local folder for the quickstart, got a URI")
    resolve(config.teacher)  # a wrong name fails now, not after the first stages
    out = Path(request.out)
    out.mkdir(parents=True, exist_ok=True)
    folders = Folders.below(out)
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # one way to stop: KeyboardInterrupt, then clean up
    with Supervisor() as supervisor:
        _make(config, folders, supervisor)
        answers, ready_s = _serve_and_ask(config, folders, supervisor)
    print("[5/5] the unpruned teacher answers the same questions", flush=True)
    teacher = teacher_answers(config.teacher, config.questions, config.max_tokens)
    summary = {
        "provenance": provenance(seed=None, config_hash=config_hash(config), command=request.command),
        "distilled": _require_two_workers(_read(folders.distilled / "summary.json")),
        "compressed": _read(folders.compressed / "summary.json"),
        "answers": [answer.as_row() for answer in answers],
        "teacher_answers": teacher,
        "ready_s": round(ready_s, 1),
        "seconds": round(time.monotonic() - started, 1),
        "peak_bytes": supervisor.peak_bytes,
        "artifacts": {
            "lessons": str(folders.lessons),
            "adapter": str(folders.distilled),
            "compressed": str(folders.compressed),
        },
    }
    folders.summary.write_text(json.dumps(summary, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    quickstart_report.show(summary)


def _make(config: QuickstartConfig, folders: Folders, supervisor: Supervisor) -> None:
    stages = (
        ("[1/5] lessons from the corpus (Ray Data)", "prepare", [f"data={config.data}"], folders.lessons, None),
        (
            "[2/5] distillation: teacher to pruned student (Ray Train, 2 workers)",
            "distill",
            [f"teacher={config.teacher}", f"data={folders.lessons}"],
            folders.distilled,
            _CONFIGS / "quickstart-distill.yaml",
        ),
        (
            "[3/5] compression: merge, then int8 attention and NF4 feed-forward",
            "compress",
            [f"model={folders.distilled}", f"data={folders.lessons}"],
            folders.compressed,
            None,
        ),
    )
    for title, job, settings, out, config_file in stages:
        print(title, flush=True)
        command = [sys.executable, "-m", f"jobs.{job}", "--out", str(out), "--overwrite"]
        command += ["--config", str(config_file)] if config_file else []
        command += [part for setting in settings for part in ("--set", setting)]
        code = supervisor.run(command)
        if code != 0:
            raise MedrayError(f"the stage '{job}' ended with exit code {code}; its own message stands above")


def _serve_and_ask(config: QuickstartConfig, folders: Folders, supervisor: Supervisor) -> tuple[list[Answer], float]:
    port = config.port or free_port()
    print(
        f"[4/5] both modes behind one endpoint on 127.0.0.1:{port} (Ray Serve); log: {folders.server_log}", flush=True
    )
    models = {"adapter": folders.distilled.absolute(), "merged": folders.compressed.absolute()}
    pools = write_serve_config(_ROOT / "serve_configs" / "local.yaml", folders.serve_config, models, port)
    # "local": a cluster of our own, never one that happens to run on this machine.
    command = [str(Path(sys.executable).with_name("serve")), "run", "--address", "local", str(folders.serve_config)]
    with folders.server_log.open("wb") as log:
        server = supervisor.start(command, output=log)
        url = f"http://127.0.0.1:{port}"
        ready_s = wait_ready(url, server, config.ready_timeout_s)
        # The selector chooses for the first question; then each pool is asked by name, so that both modes are seen.
        answers = [
            ask(url, question, model, config.max_tokens)
            for question, model in zip(config.questions, cycle(("medray", *(f"medray:{pool}" for pool in pools))))
        ]
        server.send_signal(signal.SIGINT)
        supervisor.stop_all()
    return answers, ready_s


def _require_two_workers(distilled: dict[str, Any]) -> dict[str, Any]:
    """Check that the training really was distributed."""
    trained = {worker["pid"] for worker in distilled["workers"] if worker["micro_batches"] > 0}
    if len(trained) < _WORKERS:
        raise TrainingError(f"expected at least {_WORKERS} processes to have trained, got {len(trained)}")
    return distilled


def _read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


main = partial(entry.run, "quickstart", QuickstartConfig, quickstart)

if __name__ == "__main__":
    sys.exit(main())
