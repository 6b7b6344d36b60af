"""docs/placement.md as the recorded results give it."""

from collections.abc import Mapping, Sequence
from typing import Any

from medray.compression.placement import table
from medray.compression.placement.shows import rank_holds
from medray.report import markdown_table, provenance_line

_INTRODUCTION = """# Placement: which device keeps and computes which layer

`python -m jobs.device_map --set model=FOLDER --out map.json` places a model on GPUs, CPU and disk so that a typical
request is answered as fast as the cost model says it can be. It needs the model's `config.json` alone and writes a JSON
file whose `device_map` goes into `from_pretrained(..., device_map=...)` as it is. Devices are listed in
`jobs/configs/device_map.yaml`; with `devices: []` this machine is measured.

```python
from medray.compression.placement.dispatch import load_placed
from medray.models import resolve

model = load_placed(resolve(FOLDER), json.load(open("map.json"))["device_map"], dtype="float16")
```

## The model behind it

- A model is a chain: embedding, decoder layers, head (with the final norm). Each piece has bytes of weights (plain
  floats, or a plan in a container format), operations and bytes read in the prefill and per token, and a KV cache.
- A piece takes `overhead + max(operations / rate, bytes read / bandwidth)` where it is computed (roofline). Between
  neighbours on different devices a link's latency and bytes are paid, and the logits go back to the embedding.
- accelerate computes a piece on the device that the map names, except `cpu` beside GPUs, and `disk`: from there the
  weights are copied to the first GPU that the map names (the CPU if it names none) for every token. Copies cost a
  latency for each module and all bytes over drive and link, one after the other.
- A device holds the weights at home on it, the KV cache of what it computes, activations, and the largest module copied
  in. A tied head lies with its embedding. Each place takes one run of decoder layers.
- Minimised is `first_token_weight` times the time to first token plus `per_token_weight` times the time per token: by
  default the seconds of a whole request. HiGHS solves the integer programme to a gap of zero, one programme for each
  device that copies can go to, and the least of them is the answer.
- Where nothing fits the error names the bytes missing per device, the bytes that would be enough on one device alone,
  and what would fit: a shorter prompt, a smaller batch, fewer bits, a disk.
"""


def render(result: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = [
        _INTRODUCTION,
        _solver(result["solver"], result["unlike_layers"]),
        _comparison(result["accelerate"]),
        _ranking(result["five_plans"]),
        _table(),
        _LIMITS,
        "## Made by\n",
        provenance_line(result),
    ]
    return "\n".join(parts)


def _solver(rows: Sequence[Mapping[str, Any]], unlike: Sequence[Mapping[str, Any]]) -> str:
    slowest = max(row["seconds"] for row in rows)
    proven = sum(row["proven"] for row in rows)
    return (
        "## Time to solve\n\n"
        f"80 layers of a 70B model in 16 bits on 8 unlike GPUs: {proven} of {len(rows)} proven optimal, the slowest in "
        f"{slowest:.2f} s (goal: below 2 s).\n\n"
        + markdown_table(_SOLVED, [_solved(row) for row in rows])
        + "\nEqual neighbours are counted, not told apart. Layers that differ make more groups, and proofs take "
        "longer; after `time_limit_s` the best placement is returned with the gap that is left. A quarter of the "
        "layers with 8-bit feed-forward, the others with the paper's plan:\n\n"
        + markdown_table(_SOLVED, [_solved(row) for row in unlike])
    )


_SOLVED = ("case", "groups of layers", "seconds", "of them processor", "proven", "gap", "devices used")


def _solved(row: Mapping[str, Any]) -> list[object]:
    gap = f"{100 * row['gap']:.2f} %"
    proven = "yes" if row["proven"] else "no"
    times = [f"{row['seconds']:.2f}", f"{row['processor_seconds']:.2f}"]
    return [row["name"], row["groups"], *times, proven, gap, row["used"]]


def _comparison(found: Mapping[str, Any]) -> str:
    total = found["summary"]
    rows = [
        ["cases", total["cases"]],
        ["ours predicted slower than accelerate's", total["worse"]],
        ["ours proven optimal", total["proven"]],
        ["both fit, compared", total["compared"]],
        ["of these equally fast", total["equal"]],
        ["only ours fits", total["only_ours_fits"]],
        ["neither fits", total["neither_fits"]],
    ]
    return (
        "## Against accelerate's own map\n\n"
        "Random models of 4 to 40 layers on one to four unlike GPUs, a CPU and a disk, whose memory alone is often too "
        "small. `infer_auto_device_map` fills devices in order and counts weights only, so it is told less and less of "
        "the memory until its map fits under the rules above. Both maps are judged by the same prediction, which knows "
        f"nothing of the solver. accelerate's takes {total['ratio_median']:.2f} times as long in the median, "
        f"{total['ratio_90']:.2f} times at the 90th percentile, {total['ratio_largest']:.1f} times at most.\n\n"
        + markdown_table(("outcome", "cases"), rows)
    )


def _ranking(found: Mapping[str, Any]) -> str:
    rows = [
        [
            plan["name"],
            f"{1e3 * plan['predicted_s']:.1f}",
            f"{1e3 * plan['measured_s']:.1f}",
            f"{plan['measured_s'] / plan['predicted_s']:.2f}",
        ]
        for plan in sorted(found["plans"], key=lambda plan: plan["predicted_s"])
    ]
    verdict = (
        "They ran in the predicted order" if rank_holds(found) else "They did **not** all run in the predicted order"
    )
    pairs = "; ".join(f"{one} / {other}" for one, other in found["misranked"])
    return (
        "## Five plans, predicted and run\n\n"
        f"`{found['model']}` in {found['dtype']} over CPU and disk, {found['threads']} thread, a token after a prompt "
        f"of {found['prompt_tokens']}. The machine's rates were measured first, then every map was dispatched by "
        "accelerate and timed, in turns; the least time counts. The file is in the system's page cache, as it is when "
        f"a model fits in memory. {verdict}{f': {pairs}' if pairs else ''}. Load average at the end: "
        f"{found['load_average']:.1f} on a shared machine with {found['cores']} cores, so absolute times are off while "
        "others run: the ratio says how far.\n\n"
        + markdown_table(("plan", "predicted ms", "measured ms", "measured / predicted"), rows)
    )


def _table() -> str:
    rows = [
        [name, entry.memory_gb or "", entry.tflops or "", entry.gb_per_s, entry.link_gb_per_s or ""]
        for name, entry in table.DEVICES.items()
    ]
    return (
        "## The device table\n\n"
        f"Peak figures of data sheets. Predictions take {table.COMPUTE_SHARE:.0%} of the operations, "
        f"{table.BANDWIDTH_SHARE:.0%} of the memory bandwidth and {table.LINK_SHARE:.0%} of the link; a figure in the "
        f"config is taken as it is. A GPU keeps {table.GPU_RESERVE_GB:g} GB for itself unless `reserve_gb` says "
        "otherwise.\n\n" + markdown_table(("type", "memory GB", "TFLOP/s, 16 bits", "GB/s", "link GB/s"), rows)
    )


_LIMITS = """
## Limits

- Nothing here has been run on a GPU: GPU rates are the table's, and what was dispatched and timed was CPU and disk.
- One stream of tokens is planned for; stages do not overlap, and several requests at a time are a larger `batch`.
- With `cpu_computes: true` blocks in CPU memory may be computed there beside GPUs (`cpu:0` in the map). Plain
  accelerate does not dispatch that value; `load_placed` does. Such a map copies nothing from CPU or disk.
- Sliding windows are ignored: the KV cache of models that have one is over-estimated.
- llama.cpp's and vLLM's settings are printed where they can express the placement; they were not run.
"""
