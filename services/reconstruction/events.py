"""A job's progress as server-sent events: every change once, the final state last."""

import threading
from collections.abc import AsyncIterator, Callable

import anyio
from anyio.to_thread import run_sync
from fastapi.sse import ServerSentEvent

from services.reconstruction.jobs import Job, JobStore
from services.reconstruction.schemas import Reconstruction

# The table is asked, not the runner: another replica may be doing the job.
_POLL_S = 0.25
_RECONNECT_MS = 2000


async def follow(
    store: JobStore, job: Job, stopping: threading.Event, view: Callable[[Job], Reconstruction]
) -> AsyncIterator[ServerSentEvent]:
    """Yield the job as it is, then at each change, until it has ended or the service stops.

    An event's name is the job's state, its id the count of changes. A client that reconnects gets the present state
    first, whatever ``Last-Event-ID`` it sends, so it misses nothing.
    """
    told = -1
    while True:
        if job.revision != told:
            told = job.revision
            yield ServerSentEvent(event=job.state, id=str(told), data=view(job), retry=_RECONNECT_MS)
        if job.is_final or stopping.is_set():
            return
        await anyio.sleep(_POLL_S)
        job = await run_sync(store.get, job.id)
