"""A job whose volume was pruned can still be read, and says so."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
from rich.console import Console

from services.catalog.client import Catalog
from services.reconstruction.jobs import JobStore
from services.retention.plan import Removal
from services.retention.pruning import prune
from services.settings import Settings


def test_a_job_tells_that_its_volume_was_pruned_and_nothing_of_it_is_an_error_of_the_service(
    settings: Settings,
    series_key: str,
    tiled_catalog: Catalog,
    start_service: Callable[[Settings], AbstractContextManager[str]],
    wait_for: Callable[..., dict[str, Any]],
) -> None:
    request = {"series": series_key, "algorithm": "fbp", "fsc": False, "elements": ["Zn"]}
    headers = {"X-Api-Key": settings.tiled.api_key.get_secret_value()}
    with start_service(settings) as address, httpx.Client(base_url=f"{address}/api/v1", headers=headers) as api:
        job = wait_for(api, api.post("/reconstructions", json=request).json(), "succeeded")
        assert job["result"]["pruned_at"] is None
        store = JobStore(settings.reconstruction.database_uri)
        removal = Removal("volume", (series_key, "volumes", job["id"]), "old")
        assert prune(tiled_catalog, store, [removal], True, Console(file=io.StringIO()))
        store.close()

        now = api.get(f"/reconstructions/{job['id']}").json()
        assert (now["state"], now["message"]) == (
            "succeeded",
            "done; its volume was pruned since: ask for it again where it is needed",
        )
        assert now["result"]["pruned_at"] is not None
        assert now["result"]["voxel_size_nm"] == job["result"]["voxel_size_nm"]
        assert now["links"]["browse"] is now["links"]["nexus"] is None
        assert api.get("/reconstructions").json()["items"][0]["result"]["pruned_at"] is not None
        for part in ("slice/Zn/xy.png", "maximum/Zn/xz.png", "resolution/Zn.png", "nexus"):
            gone = api.get(f"/reconstructions/{job['id']}/{part}")
            assert gone.status_code == 404, part
        assert (
            "it was pruned, or never finished"
            in api.get(f"/reconstructions/{job['id']}/slice/Zn/xy.png").json()["detail"]
        )
