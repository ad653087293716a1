"""A client of the reconstruction service: submit a job, follow it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress

from services.errors import SubprobeError
from services.settings import Settings

_ENDED = ("succeeded", "failed", "cancelled")


class JobError(SubprobeError):
    """The reconstruction service refused or lost a job; the message is its own."""


def submit_job(settings: Settings, request: dict[str, Any]) -> dict[str, Any]:
    """POST a reconstruction; the job as the service describes it.

    Raises:
        JobError: the service is not reachable or said no, with its reason.
    """
    with _client(settings) as client:
        try:
            return _checked(client.post("/reconstructions", json=request))
        except httpx.TransportError as error:
            raise JobError(f"no reconstruction service at {client.base_url}: is the stack up? ({error})") from error


def follow_job(settings: Settings, job_id: str, console: Console) -> dict[str, Any]:
    """Show a job's progress until it ends; the ended job. Survives a restart of the service."""
    with _client(settings) as client, Progress(console=console, transient=True) as progress:
        task = progress.add_task("waiting for the reconstruction service", total=1.0)
        while True:
            try:
                for job in _job_events(client, job_id):
                    progress.update(task, completed=job["progress"], description=job["message"] or job["state"])
                job = _checked(client.get(f"/reconstructions/{job_id}"))
            except httpx.TransportError:
                progress.update(task, description="the reconstruction service does not answer; waiting")
                continue
            if job["state"] in _ENDED:
                return job


def _job_events(client: httpx.Client, job_id: str) -> Iterator[dict[str, Any]]:
    """The jobs that server-sent events carry, until the service closes the stream."""
    with client.stream("GET", f"/reconstructions/{job_id}/events", timeout=httpx.Timeout(10.0, read=60.0)) as response:
        for line in response.iter_lines():
            if line.startswith("data:"):
                job: dict[str, Any] = json.loads(line.removeprefix("data:"))
                yield job


def _client(settings: Settings) -> httpx.Client:
    reconstruction = settings.reconstruction
    return httpx.Client(
        base_url=f"http://{reconstruction.host}:{reconstruction.port}/api/v1",
        headers={"Authorization": f"Apikey {settings.tiled.key.current()}"},
        timeout=30.0,
    )


def _checked(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    if response.is_error:
        raise JobError(f"{body.get('title', response.status_code)}: {body.get('detail', '')}")
    return body
