"""The whole analysis of one model: what is cached is read, the rest is computed piece by piece, here or on a cluster.

A piece is the attention, or all probes of one decoder layer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field

from medray.compression.architecture import Architecture, architecture
from medray.compression.codes import default_code
from medray.compression.formats import CONTAINERS, W8A8, format_of
from medray.compression.plan import Bits, holds_four_bits, is_projection
from medray.compression.sensitivity.attention import AttentionShare, attention_share
from medray.compression.sensitivity.cache import Pieces, content_key
from medray.compression.sensitivity.marks import Marked
from medray.compression.sensitivity.probe import Probe, Rise, run_probes
from medray.compression.sensitivity.result import Sensitivity
from medray.config import Config
from medray.errors import ConfigError
from medray.models import ModelRef, load_model

ATTENTION = "attention"


class SensitivityConfig(Config):
    """How sensitivity is measured."""

    container: str = "bitsandbytes"  # whose 8- and 4-bit codes are tried
    bits: tuple[Literal[8, 4], ...] = Field((8, 4), min_length=1)
    dtype: Literal["float16", "bfloat16", "float32"] = "float32"
    device: str = "cpu"
    num_cpus: float = Field(1, gt=0)  # of each Ray task
    num_gpus: float = Field(0, ge=0)


@dataclass(frozen=True)
class Piece:
    """Something that one task computes: the attention, or these probes."""

    name: str
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True)
class Work:
    """What every piece reads."""

    ref: ModelRef
    rows: tuple[Marked, ...]
    config: SensitivityConfig


class Compute(Protocol):
    """Runs pieces, in any order, and yields each with its record as it is finished."""

    def __call__(self, work: Work, pieces: Sequence[Piece]) -> Iterable[tuple[Piece, dict[str, Any]]]: ...  # noqa: D102


def measure(
    ref: ModelRef,
    rows: Sequence[Marked],
    config: SensitivityConfig,
    *,
    cache: Path,
    compute: Compute | None = None,
    advance: Callable[[int, int], None] = lambda done, of: None,
) -> Sensitivity:
    """Measure every projection of a model; finished pieces below `cache` are not computed again.

    `compute` is where the rest runs: in this process, or `cluster.on_ray`. Raises ConfigError or ModelError.
    """
    model = architecture(ref.config_json())
    pieces = plan_pieces(model, config)
    stored = Pieces(cache, content_key(ref, list(rows), config.dtype))
    records = {piece.name: record for piece in pieces if (record := stored.get(piece.name)) is not None}
    advance(len(records), len(pieces))
    missing = [piece for piece in pieces if piece.name not in records]
    if missing:
        for piece, record in (compute or in_process)(Work(ref, tuple(rows), config), missing):
            stored.put(piece.name, record)
            records[piece.name] = record
            advance(len(records), len(pieces))
    return _assembled(pieces, records, config, len(rows))


def plan_pieces(model: Architecture, config: SensitivityConfig) -> list[Piece]:
    """Return the pieces of an analysis; a piece's name tells its probes. Raises ConfigError."""
    if config.container not in (*CONTAINERS, W8A8):
        raise ConfigError(f"container: expected {', '.join((*CONTAINERS, W8A8))}, got '{config.container}'")
    by_layer: dict[int, list[Probe]] = {}
    for weight in filter(is_projection, model.weights):
        for bits in config.bits:
            if format_of(config.container).stored(weight, bits) == bits and (bits == 8 or holds_four_bits(weight)):
                probe = Probe(weight.module, bits, default_code(config.container, bits))
                by_layer.setdefault(probe.layer, []).append(probe)
    named = [Piece(" ".join(f"{p.module}:{p.code}" for p in probes), tuple(probes)) for probes in by_layer.values()]
    return [Piece(ATTENTION), *named]


def in_process(work: Work, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, dict[str, Any]]]:
    """Compute pieces one after the other with one loaded model."""
    model = load(work)
    for piece in pieces:
        yield piece, compute_piece(model, work, piece)


def load(work: Work) -> Any:
    """Load the model, an adapter folded in, with attention weights to be seen."""
    config = work.config
    return load_model(work.ref, dtype=config.dtype, device=config.device, merge=True, attention="eager")


def compute_piece(model: Any, work: Work, piece: Piece) -> dict[str, Any]:
    """Return the record of one piece."""
    if piece.name == ATTENTION:
        return asdict(attention_share(model, work.rows, device=work.config.device))
    rises = run_probes(model, piece.probes, work.rows, device=work.config.device)
    return {f"{probe.module}:{probe.bits}": rise.record() for probe, rise in zip(piece.probes, rises, strict=True)}


def _assembled(
    pieces: Sequence[Piece], records: Mapping[str, dict[str, Any]], config: SensitivityConfig, rows: int
) -> Sensitivity:
    rises: dict[str, dict[Bits, Rise]] = {}
    for piece in pieces:
        for probe in piece.probes:
            rise = Rise.of(records[piece.name][f"{probe.module}:{probe.bits}"])
            rises.setdefault(probe.module, {})[probe.bits] = rise
    return Sensitivity(config.container, rises, AttentionShare(**records[ATTENTION]), rows)
