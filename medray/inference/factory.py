"""From a config to a running engine, with the choice of weights a merged pool serves.

Which weights fit the device is asked of `medray.models.capability`, never assumed: 4-bit ones where the device has
fast kernels for them, 16/32-bit ones elsewhere, and the engine's capabilities say which and why.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from medray.artifacts import is_artifact
from medray.config import Config
from medray.inference.engine import Engine, Mode
from medray.inference.engines.fake import FakeConfig, FakeEngine
from medray.log import event
from medray.models import ModelRef, resolve

if TYPE_CHECKING:
    from medray.models.capability import DeviceProbe

_FOUR_BIT = "bitsandbytes"
_MERGED = "merged"


class EngineConfig(Config):
    """Which engine, which weights, where. `model` takes every name that `medray.models.resolve` takes."""

    engine: Literal["transformers", "fake"] = "transformers"
    model: str = ""
    mode: Mode = "merged"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")
    max_context_tokens: int | None = Field(default=None, ge=2)  # None: the model's window, at most 4096
    slots: int = Field(default=1, ge=1)
    fake: FakeConfig = FakeConfig()

    @model_validator(mode="after")
    def _consistent(self) -> "EngineConfig":
        if self.engine == "transformers" and not self.model:
            raise ValueError("the transformers engine needs `model`: a hub id, pulled name, folder or artifact")
        if self.engine == "transformers" and self.slots != 1:
            raise ValueError("the transformers engine generates one answer at a time: leave `slots` at 1, add replicas")
        return self


@dataclass(frozen=True, slots=True)
class MergedSource:
    """Weights for merged mode, and why these."""

    ref: ModelRef
    reason: str


def build_engine(config: EngineConfig) -> Engine:
    """Load what the config names. Raises ConfigError, ModelError, ArtifactError or CapabilityError; takes minutes."""
    if config.engine == "fake":
        fake = config.fake
        if config.max_context_tokens is not None:
            fake = fake.model_copy(update={"max_context_tokens": config.max_context_tokens})
        return FakeEngine(fake, mode=config.mode)
    from medray.inference.engines.transformers import TransformersEngine

    source, dtype = MergedSource(resolve(config.model), ""), config.dtype
    if config.mode == "merged":
        probe = _probe(config.device)
        source = merged_source(source.ref, probe)
        if dtype == "auto" and source.ref.kind == _FOUR_BIT:
            dtype = _four_bit_dtype(probe)
        event("merged_source", kind=source.ref.kind, artifact=source.ref.artifact_id)
    return TransformersEngine(
        source.ref,
        config.mode,
        dtype=dtype,
        device=config.device,
        max_context_tokens=config.max_context_tokens,
        note=source.reason,
    )


def merged_source(ref: ModelRef, probe: "DeviceProbe") -> MergedSource:
    """Choose among an artifact's formats by what the device runs fast; a sub-folder named outright is kept."""
    root = _artifact_root(ref)
    if root is None or Path(ref.name).expanduser().absolute() == Path(ref.path):
        return MergedSource(ref, "weights as named")
    four_bit, merged = (_format(root, name) for name in (_FOUR_BIT, _MERGED))
    plain = merged or (ref if ref.kind != "bitsandbytes" else None)
    if four_bit is None:
        return MergedSource(plain or ref, "the artifact has no 4-bit weights")
    from medray.models.capability import fast_four_bit

    verdict = fast_four_bit(probe)
    if verdict.yes:
        return MergedSource(four_bit, f"4-bit weights: {verdict.reason}")
    if plain is None:
        return MergedSource(four_bit, f"4-bit weights though slow, the artifact has no others: {verdict.reason}")
    return MergedSource(plain, f"16/32-bit weights served: {verdict.reason}")


def _four_bit_dtype(probe: "DeviceProbe") -> Literal["auto", "bfloat16"]:
    """Choose what 4-bit weights compute in: a processor's fused kernels take bfloat16 only."""
    from medray.models.capability import fast_four_bit

    return "bfloat16" if not probe.cuda_available and fast_four_bit(probe).yes else "auto"


def _probe(device: str) -> "DeviceProbe":
    """Probe this machine; a GPU that the engine must not use does not count."""
    from medray.models.capability import DeviceProbe

    probe = DeviceProbe.here()
    return probe if device == "auto" or device.startswith("cuda") else replace(probe, cuda_available=False)


def _artifact_root(ref: ModelRef) -> Path | None:
    """Return the artifact's folder if the model lies in a format sub-folder of one."""
    if ref.kind == "hub" or is_artifact(Path(ref.path)):
        return None
    parent = Path(ref.path).parent
    return parent if is_artifact(parent) else None


def _format(root: Path, name: str) -> ModelRef | None:
    return resolve(str(root / name)) if (root / name / "config.json").is_file() else None
