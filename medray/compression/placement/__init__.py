"""Placement (R2): which device keeps and computes which block, solved to the optimum of a stated cost model.

Flow: architecture + workload -> chain of blocks (bytes, operations, KV cache) -> cost in every place (affinity) ->
integer programme (HiGHS) -> accelerate `device_map`, predicted times, bytes per device. `predict` judges any map by the
same model, `measure` replaces the device table by what a machine was seen to do, `dispatch` loads a model by the map.
"""

from medray.compression.placement.blocks import Block, Chain, Workload, chain
from medray.compression.placement.devices import DeviceConfig, LinkConfig, Machine
from medray.compression.placement.predict import Prediction, places_of, predict
from medray.compression.placement.slots import Slot
from medray.compression.placement.solve import Placed, PlacementError, solve

__all__ = [
    "Block",
    "Chain",
    "DeviceConfig",
    "LinkConfig",
    "Machine",
    "Placed",
    "PlacementError",
    "Prediction",
    "Slot",
    "Workload",
    "chain",
    "places_of",
    "predict",
    "solve",
]
