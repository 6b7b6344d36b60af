"""The Ray Data shell of the data stage: where the pure row functions run.

Units are read and rows cleaned wherever there is a free core; the rows stay in Ray's object store. Only keys come to
the driver (about 150 bytes a row: a place, an exact key, the bands), where the two global questions are answered:
which rows are repeated, and which share a band. Of the latter, usually few, the shingles follow for the proof.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from medray.data import duplicates
from medray.data.clean import clean
from medray.data.config import PrepareConfig
from medray.data.example import Example, Reason, Reject
from medray.data.leakage import LeakIndex, leaks
from medray.data.rows import Placed, damage_in, decode, encode, keyed_schema, raw_schema, read_tables
from medray.data.sources import Unit
from medray.data.tally import Tally
from medray.errors import DataError

_ROWS_PER_BLOCK = 1024
_KEY_COLUMNS = ["order", "reason", "damage", "exact", "bands"]

Orders = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dropped:
    """The places of rows that other rows make superfluous, sorted."""

    exact: Orders
    near: Orders

    def reason(self, order: int) -> Reason | None:
        """Return why the row at a place is dropped, if it is."""
        if _holds(self.exact, order):
            return Reason.EXACT_DUPLICATE
        return Reason.NEAR_DUPLICATE if _holds(self.near, order) else None


@contextmanager
def ordered_execution() -> Iterator[None]:
    """Run Ray Data so that rows keep their order, with its bar but without its chatter."""
    from ray.data import DataContext

    context = DataContext.get_current()
    logger = logging.getLogger("ray.data")
    before = context.execution_options.preserve_order, context.enable_operator_progress_bars, logger.level
    context.execution_options.preserve_order, context.enable_operator_progress_bars = True, False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.execution_options.preserve_order, context.enable_operator_progress_bars = before[:2]
        logger.setLevel(before[2])


def examine(units: Sequence[Unit], config: PrepareConfig, tests: LeakIndex) -> Any:
    """Read and clean all units; return the materialised dataset of rows with their keys, in order."""
    import ray

    items = [
        {
            "ordinal": ordinal,
            "reader": unit.reader,
            "locations": list(unit.locations),
            "sources": list(unit.sources),
            "start": unit.start,
            "stop": unit.stop,
            "first": unit.first,
        }
        for ordinal, unit in enumerate(units)
    ]
    examined = partial(_examine_batch, config=config, tests=ray.put(tests))
    return (
        ray.data.from_items(items, override_num_blocks=len(items))
        .map_batches(_read_batch, batch_size=1, batch_format="pyarrow")
        # A single large row group is one read; the work on its rows, which costs far more, is spread.
        .repartition(target_num_rows_per_block=_ROWS_PER_BLOCK)
        .map_batches(examined, batch_size=None, batch_format="pyarrow")
        .materialize()
    )


def find_dropped(rows: Any, config: PrepareConfig, name: str) -> tuple[Dropped, Tally]:
    """Answer the global questions over the examined rows. Raises DataError for damage or too many bad rows."""
    tables = list(rows.select_columns(_KEY_COLUMNS).iter_batches(batch_size=None, batch_format="pyarrow"))
    damage = damage_in(tables)
    if damage is not None:
        raise DataError(damage)
    tally = Tally()
    for table in tables:
        for reason in table["reason"].to_pylist():
            tally.add(None if reason is None else Reason(reason))
    tally.check(name, config.max_reject_share)
    orders, exact, bands = _keys(tables)
    again = duplicates.repeated(exact)
    threshold = config.near_duplicate_threshold
    near = [] if threshold is None else _near(rows, orders[~again], bands[~again], threshold)
    dropped = Dropped(np.sort(orders[again]), np.array(sorted(near), dtype=np.int64))
    # Counted already as rows read; only now there is a reason not to use them.
    tally.reasons += Counter({Reason.EXACT_DUPLICATE: dropped.exact.size, Reason.NEAR_DUPLICATE: dropped.near.size})
    return dropped, tally


def settle(table: Any, dropped: Dropped) -> Iterator[Example | Reject]:
    """Yield what finally becomes of the rows of a table."""
    for order, row in decode(table):
        reason = dropped.reason(order) if isinstance(row, Example) else None
        yield Reject(row.source, row.position, reason) if reason else row


def _read_batch(batch: Any) -> Iterator[Any]:
    for item in batch.to_pylist():
        ordinal = item.pop("ordinal")
        unit = Unit(**{**item, "locations": tuple(item["locations"]), "sources": tuple(item["sources"])})
        yield from read_tables(unit, ordinal)


def _examine_batch(table: Any, *, config: PrepareConfig, tests: Any) -> Any:
    import pyarrow as pa
    import ray

    index = ray.get(tests)
    intact = table.filter(pa.compute.is_null(table["damage"]))
    damaged = table.filter(pa.compute.is_valid(table["damage"])).select(raw_schema().names).to_pylist()
    rows = [_examined(placed, config, index) for placed in decode(intact)]
    return pa.Table.from_pylist([*rows, *damaged], schema=keyed_schema())


def _examined(placed: Placed, config: PrepareConfig, tests: LeakIndex) -> dict[str, Any]:
    row = clean(placed.row, config.length) if isinstance(placed.row, Example) else placed.row
    if isinstance(row, Example) and leaks(row, tests):
        row = Reject(row.source, row.position, Reason.LEAK)
    encoded = encode(Placed(placed.order, row))
    if isinstance(row, Example):
        keys = duplicates.row_keys(row, config.near_duplicate_threshold)
        encoded |= {"exact": keys.exact, "bands": keys.bands}
    return encoded


def _keys(tables: Sequence[Any]) -> tuple[Orders, duplicates.Keys, duplicates.Keys]:
    """Return order, exact key and bands [row, band] of the rows that are still examples, in order."""
    import pyarrow as pa

    table = pa.concat_tables(tables)
    table = table.filter(pa.compute.is_null(table["reason"])).combine_chunks()
    orders = table["order"].to_numpy()
    exact = table["exact"].to_numpy()
    bands = pa.compute.list_flatten(table["bands"]).to_numpy()
    in_order = np.argsort(orders, kind="stable")
    shaped = bands.reshape(orders.size, -1) if orders.size else bands.reshape(0, 1)
    return orders[in_order], exact[in_order], shaped[in_order]


def _near(rows: Any, orders: Orders, bands: duplicates.Keys, threshold: float) -> list[int]:
    component = duplicates.components(bands)
    sizes = np.bincount(component, minlength=orders.size)
    candidates = sizes[component] > 1
    if not candidates.any():
        return []
    found = _shingles_of(rows, orders[candidates])
    dropped: list[int] = []
    for members in _members(component, candidates):
        places = orders[members]
        repeats = duplicates.near_repeats([found[int(place)] for place in places], threshold)
        dropped += [int(places[index]) for index in repeats]
    return dropped


def _members(component: npt.NDArray[np.int64], candidates: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int64]]:
    """Return the candidate rows of each component, in order."""
    rows = np.flatnonzero(candidates)
    by_component = rows[np.argsort(component[rows], kind="stable")]
    borders = np.flatnonzero(np.diff(component[by_component])) + 1
    return np.split(by_component, borders)


def _shingles_of(rows: Any, orders: Orders) -> dict[int, npt.NDArray[np.uint32]]:
    import ray

    fetched = rows.map_batches(
        partial(_shingle_batch, wanted=ray.put(orders)), batch_size=None, batch_format="pyarrow"
    ).iter_batches(batch_size=None, batch_format="pyarrow")
    found: dict[int, npt.NDArray[np.uint32]] = {}
    for table in fetched:
        for order, values in zip(table["order"].to_pylist(), table["shingles"], strict=True):
            found[order] = values.values.to_numpy()
    return found


def _shingle_batch(table: Any, *, wanted: Any) -> Any:
    import pyarrow as pa
    import ray

    orders = ray.get(wanted)
    chosen = table.filter(pa.array(np.isin(table["order"].to_numpy(), orders)))
    pairs = [
        {"order": order, "shingles": duplicates.shingles(row).tolist()}
        for order, row in decode(chosen)
        if isinstance(row, Example)
    ]
    return pa.Table.from_pylist(pairs, schema=pa.schema([("order", pa.int64()), ("shingles", pa.list_(pa.uint32()))]))


def _holds(sorted_orders: Orders, order: int) -> bool:
    at = int(np.searchsorted(sorted_orders, order))
    return at < sorted_orders.size and int(sorted_orders[at]) == order
