"""Who may have how many calls open: counted before gRPC reads a byte of a message.

A handler of one message is called once gRPC has all of it: until then gRPC would hold as many unfinished ones as there
are calls, of anybody who has a certificate. So every method is served as one of many messages, of which the gate takes
what the method has, once the call is counted. On the wire there is no difference.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio

from fedglmm_coordinator.limits import CALLS_OF_A_SITE
from fedglmm_secure.wire.limits import CALL_SECONDS

Handler = Any
"""grpc.RpcMethodHandler, of whose fields the stubs know little."""
Requests = AsyncIterator[Any]
Context = grpc.aio.ServicerContext[Any, Any]


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Lets in ``CALLS_OF_A_SITE`` calls of each party, whatever their number of connections."""

    def __init__(self, party: Callable[[Context], str]) -> None:
        """``party`` names whose a call is; all that it cannot name are one."""
        self._party = party
        self._calls: Counter[str] = Counter()

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        """The handler of a method, behind the gate; none for a method that does not exist."""
        handler = await continuation(details)
        if handler is None:
            return None
        serve = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

        async def behind(requests: Requests, context: Context) -> None:
            party = self._party(context)
            if self._calls[party] >= CALLS_OF_A_SITE:
                whose = f"site {party}" if party else "whoever is no site of the study"
                await context.abort(
                    grpc.StatusCode.UNAVAILABLE,
                    f"{whose} has {CALLS_OF_A_SITE} calls open already; a site has one at a time",
                )
            with self._counted(party):
                given = requests if handler.request_streaming else await _only(requests, context)
                answer = serve(given, context)
                if inspect.isasyncgen(answer):
                    async for each in answer:
                        await context.write(each)
                elif (one := await answer) is not None:
                    await context.write(one)

        return grpc.stream_stream_rpc_method_handler(
            behind,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    @contextlib.contextmanager
    def _counted(self, party: str) -> Iterator[None]:
        self._calls[party] += 1
        try:
            yield
        finally:
            self._calls[party] -= 1


async def _only(requests: Requests, context: Context) -> Any:
    """The one message of a call, which must arrive within the time that a call has."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            async for message in requests:
                return message
    except TimeoutError:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"no message arrived within {CALL_SECONDS:g} s")
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call has no message")
    return None
