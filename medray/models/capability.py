"""What the devices of a machine do well. Probed once, judged by pure functions that tests feed with other machines."""

from dataclasses import dataclass
from pathlib import Path

_TURING = (7, 5)
_CPU_FLAG = "avx512_bf16"


@dataclass(frozen=True)
class Verdict:
    """An answer and, in words for a person, why."""

    yes: bool
    reason: str


@dataclass(frozen=True)
class DeviceProbe:
    """What is known of a machine: CUDA with its compute capability, and the processor's flags."""

    cuda_available: bool
    cuda_capability: tuple[int, int] | None
    cpu_flags: frozenset[str]

    @classmethod
    def here(cls) -> "DeviceProbe":
        """Probe this machine's first CUDA device and its processor."""
        import torch

        available = bool(torch.cuda.is_available())
        capability = tuple(torch.cuda.get_device_capability(0)) if available else None
        return cls(available, capability, cpu_flags())


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the first processor's flags; empty where the system does not list them."""
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def fast_four_bit(probe: DeviceProbe) -> Verdict:
    """Tell whether NF4 layers decode faster than 16- or 32-bit ones: else they save memory and cost time.

    bitsandbytes has fused 4-bit kernels for CUDA and, on processors, only with AVX512-BF16; everywhere else each call
    dequantises the whole matrix first.
    """
    if probe.cuda_available and probe.cuda_capability is not None:
        shown = ".".join(str(number) for number in probe.cuda_capability)
        if probe.cuda_capability >= _TURING:
            return Verdict(True, f"CUDA compute capability {shown} has fused 4-bit kernels")
        return Verdict(
            False, f"CUDA compute capability {shown} is below 7.5: 4-bit weights are dequantised at each call"
        )
    if _CPU_FLAG in probe.cpu_flags:
        return Verdict(True, "the processor has AVX512-BF16, for which there are fused 4-bit kernels")
    return Verdict(False, "no CUDA device and no AVX512-BF16: 4-bit weights are dequantised at each call")
