"""deploy/Dockerfile: linted, pinned to what was tested, nobody root; the Tiled image holds what it imports of ours."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from compose_file import ROOT, compose_document

DOCKERFILE = ROOT / "deploy/Dockerfile"
# A stage: where it comes from, what it is called, what it says.
STAGES = re.findall(r"^FROM (\S+) AS (\w+)$(.*?)(?=^FROM |\Z)", DOCKERFILE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
TARGETS = ("tiled", "subprobe", "cuda", "tomopy")


def locked(name: str) -> str:
    """Version of a package in constraints.txt."""
    found = re.search(rf"^{name}==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1]


def stage(name: str) -> tuple[str, str]:
    """Base and text of a stage."""
    return next((base, text) for base, called, text in STAGES if called == name)


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    linted = subprocess.run([hadolint, "--failure-threshold", "warning", DOCKERFILE], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout


def test_every_base_is_pinned_to_a_full_version() -> None:
    outside = [base for base, _, _ in STAGES if base not in {called for _, called, _ in STAGES}]
    assert outside
    assert all(re.search(r":\d+\.\d+\.\d+(-|$)", base) for base in outside), outside


def test_tiled_is_the_version_that_was_tested() -> None:
    base, text = stage("tiled")
    assert base == f"ghcr.io/bluesky/tiled:{locked('tiled')}"
    assert f"tiled=={locked('tiled')}" in text


@pytest.mark.parametrize("name", TARGETS)
def test_no_target_runs_as_root_or_unwatched(name: str) -> None:
    _, text = stage(name)
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == "10001:10001"
    assert "HEALTHCHECK " in text


def test_compose_builds_targets_that_exist() -> None:
    services = compose_document()["services"].values()
    assert {service["build"]["target"] for service in services if "build" in service} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_copied_exists_and_is_sent_to_the_builder(name: str) -> None:
    sent = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", stage(name)[1], re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert any(source == path or source.startswith(f"{path}/") for path in sent), source


def test_the_tiled_image_holds_all_of_ours_that_its_application_imports() -> None:
    copied = {source for line in re.findall(r"^COPY (services/.+) \S+$", stage("tiled")[1], re.MULTILINE)
              for source in line.split()}  # fmt: skip
    assert "services/catalog/server.py" in copied
    for source in copied:
        for node in ast.walk(ast.parse((ROOT / source).read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            ours = {name for name in names if name.split(".")[0] in ("models", "plans", "services")}
            assert {f"{name.replace('.', '/')}.py" for name in ours} <= copied, source
