from pathlib import Path

import pytest

from services.identity.principals import SERVICES, IdentityError
from services.identity.proposals import Proposals, access_tags, read_proposals

SAID = Proposals(staff=("sam",), proposals={"GUP-1": ("alice", "sam"), "GUP-2": ("bob",)})
UUIDS = {name: f"uuid-of-{name}" for name in SERVICES}


def scopes(tag: str, who: str) -> list[str]:
    found = [user["scopes"] for user in access_tags(SAID, UUIDS)["tags"][tag]["users"] if user["name"] == who]
    assert len(found) <= 1
    return found[0] if found else []


def test_people_read_their_own_proposal_and_write_nowhere() -> None:
    assert scopes("GUP-1", "alice") == ["read:metadata", "read:data"]
    assert scopes("GUP-2", "alice") == []
    everywhere = {scope for tag in access_tags(SAID, UUIDS)["tags"] for scope in scopes(tag, "alice")}
    assert everywhere == {"read:metadata", "read:data"}


def test_people_may_list_the_trees_and_not_follow_their_stream() -> None:
    # Tiled's stream of a container tells of every child, whoever may see it; it asks for read:data.
    assert scopes("trees", "alice") == ["read:metadata"]


def test_staff_read_every_proposal() -> None:
    tags = access_tags(SAID, UUIDS)["tags"]
    assert all("read:data" in scopes(tag, "sam") for tag in tags)


def test_a_service_may_in_every_tag_what_its_key_may_and_only_the_reconstruction_service_deletes() -> None:
    definitions = access_tags(SAID, UUIDS)
    for tag in definitions["tags"]:
        for name, service in SERVICES.items():
            assert scopes(tag, UUIDS[name]) == list(service.scopes)
        assert {owner["name"] for owner in definitions["tag_owners"][tag]["users"]} == set(UUIDS.values())
    assert [name for name, service in SERVICES.items() if "delete:node" in service.scopes] == ["reconstruction"]
    assert [name for name, service in SERVICES.items() if "register" in service.scopes] == ["writer"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("proposals: {trees: [alice]}", "trees cannot be the name of a proposal"),
        ("proposals: {Public: [alice]}", "public cannot be the name"),
        ("proposals: {'user:alice': [alice]}", "proposals.user:alice"),
        ("people: [alice]", "people: Extra inputs"),
        ("proposals: [", "cannot read"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "proposals.yml"
    path.write_text(text)
    with pytest.raises(IdentityError, match=told):
        read_proposals(path)
