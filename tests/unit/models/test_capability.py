"""Which machines run 4-bit layers fast, on machines that are not here."""

import pytest

from medray.models.capability import DeviceProbe, cpu_flags, fast_four_bit

AVX2 = frozenset({"avx", "avx2", "fma"})
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512_vnni"}


@pytest.mark.parametrize(
    ("capability", "flags", "yes", "word"),
    [
        (None, AVX2, False, "AVX512-BF16"),
        (None, frozenset(), False, "no CUDA"),
        (None, AVX512, False, "AVX512-BF16"),  # without BF16 there is no fused kernel
        (None, AVX512 | {"avx512_bf16"}, True, "AVX512-BF16"),
        ((7, 0), AVX2, False, "7.0"),
        ((7, 5), AVX2, True, "7.5"),
        ((8, 0), AVX2, True, "8.0"),
        ((9, 0), AVX2, True, "9.0"),
        ((12, 0), AVX2, True, "12.0"),
        ((6, 1), AVX512 | {"avx512_bf16"}, False, "6.1"),  # the model would lie on the GPU
    ],
)
def test_verdicts_follow_the_kernels(capability, flags, yes, word):
    verdict = fast_four_bit(DeviceProbe(capability is not None, capability, flags))
    assert verdict.yes is yes
    assert word in verdict.reason


def test_this_machine_can_be_probed():
    probe = DeviceProbe.here()
    assert (probe.cuda_capability is not None) == probe.cuda_available
    assert fast_four_bit(probe).reason


def test_flags_are_read_from_the_first_processor(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: X\nflags\t\t: fpu avx2 avx512_bf16\n\nflags\t\t: fpu\n")
    assert cpu_flags(file) == {"fpu", "avx2", "avx512_bf16"}
    assert cpu_flags(tmp_path / "none") == frozenset()
