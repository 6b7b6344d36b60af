"""The disk tier: sealed entries in an LMDB environment that processes of one machine share.

`environment` opens LMDB once per process, `records` seals and opens rows, `tier` reads and keeps bounds, `writer` is
the write-behind queue, `control` holds what needs no key: withdrawn artifacts and audit counts.
"""

from medray.inference.response_cache.disk.control import Control, MemoryControl, open_control
from medray.inference.response_cache.disk.tier import DiskTier, open_tier

__all__ = ["Control", "DiskTier", "MemoryControl", "open_control", "open_tier"]
