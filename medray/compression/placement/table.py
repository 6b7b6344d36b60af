"""What devices can do at their peak, by their makers' data sheets, and the share of it that inference reaches.

Processors: dense 16-bit tensor throughput, memory size and bandwidth, host link (PCIe generation and width). Memory of
CPUs: channels times JEDEC rate; their throughput: 16 cores at 2.5 GHz with two 256-bit multiply-adds a cycle. Drives:
sequential reading. A measured figure in a config replaces these and is taken as it is.
"""

from dataclasses import dataclass

COMPUTE_SHARE = 0.5  # of peak operations, large matrix products
BANDWIDTH_SHARE = 0.7  # of peak bandwidth, reading weights
LINK_SHARE = 0.5  # of PCIe's rate, copies from pageable memory
GPU_RESERVE_GB = 1.0  # context, libraries and the allocator's slack
GPU_OVERHEAD_US = 150.0  # a layer's kernel launches, from Python
CPU_OVERHEAD_US = 100.0
LINK_US = 20.0
DRIVE_US = 100.0


@dataclass(frozen=True)
class Entry:
    """Peak figures. `gb_per_s` is memory bandwidth, or reading speed of a drive."""

    memory_gb: float | None
    tflops: float
    gb_per_s: float
    link_gb_per_s: float = 0.0


DEVICES = {
    "h200": Entry(141, 989, 4800, 63),
    "h100-80gb": Entry(80, 989, 3350, 63),
    "a100-80gb": Entry(80, 312, 2039, 31.5),
    "a100-40gb": Entry(40, 312, 1555, 31.5),
    "l40s": Entry(48, 362, 864, 31.5),
    "a10": Entry(24, 125, 600, 31.5),
    "l4": Entry(24, 121, 300, 31.5),
    "v100-32gb": Entry(32, 125, 900, 15.8),
    "v100-16gb": Entry(16, 125, 900, 15.8),
    "t4": Entry(16, 65, 320, 15.8),
    "rtx-4090": Entry(24, 165, 1008, 31.5),
    "rtx-3090": Entry(24, 71, 936, 31.5),
    "cpu-ddr4-2ch": Entry(None, 1.28, 51.2),
    "cpu-ddr4-8ch": Entry(None, 1.28, 204.8),
    "cpu-ddr5-2ch": Entry(None, 1.28, 76.8),
    "cpu-ddr5-8ch": Entry(None, 1.28, 307.2),
    "nvme-gen4": Entry(None, 0, 7.0),
    "nvme-gen3": Entry(None, 0, 3.5),
    "ssd-sata": Entry(None, 0, 0.55),
    "hdd": Entry(None, 0, 0.2),
}
