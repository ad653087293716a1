"""The folder of an embedded stack: where everything lies, and its key."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class StackFolder:
    """Paths under one folder that the user names."""

    root: Path

    @property
    def raw(self) -> Path:
        """HDF5 files of the detectors; Tiled reads them in place."""
        return self.root / "raw"

    @property
    def logs(self) -> Path:
        """One log file a process."""
        return self.root / "logs"

    @property
    def status(self) -> Path:
        """One small JSON a process: what it does now."""
        return self.root / "status"

    @property
    def backup(self) -> Path:
        """Documents of runs that Tiled could not take."""
        return self.root / "backup"

    @property
    def stack_file(self) -> Path:
        """Process ids and addresses of the running stack."""
        return self.status / "stack.json"

    @property
    def tiled_config(self) -> Path:
        """Configuration of the embedded Tiled server."""
        return self.root / "tiled.yml"

    @property
    def jobs_uri(self) -> str:
        """SQLAlchemy URI of the reconstruction jobs."""
        return f"sqlite:///{self.root / 'jobs.db'}"

    def prepare(self) -> None:
        """Create what is missing; what is there stays."""
        for folder in (self.root, self.raw, self.logs, self.status, self.backup, self.root / "arrays"):
            folder.mkdir(parents=True, exist_ok=True)
        self.tiled_config.write_text(yaml.safe_dump(self._tiled_settings(), sort_keys=False), encoding="utf-8")

    def api_key(self) -> str:
        """The key of this stack, made at first use and readable by its owner only."""
        path = self.root / "api_key"
        if not path.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
        return path.read_text(encoding="ascii").strip()

    def _tiled_settings(self) -> dict[str, object]:
        """SQLite catalogue, DuckDB tables, in-memory stream; the key comes by environment, never by file."""
        return {
            "authentication": {"allow_anonymous_access": False},
            "catalog": {
                "uri": f"sqlite:///{self.root / 'catalog.db'}",
                "writable_storage": [str(self.root / "arrays"), f"duckdb:///{self.root / 'tables.duckdb'}"],
                "readable_storage": [str(self.raw)],
                "init_if_not_exists": True,
                "adapters_by_mimetype": {"application/x-hdf5": "services.catalog.detector_files:DetectorFileAdapter"},
            },
            "streaming_cache": {"uri": "memory", "data_ttl": 600, "seq_ttl": 2592000},
            "media_types": {
                "BlueskyRun": {"application/json-seq": "bluesky_tiled_plugins.exporters:json_seq_exporter"}
            },
        }
