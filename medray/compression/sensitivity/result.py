"""A finished sensitivity analysis: figures per projection and bits, attention per head, and both as heat maps. Data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from medray.compression.plan import Bits
from medray.compression.sensitivity.attention import AttentionShare
from medray.compression.sensitivity.probe import Rise


@dataclass(frozen=True)
class Sensitivity:
    """`rises[module][bits]`, and the attention that reaches what they were measured on."""

    container: str
    rises: Mapping[str, Mapping[Bits, Rise]]
    attention: AttentionShare
    rows: int

    def losses(self) -> dict[str, dict[int, float]]:
        """Return KL per module and bits, nats a token: what `solve.solve_plan` minimises."""
        return {module: {bits: rise.kl for bits, rise in by_bits.items()} for module, by_bits in self.rises.items()}

    def heat_map(self) -> dict[str, Any]:
        """Return plain data: layers down, projections across, KL and loss per bits; attention per layer and head."""
        layers = sorted({int(module.split(".")[2]) for module in self.rises})
        columns = list(dict.fromkeys(module.split(".", 3)[3] for module in self.rises))
        bits = sorted({count for by_bits in self.rises.values() for count in by_bits}, reverse=True)

        def grid(figure: str, count: Bits) -> list[list[float | None]]:
            cells = [[self.rises.get(f"model.layers.{at}.{name}", {}).get(count) for name in columns] for at in layers]
            return [[None if cell is None else getattr(cell, figure) for cell in line] for line in cells]

        return {
            "layers": layers,
            "projections": columns,
            "kl": {str(count): grid("kl", count) for count in bits},
            "kl_se": {str(count): grid("kl_se", count) for count in bits},
            "loss": {str(count): grid("loss", count) for count in bits},
            "attention": asdict(self.attention),
        }

    def record(self) -> dict[str, Any]:
        """Return everything as plain data, for a file beside the plan."""
        tokens = next((sum(rise.tokens) for by_bits in self.rises.values() for rise in by_bits.values()), 0)
        return {"container": self.container, "rows": self.rows, "tokens": tokens, **self.heat_map()}
