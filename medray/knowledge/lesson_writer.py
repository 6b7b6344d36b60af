"""Lessons to Parquet files of a fixed shape, whatever batches they come in: equal lessons give equal bytes."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from medray.knowledge.lessons import schema

ROW_GROUP_ROWS = 4096
ROW_GROUPS_PER_FILE = 64


class LessonWriter:
    """A context manager that writes `part-00000.parquet`, ... below a folder. `rows` counts what was added."""

    def __init__(
        self, folder: Path, *, row_group_rows: int = ROW_GROUP_ROWS, row_groups_per_file: int = ROW_GROUPS_PER_FILE
    ) -> None:
        self.rows = 0
        self._folder = folder
        self._group_rows = row_group_rows
        self._groups_per_file = row_groups_per_file
        self._waiting: list[Any] = []
        self._waiting_rows = 0
        self._groups = 0
        self._file: Any = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush(self._waiting_rows)
        self._close_file()

    def add(self, table: Any) -> None:
        """Append a table of lessons."""
        self.rows += table.num_rows
        self._waiting.append(table.cast(schema()))
        self._waiting_rows += table.num_rows
        while self._waiting_rows >= self._group_rows:
            self._flush(self._group_rows)

    def _flush(self, rows: int) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        if not rows:
            return
        joined = pa.concat_tables(self._waiting).combine_chunks()
        if self._file is None:
            path = self._folder / f"part-{self._groups // self._groups_per_file:05d}.parquet"
            self._file = parquet.ParquetWriter(path, schema(), compression="zstd")
        self._file.write_table(joined.slice(0, rows), row_group_size=rows)
        self._waiting, self._waiting_rows = [joined.slice(rows)], self._waiting_rows - rows
        self._groups += 1
        if self._groups % self._groups_per_file == 0:
            self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
