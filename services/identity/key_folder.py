"""The folder of the keys that `subprobe keys` makes: a file for each service, for its owner's eyes only."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KeyFolder:
    """A folder of key files; secrets go into it and are never shown."""

    root: Path

    def path(self, name: str) -> Path:
        """Where the key of a service stands: the ``tiled.api_key_file`` of its processes."""
        return self.root / f"{name}.key"

    def start(self, name: str) -> str | None:
        """The first eight characters of a stored key, by which Tiled knows it; None where there is none."""
        path = self.path(name)
        return path.read_text(encoding="ascii").strip()[:8] if path.exists() else None

    def write(self, name: str, secret: str) -> None:
        """Put a key in its place in one step, so that nobody reads half of it; it keeps its owner."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.path(name)
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            if path.exists():
                os.fchown(descriptor, path.stat().st_uid, path.stat().st_gid)
            file.write(f"{secret}\n")
        partial.replace(path)
