"""What `jobs.device_map` can be told: a model, how its weights are kept, a typical request, devices."""

from typing import Literal, Self

from pydantic import Field, model_validator

from medray.compression.placement.blocks import Workload
from medray.compression.placement.devices import DeviceConfig, LinkConfig
from medray.config import Config


class DeviceMapConfig(Config):
    """Place a model's blocks on devices: the fastest placement that fits, as an accelerate device map."""

    model: str | None = None  # hub id, folder or artifact; a folder with just config.json, or that file, will do
    dtype: Literal["float16", "bfloat16", "float32"] = "float16"  # of weights, activations and KV cache
    format: str | None = None  # bitsandbytes, gguf or compressed-tensors: weights as the plan has them
    plan: str | None = None  # plan.json; None: the paper's plan
    workload: Workload = Workload()

    devices: tuple[DeviceConfig, ...] = ()  # none: this machine, measured
    links: tuple[LinkConfig, ...] = ()
    cpu_computes: bool = False  # beside GPUs; such a map needs placement.dispatch to load
    time_limit_s: float = Field(default=60.0, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.model is None:
            raise ValueError("expected model, got none: --set model=NAME")
        if self.plan is not None and self.format is None:
            raise ValueError("plan: expected a format to count it in, got none: --set format=bitsandbytes")
        if self.links and not self.devices:
            raise ValueError("links: expected devices beside them, got none")
        return self
