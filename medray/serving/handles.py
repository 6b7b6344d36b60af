"""Serve handles as the dispatcher's pools, and Ray's exceptions as ours."""

from collections.abc import AsyncIterator
from typing import Any

from ray.exceptions import RayTaskError
from ray.serve.exceptions import BackPressureError

from medray.errors import EngineError, PoolsUnavailable, RequestError
from medray.inference.engine import Delta, GenerationRequest


class HandleStream:
    """A streaming call of a deployment handle as a PoolStream."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        """Return the next delta; see PoolStream for what it raises."""
        try:
            delta: Delta = await anext(self._response)
        except StopAsyncIteration:
            raise
        except Exception as error:  # Ray has many ways to say that a replica failed
            raise translate(error) from None
        return delta

    def cancel(self) -> None:
        """Cancel the call on the replica."""
        self._response.cancel()


class HandlePool:
    """A pool behind its deployment handle."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle.options(stream=True)

    def stream(self, request: GenerationRequest) -> HandleStream:
        """Start generating."""
        return HandleStream(self._handle.generate.remote(request))


def translate(error: BaseException) -> RequestError | EngineError:
    """Return our error for what a handle raised.

    A RayTaskError also is an instance of its cause's class, but its message is the replica's traceback: only the cause
    may speak to a client.
    """
    while isinstance(error, RayTaskError) and error.cause is not None and error.cause is not error:
        error = error.cause
    if isinstance(error, RequestError):
        return RequestError(str(error), status=error.status, code=error.code, param=error.param)
    if isinstance(error, BackPressureError):
        return PoolsUnavailable("the pool's queue is full")
    if isinstance(error, EngineError):
        return EngineError(str(error))
    return EngineError(f"the pool failed ({type(error).__name__})")
