"""What a cluster's processes import of subprobe first: light, for a scheduler looks into all that it hands on.

With the heavy rooms here, a scheduler would import torch and Tiled, and stand still meanwhile.
"""

import pickle
import platform
from typing import Any

from services.catalog.provenance import software_versions

_MUST_AGREE = ("subprobe", "numpy", "numba", "torch")


def run_pickled(job: bytes) -> Any:
    """Do what `services.reconstruction.worker_task.run_task` is given, pickled: its arguments in a tuple."""
    from services.reconstruction.worker_task import run_task

    return run_task(*pickle.loads(job))


def software() -> dict[str, str]:
    """What must be the same wherever slabs are made."""
    versions = software_versions()
    return {"python": platform.python_version()} | {name: versions[name] for name in _MUST_AGREE}
