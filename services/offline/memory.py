"""How much memory there is for a computation on this machine."""

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


class NotEnoughMemoryError(ValueError):
    """A computation was not begun, for it would not fit."""


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Memory that can be taken without swapping, a container's own limit included; None where nothing tells.

    Args:
        meminfo: Linux's account of the machine.
        cgroup: of the container.
    """
    limits = [amount for amount in (_of_machine(meminfo), _of_container(cgroup)) if amount is not None]
    return min(limits) if limits else None


def check_memory(needed_bytes: float, available: int | None) -> None:
    """Refuse what does not fit.

    Raises:
        NotEnoughMemoryError: more is needed than there is.
    """
    if available is not None and needed_bytes > available:
        raise NotEnoughMemoryError(
            f"this takes about {in_words(needed_bytes)} of memory and {in_words(available)} are available: cut "
            "the projections along y (slices are independent), or pass --force to go on"
        )


def in_words(n_bytes: float) -> str:
    """``1.23 GB``."""
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


def _of_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None  # no Linux
    for line in lines:
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            return int(amount.split()[0]) * 1024
    return None


def _of_container(cgroup: Path) -> int | None:
    """Version 2 of Linux's control groups; page cache that the kernel gives back counts as free."""
    try:
        most, used = ((cgroup / name).read_text().strip() for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return None if most == "max" else int(most) - int(used) + int(statistics.get("inactive_file", 0))
