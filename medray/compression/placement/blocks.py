"""The cost of a decoder block by block: bytes kept, bytes read, floating-point operations, KV cache. Pure arithmetic.

A model is a chain: the embedding, the decoder layers, the head (the final norm is counted with it). Per block and phase
the work is what the roofline model needs: operations and bytes read. Sliding windows are ignored, so the cache of a
model that has one is over-estimated, never under-estimated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from pydantic import Field

from medray.compression.architecture import Architecture, Weight
from medray.config import Config

Kind = Literal["embedding", "layer", "head"]
ModuleBytes = Callable[[Sequence[Weight]], int]  # bytes that the weights of one module take in their container


class Workload(Config):
    """A typical request, and how much its two waiting times count. Tokens are per sequence.

    Without `per_token_weight` the objective is the seconds of the whole request.
    """

    prompt_tokens: int = Field(default=512, ge=1)
    answer_tokens: int = Field(default=256, ge=1)
    batch: int = Field(default=1, ge=1)  # sequences at a time
    first_token_weight: float = Field(default=1.0, ge=0)
    per_token_weight: float | None = Field(default=None, ge=0)  # None: answer_tokens

    @property
    def token_weight(self) -> float:
        """How often the time per token counts in the objective."""
        return float(self.answer_tokens) if self.per_token_weight is None else self.per_token_weight

    @property
    def context_tokens(self) -> int:
        """Tokens that the KV cache must hold for one sequence."""
        return self.prompt_tokens + self.answer_tokens


@dataclass(frozen=True)
class Work:
    """What one phase asks of a block: floating-point operations, and bytes read where the weights are resident."""

    flops: float
    bytes: float


@dataclass(frozen=True)
class Block:
    """One piece that is placed as a whole.

    `weight_bytes` are kept at home; `stream_bytes` are copied at every forward when home is not where it is computed,
    `leaf_bytes` is the largest module among them and `leaves` their number. `kv_bytes` is the cache of a full context.
    """

    name: str
    kind: Kind
    weight_bytes: int
    stream_bytes: int
    leaf_bytes: int
    leaves: int
    kv_bytes: int
    prefill: Work
    decode: Work


@dataclass(frozen=True)
class Chain:
    """A model as it is placed. `tied`: embedding and head share one table, so one place.

    Bytes that travel between two neighbours on different devices: `prompt_bytes` in the prefill, `token_bytes` in a
    decode step, `logits_bytes` from the head back to the embedding in both. `activation_bytes`: working memory of every
    device that computes.
    """

    blocks: tuple[Block, ...]
    tied: bool
    prompt_bytes: int
    token_bytes: int
    logits_bytes: int
    activation_bytes: int
    workload: Workload

    @property
    def groups(self) -> tuple[tuple[Block, ...], ...]:
        """Runs of consecutive blocks that cost the same: what the programme counts instead of telling apart."""
        return tuple(tuple(run) for _, run in groupby(self.blocks, key=lambda block: replace(block, name="")))


def chain(model: Architecture, workload: Workload, module_bytes: ModuleBytes, activation_width: int) -> Chain:
    """Lay a model out as a chain. `activation_width` is the bytes of one activation or cache element."""
    modules = _modules(model)
    sizes = _Sizes.of(modules)
    build = _Builder(model.tied, workload, module_bytes, activation_width, sizes)
    names = list(dict.fromkeys(".".join(name.split(".")[:3]) for name in modules if name.startswith("model.layers.")))
    layers = [build.layer(name, {m: w for m, w in modules.items() if m.startswith(f"{name}.")}) for name in names]
    positions = workload.batch * activation_width
    return Chain(
        blocks=(build.embedding(modules), *layers, build.head(modules)),
        tied=model.tied,
        prompt_bytes=positions * workload.prompt_tokens * sizes.hidden,
        token_bytes=positions * sizes.hidden,
        logits_bytes=positions * sizes.vocabulary,
        # residual and its norm; gate, up and their product: no attention scores, the kernels are fused
        activation_bytes=positions * workload.prompt_tokens * (2 * sizes.hidden + 3 * sizes.ffn),
        workload=workload,
    )


@dataclass(frozen=True)
class _Sizes:
    hidden: int
    vocabulary: int
    query: int  # heads x head dimension
    key: int  # KV heads x head dimension
    ffn: int

    @classmethod
    def of(cls, modules: Mapping[str, Sequence[Weight]]) -> "_Sizes":
        vocabulary, hidden = modules["model.embed_tokens"][0].shape
        rows = {name: modules[f"model.layers.0.{name}"][0].shape[0] for name in _SIZED}
        query, key, ffn = (rows[name] for name in _SIZED)
        return cls(hidden=hidden, vocabulary=vocabulary, query=query, key=key, ffn=ffn)


_SIZED = ("self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj")


@dataclass(frozen=True)
class _Builder:
    tied: bool
    workload: Workload
    module_bytes: ModuleBytes
    width: int
    sizes: _Sizes

    def embedding(self, modules: Mapping[str, Sequence[Weight]]) -> Block:
        """A table of which a row a token is read."""
        table = self.module_bytes(modules["model.embed_tokens"])
        row = self.workload.batch * self.sizes.hidden * self.width
        prefill = Work(0, row * self.workload.prompt_tokens)
        return Block("model.embed_tokens", "embedding", table, table, table, 1, 0, prefill, Work(0, row))

    def layer(self, name: str, modules: Mapping[str, Sequence[Weight]]) -> Block:
        """Attention and feed-forward; a causal prompt attends to half of itself on average."""
        load, sizes = self.workload, self.sizes
        leaves = [self.module_bytes(weights) for weights in modules.values()]
        weights = sum(leaves)
        operations = 2 * sum(w.count for found in modules.values() for w in found if w.is_matrix)
        kv_token = 2 * sizes.key * self.width * load.batch
        seen = load.prompt_tokens + load.answer_tokens / 2  # the context of the middle token of an answer
        prompt, attended = load.batch * load.prompt_tokens, 4 * sizes.query
        prefill = Work(
            prompt * (operations + attended * load.prompt_tokens / 2), weights + kv_token * load.prompt_tokens
        )
        decode = Work(load.batch * (operations + attended * seen), weights + kv_token * seen)
        kv = kv_token * load.context_tokens
        return Block(name, "layer", weights, weights, max(leaves), len(leaves), kv, prefill, decode)

    def head(self, modules: Mapping[str, Sequence[Weight]]) -> Block:
        """The final norm and the output projection, of the last position alone in the prefill as well."""
        norm = self.module_bytes(modules["model.norm"])
        table = self.module_bytes(modules["model.embed_tokens" if self.tied else "lm_head"])
        kept = norm if self.tied else norm + table
        work = Work(2 * self.workload.batch * self.sizes.hidden * self.sizes.vocabulary, norm + table)
        return Block("lm_head", "head", kept, norm + table, max(norm, table), 2, 0, work, work)


def _modules(model: Architecture) -> dict[str, list[Weight]]:
    found: dict[str, list[Weight]] = {}
    for weight in model.weights:
        found.setdefault(weight.module, []).append(weight)
    return found
