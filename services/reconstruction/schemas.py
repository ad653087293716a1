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

from models.superres.enhancers import ENHANCERS
from models.tomo.algorithms import ALGORITHMS
from services.catalog.records import MapSource
from services.reconstruction.jobs import JobState
from services.reconstruction.parameters import checked_parameters
from services.reconstruction.placement import SUM

DEFAULT_ALGORITHM = "ospml_hybrid"
"""On simulated cathodes of 30 angles (seeds 3 and 17) its volumes of enhanced maps are 1.1 to 1.3 dB above FBP's."""
_WIDEST_PX = 1e6
_SERIES_EXAMPLE = "12-ZnMn-32cyc-1f0c9a2b"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


def _known_algorithm(name: str) -> str:
    if name not in ALGORITHMS:
        raise ValueError(f"there is no algorithm {name!r}: allowed are {', '.join(sorted(ALGORITHMS))}")
    return name


def _known_enhancer(name: str) -> str:
    # Names only: a path would let a caller have any file of this machine opened.
    if name not in ENHANCERS:
        raise ValueError(f"there is no enhancer {name!r}: allowed are {', '.join(sorted(ENHANCERS))}")
    return name


def _centre(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _WIDEST_PX
    if value not in ("auto", "refine") and not is_number:
        raise ValueError(
            'pass "auto", "refine" or the place of the rotation axis in pixels, counted from the left edge of the grid'
        )
    return value


def _each_once(elements: list[str]) -> list[str]:
    if len(set(elements)) != len(elements):
        raise ValueError("name each element once")
    return elements


AlgorithmName = Annotated[
    str,
    AfterValidator(_known_algorithm),
    WithJsonSchema({"type": "string", "enum": sorted(ALGORITHMS), "example": DEFAULT_ALGORITHM}),
]
Centre = Annotated[
    Literal["auto", "refine"] | float,
    BeforeValidator(_centre),
    WithJsonSchema(
        {"anyOf": [{"enum": ["auto", "refine"]}, {"type": "number", "minimum": -_WIDEST_PX, "maximum": _WIDEST_PX}]}
    ),
]
KnownEnhancer = Annotated[
    str, AfterValidator(_known_enhancer), WithJsonSchema({"type": "string", "enum": sorted(ENHANCERS)})
]
Symbol = Annotated[str, Field(min_length=1, max_length=8)]
Elements = Annotated[list[Symbol], Field(min_length=1, max_length=64), AfterValidator(_each_once)]


class AngularRequest(BaseModel):
    """The angular enhancement: more angles than were measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reproject_to: int = Field(
        ge=2,
        le=2000,
        description="The fitted maps are reconstructed and re-projected to so many angles over the directions that "
        "were measured; each of these is enhanced, and the fine volume made from them.",
        examples=[270],
    )
    enhancer: KnownEnhancer | None = Field(
        None, description="As in the worker's settings; the one that enhanced the series if left out"
    )


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
                {
                    "series": _SERIES_EXAMPLE,
                    "algorithm": "ospml_hybrid",
                    "parameters": {"n_iterations": 20},
                    "centre": "refine",
                    "align": "jitter",
                    "align_on": "Zn",
                    "angles": {"reproject_to": 270},
                    "fsc": False,
                },
            ]
        },
    )

    series: str = Field(min_length=1, max_length=255, description="Key of the series in /processed, or its uid")
    elements: Elements | None = Field(None, description="All of the series if left out", examples=[["Zn", "Mn"]])
    source: MapSource = Field("enhanced", description="`enhanced`: fine maps; `fitted`: coarse maps, as measured")
    algorithm: AlgorithmName = Field(DEFAULT_ALGORITHM, description="See `GET /api/v1/algorithms`")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Of the algorithm; `GET /api/v1/algorithms` tells names, ranges and defaults",
    )
    centre: Centre = Field(
        "auto",
        description="Where the rotation axis stands in the maps, in their pixels and in EDGE coordinates: 0 is the "
        "left edge of the first pixel, width/2 the exact middle. `auto` finds it by the sinusoid of the centre of "
        "mass, or by the double wedge where the specimen is not wholly in view; `refine` then goes to the least "
        "reprojection residual.",
        examples=["auto", "refine", 70.0],
    )
    align: Literal["none", "jitter"] = Field(
        "none",
        description="`jitter`: the stage wobbled; shifts are found on the fitted maps by joint reprojection and every "
        "map of every element is moved, once, as it was measured",
    )
    align_on: Symbol = Field(
        SUM, description="Element that tells the shifts, the one with most signal; `sum` adds all of them up in ug/cm^2"
    )
    angles: AngularRequest | None = Field(
        None, description='`{"reproject_to": 270}`: angular enhancement; null: the measured angles as they are'
    )
    fsc: StrictBool = Field(
        True,
        description="Compare volumes of every other angle, which tells the resolution; takes as long again",
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
        if self.angles and self.source != "enhanced":
            raise ValueError("angles re-projects fitted maps and enhances them: it goes with source enhanced only")
        return self


class JobLinks(_Answer):
    """Where to go from a job."""

    job: str = Field(description="This job")
    events: str = Field(description="Its progress as server-sent events")
    cancel: str = Field(description="POST here to stop it")
    series: str = Field(description="The series it reconstructs")
    browse: str | None = Field(None, description="The volume in Tiled's web client, once it is there")
    nexus: str | None = Field(None, description="The volumes as a NeXus file, once they are there")


class HalvesResult(_Answer):
    """How two halves of the angles agree."""

    source: MapSource = Field(description="Maps of the halves; those of fitted maps tell the resolution")
    is_independent: bool = Field(
        description="False: the halves share a prior, and the figures overstate the resolution"
    )
    note: str = Field(description="To be quoted with the figures")
    pixel_size_nm: float
    half_bit: str = Field(description='Full period; "<=" where the curve never falls below: two pixels are the limit')
    one_bit: str
    one_seventh: str


class ReconstructionResult(_Answer):
    """What came out; the same numbers stand in the metadata of the volume in Tiled."""

    path: str = Field(description="Of the volumes in Tiled, one array (z, y, x) in g/cm^3 for each element")
    elements: list[str]
    shape: tuple[int, int, int] = Field(description="(z, y, x)")
    voxel_size_nm: float
    centre_px: float = Field(description="Of the rotation axis, edge coordinates")
    centre_sigma_px: float | None = Field(description="One standard deviation; null where the data do not tell")
    centre_method: str = Field("", description="How the rotation axis was found")
    centre_reason: str = Field("", description="Why so")
    largest_shift_px: float | None = Field(None, description="Of the alignment, in fitted pixels; null without it")
    resolution: dict[str, list[HalvesResult]] = Field(
        default_factory=dict, description="For each element: first the fitted maps'; empty without `fsc`"
    )
    supported_period_nm: dict[str, float] = Field(
        default_factory=dict, description="Finest period that the measured maps support, where the series tells"
    )
    memory_bytes: int | None = Field(None, description="That the job was expected to take")
    n_angles_used: int
    excluded_angles: list[int] = Field(
        description="Indices of the angles that are missing or measured too incompletely"
    )
    filled_points: int = Field(description="Unmeasured points of the used maps, filled from their neighbours")
    angular_sampling_limit_nm: float = Field(description="Detail that the angles support everywhere (Crowther)")
    quality: dict[str, dict[str, float]] = Field(description="For each element: see services/reconstruction/README.md")
    pruned_at: datetime | None = Field(None, description="When the volume was removed to make room; null: it is there")


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
    nexus: str = Field(description="Its maps as a NeXus file")


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
    is_default: bool = Field(description="Taken where a request names none")


class Health(_Answer):
    """Whether the service works."""

    status: Literal["ok"]


class Version(_Answer):
    """What runs here."""

    subprobe: str
    api: str
