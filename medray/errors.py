"""Every error that medray raises on purpose.

    MedrayError                exit code 1
    +-- InputError             exit code 2: what the caller gave cannot be used
    |   +-- ConfigError        a key, a value or a contradiction in a config
    |   +-- DataError          a corpus file, its format or too many bad rows
    |   +-- ModelError         a model folder, hub id or tokenizer
    |   +-- ArtifactError      a manifest, or an output folder that is taken
    |   +-- RequestError       an HTTP request (carries its 4xx status)
    +-- CapabilityError        exit code 2: this machine or install lacks something
    +-- TrainingError          the run itself went wrong (NaN loss, no workers)
    +-- ParityError            two things that must be equal are not (merge, reload)
    +-- EngineError            generation failed
        +-- PoolsUnavailable   no pool could take the request

A message says what was expected, what was got and what to do. It never holds question or answer text, nor a
whole config: these errors reach logs and HTTP clients.
"""


class MedrayError(Exception):
    """Base of the tree."""

    exit_code = 1


class InputError(MedrayError):
    """What the caller gave cannot be used as it is."""

    exit_code = 2


class ConfigError(InputError):
    """A config key, value or combination is wrong."""


class DataError(InputError):
    """A corpus file is missing, damaged, of another format, or has too many bad rows."""


class ModelError(InputError):
    """A model or tokenizer cannot be found, read or matched."""


class ArtifactError(InputError):
    """A manifest does not validate, or an output folder is taken."""


class RequestError(InputError):
    """An HTTP request is refused.

    `status` is the 4xx code, `code` and `param` fill the OpenAI error object.
    """

    def __init__(self, message: str, *, status: int = 400, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword fields across Ray process borders."""
        return _rebuild_request_error, (str(self), self.status, self.code, self.param)


def _rebuild_request_error(message: str, status: int, code: str | None, param: str | None) -> RequestError:
    return RequestError(message, status=status, code=code, param=param)


class CapabilityError(MedrayError):
    """This machine or installation lacks a device, a kernel or an extra; the message names it."""

    exit_code = 2


class TrainingError(MedrayError):
    """A training run cannot go on."""


class ParityError(MedrayError):
    """Two results that must agree (adapter and merged logits, saved and reloaded weights) do not."""


class EngineError(MedrayError):
    """An engine failed while generating."""


class PoolsUnavailable(EngineError):  # noqa: N818 - reads as the state it reports
    """No pool could take the request; `retry_after_s` is a hint for the client."""

    def __init__(self, message: str, *, retry_after_s: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
