"""Who belongs to which proposal, from one file, as the access tags that Tiled acts on."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from services.catalog.probes import EVERYONE
from services.identity.principals import SERVICES, IdentityError

TREES = "trees"
"""On the root and on /raw, /processed, /probes: people may look what they see in there, services may write."""
STAFF = "staff"
"""Runs of the beamline itself."""
_RESERVED = frozenset({TREES, EVERYONE, STAFF, "public"})
_LOOK = ["read:metadata"]
_READ = ["read:metadata", "read:data"]

Name = Annotated[str, StringConstraints(pattern=r"^[^\s:/]+$", max_length=255)]


class Proposals(BaseModel):
    """The file of `subprobe keys tags`.

    People are named as the authenticator of the Tiled server names them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    staff: tuple[Name, ...] = Field((), description="See every proposal")
    proposals: dict[Name, tuple[Name, ...]] = Field(default_factory=dict, description="People of each proposal")

    @field_validator("proposals")
    @classmethod
    def _check_names(cls, proposals: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if taken := sorted(_RESERVED & {name.casefold() for name in proposals}):
            raise ValueError(f"{', '.join(taken)} cannot be the name of a proposal: it means something else")
        return proposals

    @property
    def people(self) -> frozenset[str]:
        """Everybody named."""
        return frozenset(self.staff).union(*self.proposals.values())


def read_proposals(path: Path) -> Proposals:
    """Read the file.

    Raises:
        IdentityError: it is not what it should be; the message says where.
    """
    try:
        return Proposals.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, yaml.YAMLError) as error:
        raise IdentityError(f"cannot read {path}: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise IdentityError(f"{path}: {wrong}") from error


def access_tags(proposals: Proposals, services: Mapping[str, str]) -> dict[str, Any]:
    """What Tiled's tag compiler takes.

    Args:
        proposals: who sees what.
        services: uuids of the services' principals by name; each may do in every tag what its key may.
    """
    readers = {
        TREES: _users(proposals.people - set(proposals.staff), _LOOK) + _users(proposals.staff, _READ),
        EVERYONE: _users(proposals.people, _READ),
        STAFF: _users(proposals.staff, _READ),
    } | {name: _users({*people, *proposals.staff}, _READ) for name, people in proposals.proposals.items()}
    writers = [{"name": uuid, "scopes": list(SERVICES[name].scopes)} for name, uuid in sorted(services.items())]
    owners = [{"name": uuid} for uuid in sorted(services.values())]
    return {
        "tags": {tag: {"users": users + writers} for tag, users in readers.items()},
        "tag_owners": {tag: {"users": owners} for tag in readers},
    }


def _users(names: Iterable[str], scopes: list[str]) -> list[dict[str, Any]]:
    return [{"name": name, "scopes": scopes} for name in sorted(set(names))]
