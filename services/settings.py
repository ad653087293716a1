"""One settings tree: command line over ``SUBPROBE_*`` over YAML over defaults, built once in `services.cli`."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from services.identity.api_key import ApiKey


class _Room(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TiledSettings(_Room):
    """Where the catalogue is and how to get in."""

    uri: HttpUrl = Field(HttpUrl("http://127.0.0.1:8000"), description="Root of the Tiled server")
    api_key: SecretStr = Field(SecretStr(""), description="Tiled API key of this process; never logged")
    api_key_file: Path | None = Field(
        None, description="File that holds the API key instead; read again when it changes, so that keys can rotate"
    )
    public_uri: HttpUrl | None = Field(
        None, description="Root of Tiled as people's browsers reach it; the same as uri unless set"
    )

    @model_validator(mode="after")
    def _check_one_key(self) -> "TiledSettings":
        if self.api_key.get_secret_value() and self.api_key_file is not None:
            raise ValueError("api_key and api_key_file are both set: set one of them")
        return self

    @property
    def key(self) -> ApiKey:
        """The key to connect with."""
        return ApiKey(self.api_key.get_secret_value(), self.api_key_file)


class LogSettings(_Room):
    """How processes that run for long tell what happens; others write for people."""

    format: Literal["text", "json"] = Field("text", description="text for people; json: an object a line")


class WorkerSettings(_Room):
    """The inference worker."""

    name: str = Field("worker-1", description="Name in status and logs")
    enhancer: str = Field(
        "unrolled",
        description="Of coarse maps: unrolled (a network), lmmse, bicubic, ..., or a .safetensors file",
    )
    scale: PositiveInt = Field(4, le=16, description="Fine pixels per coarse pixel, along each axis")
    device: str = Field("cpu", description="torch device of the enhancer: cpu, cuda, cuda:1")
    threads: PositiveInt = Field(1, description="CPU threads; the scan must never wait for the worker")
    sweep_s: PositiveFloat = Field(10.0, description="How often the catalogue is listed for what the stream missed")
    lease_s: PositiveFloat = Field(
        30.0, description="Another worker that gave no sign of life for so long is dead: its work is taken over"
    )
    monitor_host: str = Field("127.0.0.1", description="Address that /metrics, /healthz and /readyz listen on")
    monitor_port: int | None = Field(None, ge=0, le=65535, description="Their port; off unless set")
    silence_s: PositiveFloat = Field(
        900.0, description="/healthz fails after so long without a sign of life; no projection may take longer"
    )


def _compute(where: str) -> str:
    if where != "in-process" and not re.fullmatch(r"tcp://[^\s/:@]+:\d{1,5}", where):
        raise ValueError(
            f"compute is {where!r}: pass in-process, or the address of a Dask scheduler as it prints it, tcp://host:port"
        )
    return where


class ReconstructionSettings(_Room):
    """The reconstruction service."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8001, ge=0, le=65535, description="Port to listen on")
    database_uri: str = Field("sqlite:///subprobe-jobs.db", description="SQLAlchemy URI of the job table")
    threads: PositiveInt = Field(1, description="CPU threads of one reconstruction")
    compute: Annotated[str, AfterValidator(_compute)] = Field(
        "in-process",
        description="Where slabs are reconstructed: in-process, or a Dask cluster by its scheduler, tcp://host:port",
    )
    memory_gb: PositiveFloat | None = Field(
        None, description="Jobs that take more are refused; unless set, what the machine has available"
    )


class BeamlineSettings(_Room):
    """The simulated beamline of `subprobe shell` and `subprobe demo`."""

    specimen: str = Field("zn-mn-cathode", description="Specimen in the beam: see models/phantoms/specimens.py")
    seed: int = Field(20240125, ge=0, description="Of the specimen and of the counting noise")
    access_tags: tuple[str, ...] = Field(
        (), description="Whose runs are taken: names of proposals, where the Tiled server keeps them apart"
    )
    time_scale: float = Field(1.0, ge=0, description="1: real time; 0.1: ten times faster; 0: as fast as it computes")


class Settings(BaseSettings):
    """All of subprobe's settings."""

    model_config = SettingsConfigDict(
        env_prefix="SUBPROBE_", env_nested_delimiter="__", frozen=True, extra="forbid", yaml_file=None
    )

    folder: Path = Field(Path("subprobe-data"), description="Where the embedded stack keeps its data, logs and keys")
    log: LogSettings = LogSettings()
    tiled: TiledSettings = TiledSettings()
    worker: WorkerSettings = WorkerSettings()
    reconstruction: ReconstructionSettings = ReconstructionSettings()
    beamline: BeamlineSettings = BeamlineSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line (init) over environment over YAML over defaults."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def load_settings(yaml_file: Path | None, overrides: dict[str, Any]) -> Settings:
    """Build the settings of one process.

    Args:
        yaml_file: optional file; a missing one is an error.
        overrides: nested values from the command line, for example ``{"worker": {"scale": 4}}``.

    Raises:
        FileNotFoundError: yaml_file does not exist.
        pydantic.ValidationError: a value is wrong; it says which and what is allowed.
    """
    if yaml_file is not None and not yaml_file.is_file():
        raise FileNotFoundError(f"no settings file at {yaml_file}: pass an existing YAML file to --config")
    configured = type(
        "Settings",
        (Settings,),
        {"model_config": SettingsConfigDict(**(Settings.model_config | {"yaml_file": yaml_file}))},
    )
    settings = configured(**overrides)
    assert isinstance(settings, Settings)
    return settings
