"""The reference engine: any causal language model that `transformers` loads, on any device, one answer at a time.

A request is checked and tokenised off the event loop, waits in line for the one generating thread, and streams back.
Mode "adapter" keeps LoRA weights beside the base (a model without an adapter serves as it is, and the capabilities say
so); mode "merged" serves plain weights, folding an adapter in at load. Knows nothing of pools, Ray or HTTP.
"""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator
from typing import Any

import torch

from medray.errors import ConfigError, EngineError
from medray.inference.assembly import AnswerAssembler
from medray.inference.chat import ChatTokenizer
from medray.inference.checks import check_request, room_for_answer
from medray.inference.decoding import StepWatcher, generate, greedy_config
from medray.inference.engine import Capabilities, Delta, EngineStats, GenerationRequest, Mode
from medray.inference.meter import Meter
from medray.inference.progress import Progress
from medray.inference.worker import Job, Worker
from medray.log import event
from medray.models import ModelRef, load_model, load_tokenizer

_DEFAULT_CONTEXT_TOKENS = 4096  # a window the model has may still be more KV cache than the machine has
_SLOTS = 1


class TransformersEngine:
    """Engine over `transformers`' generate. Raises ModelError, ConfigError or CapabilityError while loading.

    `device` "auto" is CUDA where there is one; `dtype` "auto" is the best 16-bit type there, float32 on a CPU.
    `max_context_tokens` None is the model's window, at most 4096.
    """

    def __init__(
        self,
        ref: ModelRef,
        mode: Mode,
        *,
        dtype: str = "auto",
        device: str = "auto",
        max_context_tokens: int | None = None,
        note: str = "",
    ) -> None:
        device = _device(device)
        dtype = _dtype(dtype, device)
        attention = _attention(dtype, device)
        self._tokenizer = ChatTokenizer(load_tokenizer(ref), name=ref.name)
        context_tokens = _context_tokens(ref, max_context_tokens)
        self._model: Any = load_model(ref, dtype=dtype, device=device, merge=mode == "merged", attention=attention)
        self._memory_bytes = int(self._model.get_memory_footprint())
        self._end_ids = self._tokenizer.end_ids(self._model.generation_config)
        self._adapters = _adapter_names(ref, mode)
        self._capabilities = Capabilities(
            engine="transformers",
            modes=frozenset({mode}),
            max_context_tokens=context_tokens,
            precision=_precision(ref, mode, dtype),
            kernels=f"{attention} attention on {device}" + (f"; {note}" if note else ""),
        )
        self._meter = Meter(_SLOTS)
        self._worker = Worker(self._decode, self._meter, name="transformers")
        event("engine_ready", engine="transformers", mode=mode, device=device, memory_bytes=self._memory_bytes)

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        return self._capabilities

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Delta, None]:
        """Yield deltas; see the protocol. Refusals come with the first step of the iterator."""
        return self._stream(request, time.monotonic())

    def stats(self) -> EngineStats:
        """Return live figures."""
        alive = not self._worker.closed
        return self._meter.stats(alive=alive, memory_bytes=self._memory_bytes if alive else 0)

    async def aclose(self) -> None:
        """Cancel what runs and free the weights."""
        await asyncio.to_thread(self._worker.close)
        self._model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    async def _stream(self, request: GenerationRequest, called_at_s: float) -> AsyncGenerator[Delta, None]:
        if self._worker.closed:
            raise EngineError("the transformers engine is closed: start another one")
        check_request(request, self._adapters)
        prompt_ids = await asyncio.to_thread(self._tokenizer.prompt_ids, request.messages)
        job = Job(
            request=request,
            prompt_ids=prompt_ids,
            max_tokens=room_for_answer(len(prompt_ids), request.max_tokens, self._capabilities.max_context_tokens),
            deadline_at_s=None if request.deadline_s is None else called_at_s + request.deadline_s,
            ticket=self._meter.enter(),
            loop=asyncio.get_running_loop(),
        )
        deltas = self._worker.stream(job)
        try:
            async for delta in deltas:
                yield delta
        finally:
            await deltas.aclose()

    def _decode(self, job: Job) -> Delta:
        """Run in the worker's thread: generate one answer, emit its deltas, return the last."""
        progress = Progress(
            AnswerAssembler(self._tokenizer.decode, job.request.stop),
            prompt_tokens=len(job.prompt_ids),
            max_tokens=job.max_tokens,
            end_ids=self._end_ids,
            deadline_at_s=job.deadline_at_s,
        )
        if not progress.interrupt(now_s=time.monotonic(), cancelled=job.cancelled.is_set()):
            config = greedy_config(max_tokens=job.max_tokens, end_ids=self._end_ids, pad_id=self._tokenizer.pad_id)
            generate(self._model, job, config, StepWatcher(job, progress, self._meter))
        return progress.last()


def _device(device: str) -> str:
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _dtype(dtype: str, device: str) -> str:
    if dtype != "auto":
        return dtype
    if not device.startswith("cuda"):
        return "float32"
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float16"


def _attention(dtype: str, device: str) -> str:
    """Choose flash attention where it is installed and can run, PyTorch's fused attention elsewhere."""
    from transformers.utils import is_flash_attn_2_available

    usable = device.startswith("cuda") and dtype != "float32" and is_flash_attn_2_available()
    return "flash_attention_2" if usable else "sdpa"


def _context_tokens(ref: ModelRef, wanted: int | None) -> int:
    limit = int(ref.config_json().get("max_position_embeddings") or _DEFAULT_CONTEXT_TOKENS)
    if wanted is None:
        return min(limit, _DEFAULT_CONTEXT_TOKENS)
    if not 1 <= wanted <= limit:
        raise ConfigError(f"max_context_tokens: expected 1 to {limit} (the model's window), got {wanted}")
    return wanted


def _adapter_names(ref: ModelRef, mode: Mode) -> frozenset[str]:
    if ref.kind != "adapter" or mode != "adapter":
        return frozenset()
    return frozenset(name for name in (ref.name, ref.artifact_id) if name)


def _precision(ref: ModelRef, mode: Mode, dtype: str) -> str:
    if ref.kind == "bitsandbytes":
        return f"bitsandbytes layers, {dtype} between them"
    if ref.kind == "adapter":
        return f"{dtype}, LoRA adapter " + ("beside the base" if mode == "adapter" else "merged at load")
    return f"{dtype}, base model without adapter" if mode == "adapter" else f"{dtype}, whole weights"
