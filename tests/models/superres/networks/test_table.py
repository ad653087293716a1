import json
from dataclasses import asdict

import pytest
import torch

from models.superres.networks.table import NETWORKS, build


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_built_again_from_its_own_config_as_json(name: str) -> None:
    with torch.device("meta"):
        network = build(name, {})
        again = build(name, json.loads(json.dumps(asdict(network.config))))
    assert {key: weight.shape for key, weight in network.state_dict().items()} == {
        key: weight.shape for key, weight in again.state_dict().items()
    }


def test_an_unknown_network_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="there is no network 'srcnn': choose one of dual_branch, rdn, residual"):
        build("srcnn", {})


@pytest.mark.parametrize("name", NETWORKS)
def test_an_unknown_field_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"Config has no chanels: choose among .*channels"):
        build(name, {"chanels": 64})
