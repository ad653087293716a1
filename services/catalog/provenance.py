"""What made a product: the software and its versions, as written into metadata."""

from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("subprobe", "numpy", "numba", "torch", "tiled", "xraylib")


def software_versions() -> dict[str, str]:
    """Versions of what makes the numbers; a package that was not installed as such reads ``uninstalled``."""
    return {package: _version_of(package) for package in _PACKAGES}


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "uninstalled"
