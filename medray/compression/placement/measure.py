"""What this machine does with this model's layers, measured: the figures of a `DeviceConfig` instead of the table's.

A layer's time is the difference between models of six and of two random layers, so that embedding, head and the loop
cancel out; what a layer costs without any size is that of a layer of 64 dimensions. Reading from the drive is measured
through accelerate itself: layers dispatched to disk against the same layers in memory. Times are the least of several,
taken in turns: on a shared machine everything else measures the others.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medray.compression.architecture import architecture
from medray.compression.placement.blocks import Block, Workload, chain
from medray.compression.placement.devices import DeviceConfig
from medray.compression.placement.encoding import WIDTHS, float_bytes

_SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
_SMALL |= {"head_dim": 16}
_DROPPED = {"architectures", "dtype", "torch_dtype", "bos_token_id", "eos_token_id", "pad_token_id", "layer_types"}
_VOCABULARY = 256
_FREE_SHARE = 0.9  # of free memory that a model may take
_FEW, _MANY = 2, 6  # layers
_ROUNDS, _BUDGET_S = 25, 8.0  # of one comparison; at least three rounds whatever they take
_LEAST_S = 1e-6


def measured_machine(config_json: Mapping[str, Any], workload: Workload, dtype: str) -> tuple[DeviceConfig, ...]:
    """Measure every GPU, the CPU and the drive of temporary files. Raises ModelError."""
    import psutil
    import torch

    needed = WIDTHS[dtype] * architecture(config_json).count
    free = int(_FREE_SHARE * psutil.virtual_memory().available)
    bench = Bench(config_json, workload, dtype)
    gpus = [bench.gpu(index) for index in range(torch.cuda.device_count())]
    return (*gpus, bench.computing("cpu", "cpu", free), bench.disk(cold=needed > free))


@dataclass(frozen=True)
class Bench:
    """The measurements of one model's layers."""

    config_json: Mapping[str, Any]
    workload: Workload
    dtype: str

    def computing(self, name: int | str, torch_name: str, free: int) -> DeviceConfig:
        """Fit overhead, bandwidth and throughput to three times: an empty layer, a decode step, a prefill."""
        prompt = self.workload.prompt_tokens
        block = self._block()
        empty = _layer_s(self._config(small=True), self.dtype, torch_name, tokens=1, past=prompt)
        decode = _layer_s(self._config(), self.dtype, torch_name, tokens=1, past=prompt)
        prefill = _layer_s(self._config(), self.dtype, torch_name, tokens=prompt, past=0)
        return DeviceConfig(
            name=name,
            memory_gb=free / 1e9,
            reserve_gb=0.0,
            tflops=block.prefill.flops / max(prefill - empty, _LEAST_S) / 1e12,
            gb_per_s=block.decode.bytes / max(decode - empty, _LEAST_S) / 1e9,
            overhead_us=1e6 * empty,
        )

    def gpu(self, index: int) -> DeviceConfig:
        """A CUDA device, and the rate at which ordinary host memory is copied to it."""
        import torch

        free, _ = torch.cuda.mem_get_info(index)
        block = self._block()
        small, large = (_copy_s(index, count) for count in (4096, block.leaf_bytes))
        rate = block.leaf_bytes / max(large - small, _LEAST_S)
        link = {"link_gb_per_s": rate / 1e9, "link_us": 1e6 * small}
        return self.computing(index, f"cuda:{index}", int(_FREE_SHARE * free)).model_copy(update=link)

    def disk(self, *, cold: bool) -> DeviceConfig:
        """The drive as accelerate reads it; `cold`: with the files' pages dropped before every forward.

        A file's index is read again for every module, so what a module costs is measured with all layers in the file.
        """
        block, small = self._block(), self._config(small=True)
        empty, full = (_stream_s(config, self.dtype, _MANY, cold=cold) for config in (small, self._config()))
        rate = block.stream_bytes / max(full - empty, _LEAST_S)
        whole = _stream_s(small, self.dtype, int(self.config_json["num_hidden_layers"]), cold=cold)
        per_module = 1e6 * whole / block.leaves
        return DeviceConfig(name="disk").model_copy(update={"gb_per_s": rate / 1e9, "overhead_us": per_module})

    def _block(self) -> Block:
        one = self.workload.model_copy(update={"batch": 1, "answer_tokens": 1})  # as it is run here
        model = architecture(self.config_json)
        return chain(model, one, float_bytes(self.dtype), WIDTHS[self.dtype]).blocks[1]

    def _config(self, *, small: bool = False) -> dict[str, Any]:
        kept = {key: value for key, value in self.config_json.items() if key not in _DROPPED}
        return kept | {"vocab_size": _VOCABULARY, "tie_word_embeddings": True} | (_SMALL if small else {})


def _layer_s(config: Mapping[str, Any], dtype: str, device: str, *, tokens: int, past: int) -> float:
    """Return the seconds of one layer on `tokens` new tokens after `past` cached ones."""
    models = [_random(config, layers, dtype).to(device) for layers in (_FEW, _MANY)]
    few, many = least([forward(model, tokens, past) for model in models])
    return max((many - few) / (_MANY - _FEW), _LEAST_S)


def _stream_s(config: Mapping[str, Any], dtype: str, layers: int, *, cold: bool) -> float:
    """Return the seconds that copying one of `layers` layers from the drive adds to a forward."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _random(config, layers, dtype).save_pretrained(folder)
        os.sync()
        before = drop_pages(folder) if cold else None
        models = [_dispatched(folder, layers, place, dtype) for place in ("cpu", "disk")]
        resident, streamed = least([forward(model, 1, 0, before=before) for model in models])
    return max((streamed - resident) / layers, _LEAST_S)


def _dispatched(folder: Path, count: int, place: str, dtype: str) -> Any:
    from transformers import AutoModelForCausalLM

    from medray.models import torch_dtype

    rest = dict.fromkeys(("model.embed_tokens", "model.rotary_emb", "model.norm", "lm_head"), "cpu")
    layers = {f"model.layers.{index}": place for index in range(count)}
    options = {"dtype": torch_dtype(dtype), "use_safetensors": True, "trust_remote_code": False}
    return AutoModelForCausalLM.from_pretrained(folder, device_map=rest | layers, **options).eval()


def drop_pages(folder: Path) -> Callable[[], None]:
    """Return what makes the next reading of a folder's weights come from the drive."""

    def drop() -> None:
        for path in folder.glob("*.safetensors"):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)

    return drop


def _random(config: Mapping[str, Any], layers: int, dtype: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    from medray.models import torch_dtype

    wanted = AutoConfig.for_model(**{**config, "num_hidden_layers": layers})
    return AutoModelForCausalLM.from_config(wanted, dtype=torch_dtype(dtype)).eval()


def forward(model: Any, tokens: int, past: int, *, before: Callable[[], None] | None = None) -> Callable[[], float]:
    """Return a function that runs one forward on `tokens` after `past` cached ones and returns its seconds."""
    import torch

    device = next((p.device for p in model.parameters() if p.device.type != "meta"), torch.device("cpu"))
    ids, context = (torch.zeros((1, count), dtype=torch.long, device=device) for count in (tokens, past))

    @torch.inference_mode()
    def run() -> float:
        cache = model(context, use_cache=True, logits_to_keep=1).past_key_values if past else None
        if before is not None:
            before()
        _wait(device)
        started = time.perf_counter()
        model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        _wait(device)
        return time.perf_counter() - started

    measured: Callable[[], float] = run
    return measured


def least(
    runs: Sequence[Callable[[], float]], *, rounds: int | None = None, budget_s: float | None = None
) -> list[float]:
    """Return the least time of each run, measured in turns after one round that warms up."""
    most, enough_s = _ROUNDS if rounds is None else rounds, _BUDGET_S if budget_s is None else budget_s
    best = [float("inf")] * len(runs)
    started = time.perf_counter()
    for number in range(most + 1):
        times = [run() for run in runs]
        if number:
            best = [min(pair) for pair in zip(best, times, strict=True)]
        if number >= 3 and time.perf_counter() - started > enough_s:
            break
    return best


def _copy_s(index: int, count: int) -> float:
    import torch

    source, device = torch.ones(count, dtype=torch.uint8), torch.device("cuda", index)

    def run() -> float:
        _wait(device)
        started = time.perf_counter()
        source.to(device)
        _wait(device)
        return time.perf_counter() - started

    return least([run])[0]


def _wait(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
