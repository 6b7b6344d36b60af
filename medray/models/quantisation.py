"""What `quantisation.json` says: for each replaced module how its weight is coded. Data and file only, no torch."""

from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError, model_validator

from medray.config import Config
from medray.errors import ModelError
from medray.models.reference import QUANTISATION

OUTLIER_THRESHOLD = 6.0  # LLM.int8(): input columns above it are multiplied in 16 or 32 bits


class ModuleFormat(Config):
    """How one linear layer's or embedding's weight is coded.

    int8: one float32 scale a row. nf4, fp4: one scale per `blocksize` weights, itself 8-bit when `double`. An embedding
    takes int8 only; `outlier_threshold` then holds for the head that is tied to it.
    """

    bits: Literal[8, 4]
    code: Literal["int8", "nf4", "fp4"]
    double: bool = False
    blocksize: Literal[64, 128, 256, 512, 1024, 2048, 4096] | None = None
    outlier_threshold: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.code == "int8" and (self.bits != 8 or self.double or self.blocksize is not None):
            raise ValueError("int8 means 8 bits, one scale a row: no double, no blocksize")
        if self.code != "int8" and (self.bits != 4 or self.blocksize is None or self.outlier_threshold is not None):
            raise ValueError(f"{self.code} means 4 bits and a blocksize, without an outlier threshold")
        if self.outlier_threshold is not None and self.outlier_threshold < 0:
            raise ValueError("expected outlier_threshold >= 0")
        return self


class Quantisation(Config):
    """The modules of a model that are quantised; all others keep 16 or 32 bits."""

    format_version: Literal[1] = 1
    modules: dict[str, ModuleFormat]


def int8_format() -> ModuleFormat:
    """Return the 8-bit format that is written."""
    return ModuleFormat(bits=8, code="int8", outlier_threshold=OUTLIER_THRESHOLD)


def nf4_format(
    *,
    double: bool,
    blocksize: Literal[64, 128, 256, 512, 1024, 2048, 4096] = 64,
    code: Literal["nf4", "fp4"] = "nf4",
) -> ModuleFormat:
    """Return the 4-bit format that is written."""
    return ModuleFormat(bits=4, code=code, double=double, blocksize=blocksize)


def read_quantisation(folder: Path) -> Quantisation:
    """Read and check a folder's `quantisation.json`. Raises ModelError."""
    path = folder / QUANTISATION
    try:
        return Quantisation.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(f"{path}: {where}: {first['msg']}: damaged, or of a newer version") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {type(error).__name__}") from None
