"""The disk tier: sealed entries in an LMDB environment that processes of one machine share.

`environment` opens LMDB once per process, `records` seals and opens rows, `rows` keeps the tables in step within a
transaction, `tier` reads and writes and turns off when LMDB fails, `opening` finds the keys, `writer` is the
write-behind queue, `control` holds what needs no key: withdrawn artifacts and audit counts.
"""

from medray.inference.response_cache.disk.control import Control, MemoryControl, open_control
from medray.inference.response_cache.disk.opening import open_or_go_on, open_tier
from medray.inference.response_cache.disk.rows import Record
from medray.inference.response_cache.disk.tier import DiskTier

__all__ = ["Control", "DiskTier", "MemoryControl", "Record", "open_control", "open_or_go_on", "open_tier"]
