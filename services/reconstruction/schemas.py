"""What goes over the wire: requests that forbid what they do not know, answers that link to what comes next."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    WithJsonSchema,
    model_validator,
)

from models.tomo.algorithms import ALGORITHMS
from services.catalog.records import MapSource
from services.reconstruction.jobs import JobState
from services.reconstruction.parameters import checked_parameters

_WIDEST_PX = 1e6
_SERIES_EXAMPLE = "12-ZnMn-32cyc-1f0c9a2b"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


def _known_algorithm(name: str) -> str:
    if name not in ALGORITHMS:
        raise ValueError(f"there is no algorithm {name!r}: allowed are {', '.join(sorted(ALGORITHMS))}")
    return name


def _centre(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _WIDEST_PX
    if value != "auto" and not is_number:
        raise ValueError(
            'pass "auto" or the place of the rotation axis in pixels, counted from the left edge of the grid'
        )
    return value


def _each_once(elements: list[str]) -> list[str]:
    if len(set(elements)) != len(elements):
        raise ValueError("name each element once")
    return elements


AlgorithmName = Annotated[
    str,
    AfterValidator(_known_algorithm),
    WithJsonSchema({"type": "string", "enum": sorted(ALGORITHMS), "example": sorted(ALGORITHMS)[0]}),
]
Centre = Annotated[
    Literal["auto"] | float,
    BeforeValidator(_centre),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "number", "minimum": -_WIDEST_PX, "maximum": _WIDEST_PX}]}),
]
Symbol = Annotated[str, Field(min_length=1, max_length=8)]
Elements = Annotated[list[Symbol], Field(min_length=1, max_length=64), AfterValidator(_each_once)]


class ReconstructionRequest(BaseModel):
    """A volume that is wanted."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"series": _SERIES_EXAMPLE},
                {
                    "series": _SERIES_EXAMPLE,
                    "elements": ["Zn"],
                    "source": "fitted",
                    "centre": 17.5,
                    "allow_incomplete": True,
                },
            ]
        },
    )

    series: str = Field(min_length=1, max_length=255, description="Key of the series in /processed, or its uid")
    elements: Elements | None = Field(None, description="All of the series if left out", examples=[["Zn", "Mn"]])
    source: MapSource = Field("enhanced", description="`enhanced`: fine maps; `fitted`: coarse maps, as measured")
    algorithm: AlgorithmName = Field("fbp", description="See `GET /api/v1/algorithms`")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Of the algorithm; `GET /api/v1/algorithms` tells names, ranges and defaults",
    )
    centre: Centre = Field(
        "auto",
        description="Where the rotation axis stands in the maps, in their pixels and in EDGE coordinates: 0 is the "
        "left edge of the first pixel, width/2 the exact middle. `auto` finds it from the data.",
        examples=["auto", 70.0],
    )
    allow_incomplete: StrictBool = Field(False, description="Reconstruct also where angles are still missing")

    @model_validator(mode="before")
    @classmethod
    def _name_the_allowed_fields(cls, value: Any) -> Any:
        if isinstance(value, dict) and (unknown := sorted(set(value) - set(cls.model_fields))):
            raise ValueError(
                f"there is no field {', '.join(map(repr, unknown))}: allowed are {', '.join(cls.model_fields)}"
            )
        return value

    @model_validator(mode="after")
    def _check_parameters(self) -> "ReconstructionRequest":
        checked_parameters(self.algorithm, self.parameters)
        return self


class JobLinks(_Answer):
    """Where to go from a job."""

    job: str = Field(description="This job")
    events: str = Field(description="Its progress as server-sent events")
    cancel: str = Field(description="POST here to stop it")
    series: str = Field(description="The series it reconstructs")
    browse: str | None = Field(None, description="The volume in Tiled's web client, once it is there")


class ReconstructionResult(_Answer):
    """What came out; the same numbers stand in the metadata of the volume in Tiled."""

    path: str = Field(description="Of the volumes in Tiled, one array (z, y, x) in g/cm^3 for each element")
    elements: list[str]
    shape: tuple[int, int, int] = Field(description="(z, y, x)")
    voxel_size_nm: float
    centre_px: float = Field(description="Of the rotation axis, edge coordinates")
    centre_sigma_px: float | None = Field(description="One standard deviation; null where the centre was given")
    n_angles_used: int
    excluded_angles: list[int] = Field(
        description="Indices of the angles that are missing or measured too incompletely"
    )
    filled_points: int = Field(description="Unmeasured points of the used maps, filled from their neighbours")
    angular_sampling_limit_nm: float = Field(description="Detail that the angles support everywhere (Crowther)")
    quality: dict[str, dict[str, float]] = Field(description="For each element: see services/reconstruction/README.md")


class Reconstruction(_Answer):
    """A job: what was asked for and how far it is."""

    id: str
    series: str = Field(description="Key of the series in /processed")
    state: JobState
    progress: float = Field(ge=0, le=1, description="0 to 1")
    message: str = Field(description="What is being done")
    error: str | None = Field(description="What went wrong, when failed")
    request: dict[str, Any] = Field(description="As it was accepted, defaults filled in")
    result: ReconstructionResult | None = Field(description="When succeeded")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int = Field(description="How often a process has begun it")
    links: JobLinks


class ReconstructionPage(_Answer):
    """Jobs, newest first."""

    items: list[Reconstruction]
    total: int = Field(description="How many there are in all")
    limit: int
    offset: int


class SourceDescription(_Answer):
    """One kind of maps of a series."""

    source: MapSource
    shape: tuple[int, int] = Field(description="(y, x) of a map in pixels")
    pixel_size_nm: float


class SeriesLinks(_Answer):
    """Where to go from a series."""

    series: str
    reconstructions: str
    browse: str = Field(description="The series in Tiled's web client")


class Series(_Answer):
    """An angle series in /processed and how complete it is."""

    key: str
    series_uid: str
    name: str
    sample: str
    elements: list[str]
    state: Literal["measuring", "complete"]
    n_angles: int = Field(description="Asked for")
    n_done: int = Field(description="Written")
    is_complete: bool
    missing_angles: list[int] = Field(description="Indices of the angles not yet written")
    missing_angles_deg: list[float | None] = Field(description="null where the plan did not list its angles beforehand")
    sources: list[SourceDescription]
    links: SeriesLinks


class SeriesPage(_Answer):
    """Series, newest first."""

    items: list[Series]
    total: int
    limit: int
    offset: int


class AlgorithmDescription(_Answer):
    """A reconstruction algorithm."""

    name: str
    description: str
    capabilities: dict[str, bool]
    parameters: dict[str, Any] = Field(description="JSON schema of `parameters` in a request")


class Health(_Answer):
    """Whether the service works."""

    status: Literal["ok"]


class Version(_Answer):
    """What runs here."""

    subprobe: str
    api: str
