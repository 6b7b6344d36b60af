"""The config of scoring by generated answers, from an engine of our own or any OpenAI-compatible URL."""

from typing import Final, Literal

from pydantic import Field

from medray.config import Config
from medray.evaluation.tasks.config import FewShotConfig

_VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"


class SamplingConfig(Config):
    """What is asked for of every answer. `temperature` 0 is greedy, and then the seed means nothing.

    `deadline_s` is for engines of our own; a URL has `endpoint.timeout_s`.
    """

    max_tokens: int = Field(default=1024, ge=1)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int = 0
    stop: tuple[str, ...] = Field(default=(), max_length=4)
    deadline_s: float | None = Field(default=None, gt=0)


class EndpointConfig(Config):
    """How a URL is asked. The key is read from the environment variable `key_variable`, never from here.

    `served_model` is the name sent as `model`; empty takes the first that the endpoint lists. A 429, 503 or broken
    connection is tried again up to `retries` times, after what Retry-After says (at most `wait_max_s`) or with growing
    pauses. `limit_field` is how the endpoint calls the limit of tokens; some models know only the newer name.
    """

    served_model: str = ""
    key_variable: str = Field(default="MEDRAY_API_KEY", pattern=_VARIABLE)
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    timeout_s: float = Field(default=300.0, gt=0)
    retries: int = Field(default=6, ge=0, le=20)
    pause_s: float = Field(default=0.5, gt=0)
    wait_max_s: float = Field(default=60.0, gt=0)


class JudgeEndpointConfig(EndpointConfig):
    """The same for a judge, whose key is another."""

    key_variable: str = Field(default="MEDRAY_JUDGE_API_KEY", pattern=_VARIABLE)


class JudgeConfig(Config):
    """A model that grades open answers, beside the deterministic scores; off while `url` is empty."""

    url: str = ""
    endpoint: JudgeEndpointConfig = JudgeEndpointConfig()
    samples: int = Field(default=1, ge=1, le=9)
    max_tokens: int = Field(default=512, ge=16)


class OpenAnswerConfig(Config):
    """How open answers are measured. `embedder` "" leaves semantic similarity and the scores made of it out.

    `terms` is a file of further concepts (medquad_terms.parquet, or a YAML lexicon of one's own).
    """

    embedder: str = "minilm"
    terms: str = ""
    judge: JudgeConfig = JudgeConfig()


class GenerationConfig(Config):
    """How answers are generated, by what, and how they are measured. `concurrency` bounds the requests under way."""

    repeats: int = Field(default=1, ge=1, le=64)  # orders of options; the first is the file's own
    seed: int = 0
    concurrency: int = Field(default=8, ge=1, le=256)
    few_shot: FewShotConfig = FewShotConfig()
    sampling: SamplingConfig = SamplingConfig()
    endpoint: EndpointConfig = EndpointConfig()
    open_answers: OpenAnswerConfig = OpenAnswerConfig()
    engine: Literal["transformers", "fake"] = "transformers"
    mode: Literal["adapter", "merged"] = "merged"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")
    max_context_tokens: int | None = Field(default=None, ge=2)
