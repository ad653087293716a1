"""The networks by name."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from torch import nn

from models.superres.networks.dual_branch import DualBranch, DualBranchConfig
from models.superres.networks.rdn import Rdn, RdnConfig
from models.superres.networks.residual import Residual, ResidualConfig
from models.superres.networks.unrolled import Unrolled, UnrolledConfig


def _builder(network: Callable[[Any], nn.Module], config_type: type[Any]) -> Callable[[Mapping[str, Any]], nn.Module]:
    known = [field.name for field in fields(config_type)]

    def built(config: Mapping[str, Any]) -> nn.Module:
        unknown = [key for key in config if key not in known]
        if unknown:
            raise ValueError(f"{config_type.__name__} has no {', '.join(unknown)}: choose among {', '.join(known)}")
        return network(config_type(**config))

    return built


NETWORKS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "unrolled": _builder(Unrolled, UnrolledConfig),
    "dual_branch": _builder(DualBranch, DualBranchConfig),
    "rdn": _builder(Rdn, RdnConfig),
    "residual": _builder(Residual, ResidualConfig),
}
"""Each takes some or all fields of its config; all modules take a `Measured` and give a `Prediction`."""


def build(name: str, config: Mapping[str, Any]) -> nn.Module:
    """The network of that name with weights drawn from torch's generator: seed that first.

    Args:
        name: in `NETWORKS`.
        config: fields of its config by name, defaults for the others.

    Raises:
        ValueError: no network of that name, no field of that name, or a value that it cannot be built with.
    """
    if name not in NETWORKS:
        raise ValueError(f"there is no network {name!r}: choose one of {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name](config)
