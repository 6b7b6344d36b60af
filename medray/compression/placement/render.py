"""A placement as the engines take it: accelerate's `device_map`, llama.cpp's layer split, vLLM's pipeline stages."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from medray.compression.placement.blocks import Chain
from medray.compression.placement.devices import Machine, Name
from medray.compression.placement.slots import CPU_COMPUTES, Slot


def device_map(chain: Chain, places: Sequence[Slot]) -> dict[str, Name]:
    """Return every module of the model with its device. Beside no GPU, what the CPU computes is plain `cpu`."""
    keys = [_key(slot, places) for slot in places]
    found: dict[str, Name] = {"model.embed_tokens": keys[0], "model.rotary_emb": _rotary(keys, places)}
    found |= {block.name: key for block, key in zip(chain.blocks[1:-1], keys[1:-1], strict=True)}
    return found | {"model.norm": keys[-1], "lm_head": keys[-1]}


def engine_settings(chain: Chain, places: Sequence[Slot], machine: Machine) -> dict[str, Any]:
    """Return what the other engines would be told; where they cannot express the placement, why."""
    return {"llama_cpp": _llama_cpp(places, machine), "vllm": _vllm(chain, places)}


def _key(slot: Slot, places: Sequence[Slot]) -> Name:
    alone = all(other.site == "cpu" for other in places)
    return "cpu" if slot.key == CPU_COMPUTES and alone else slot.key


def _rotary(keys: Sequence[Name], places: Sequence[Slot]) -> Name:
    """The rotary tables have no weights, so they are never streamed: they lie where the first block is computed."""
    for key, slot in zip(keys, places, strict=True):
        if slot.site == places[0].site and not slot.streamed:
            return key
    return keys[0]


def _llama_cpp(places: Sequence[Slot], machine: Machine) -> dict[str, Any] | str:
    """llama.cpp computes layer i on a GPU from i = layers - n_gpu_layers on, and one more means the head as well."""
    layers = [slot.site for slot in places[1:-1]]
    if any(slot.streamed for slot in places):
        return "not expressible: it computes a layer where its weights lie"
    gpus = [gpu.name for gpu in machine.gpus]
    order: list[Name] = ["cpu", *gpus]
    if layers != sorted(layers, key=order.index):
        return "not expressible: its CPU layers come first, then the GPUs in order"
    head = [places[-1].site] if layers[0] != "cpu" and places[-1].site != "cpu" else []
    split = [(layers + head).count(gpu) for gpu in gpus]
    return {"n_gpu_layers": sum(split)} | ({"tensor_split": split} if len(gpus) > 1 and any(split) else {})


def _vllm(chain: Chain, places: Sequence[Slot]) -> dict[str, Any] | str:
    """vLLM takes layers per pipeline stage: embedding with the first, head with the last."""
    stages = [(site, len(list(run))) for site, run in groupby(slot.site for slot in places[1:-1])]
    if any(slot.streamed or slot.site == "cpu" for slot in places):
        return "not expressible: it keeps whole stages on GPUs"
    if (places[0].site, places[-1].site) != (stages[0][0], stages[-1][0]) and not chain.tied:
        return "not expressible: embedding and head go with the first and the last stage"
    return {
        "pipeline_parallel_size": len(stages),
        "VLLM_PP_LAYER_PARTITION": ",".join(str(count) for _, count in stages),
        "CUDA_VISIBLE_DEVICES": ",".join(str(site) for site, _ in stages),
    }


def runs(device_map_: Mapping[str, Name]) -> list[tuple[Name, str, str]]:
    """Return a map as runs of neighbours on one device: device, first and last module."""
    groups = groupby(device_map_.items(), key=lambda item: item[1])
    listed = [(device, [name for name, _ in items]) for device, items in groups]
    return [(device, names[0], names[-1]) for device, names in listed]
