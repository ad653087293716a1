"""Where torch computes."""

import torch


def check_device(name: str) -> None:
    """Raise ValueError where there is no such device."""
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"there is no device {name!r} here: pass cpu, cuda or cuda:1 (torch: {reason})") from error
