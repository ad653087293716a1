import pytest

from services.catalog.client import Catalog, connect, wait_for_tiled
from services.catalog.records import CatalogError, CatalogUnreachableError


@pytest.mark.usefixtures("catalog")
def test_connecting_creates_the_three_trees_once(tiled_server):
    with connect(tiled_server.uri + "/api/v1?api_key=ignored", tiled_server.api_key) as again:
        assert sorted(again.root) == ["probes", "processed", "raw"]
        assert [(spec.name, spec.version) for spec in again.raw.specs] == [("CatalogOfBlueskyRuns", "3.0")]
        assert [spec.name for spec in again.processed.specs] == []


def test_an_absent_server_is_told_at_once_with_what_to_do():
    with pytest.raises(CatalogUnreachableError, match="subprobe up"):
        connect("http://127.0.0.1:9", "key")
    with pytest.raises(CatalogUnreachableError, match="SUBPROBE_TILED__URI"):
        wait_for_tiled("http://127.0.0.1:9", timeout_s=0.2)


def test_a_wrong_key_is_refused_without_being_shown(tiled_server):
    with pytest.raises(CatalogError, match="SUBPROBE_TILED__API_KEY") as refused:
        connect(tiled_server.uri, "verysecretkey")

    assert "verysecretkey" not in str(refused.value)
    assert not isinstance(refused.value, CatalogUnreachableError)


def test_a_connection_does_not_show_its_key(catalog: Catalog):
    assert catalog.api_key not in repr(catalog)
