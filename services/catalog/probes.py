"""Probes in ``/probes``: the focus that the enhancer deconvolves, viewable in a browser and readable without loss."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from services.catalog.client import (
    AccessTags,
    Catalog,
    access_tags_of,
    catalog_errors,
    create_array,
    ensure_container,
    merge_metadata,
    unless_taken,
)
from services.catalog.provenance import software_versions
from services.catalog.records import CatalogError, NotFoundError
from services.catalog.runs import access_tags_of_run

EVERYONE = "everyone"
"""Access tag of what belongs to the beamline, on a server that keeps proposals apart."""

ENERGY_TOLERANCE = 0.01
"""Relative: the focus of diffractive optics changes with energy, by less than its own error within one per cent."""


@dataclass(frozen=True)
class Measurement:
    """Of a probe that a ptychography run measured.

    Attributes:
        run_uid: of the run.
        measured_at: when that began, in seconds since the epoch.
        optics: that focused the beam.
        warnings: what speaks against it, in words; a probe with any is never taken unless it is named.
        object_phase: (Y, X) in radians, for people to look at.
    """

    run_uid: str
    measured_at: float
    optics: str
    warnings: tuple[str, ...]
    object_phase: NDArray[np.float32]


@dataclass(frozen=True)
class ProbeRecord:
    """A stored probe without its wavefield."""

    key: str
    digest: str
    """Of the content: another probe under the same key has another one."""
    energy_kev: float
    known_at: float
    """When it was measured, or else imported; seconds since the epoch."""
    optics: str | None
    """That focused the beam; None where nobody said."""
    warnings: tuple[str, ...]
    """What speaks against it."""
    run_uid: str | None
    """Of the ptychography run that measured it."""
    metadata: dict[str, Any]
    access_tags: AccessTags = frozenset()
    """Names of the groups that may see it."""

    def is_seen_by(self, access_tags: AccessTags) -> bool:
        """Whether all of these groups may see it."""
        return access_tags <= self.access_tags or EVERYONE in self.access_tags


def import_probe(
    catalog: Catalog,
    probe: Probe,
    key: str,
    lineage: Mapping[str, Any] | None = None,
    measurement: Measurement | None = None,
) -> None:
    """Store a probe as ``/probes/<key>``; storing the same one again changes nothing.

    Amplitude and phase stand apart, as float32, since the web client shows complex numbers as garbage.

    Args:
        catalog: where.
        probe: what.
        key: name in the catalogue: letters, digits, ``-`` and ``_``.
        lineage: where it comes from, for example a file, or the figures of a ptychographic reconstruction.
        measurement: of a probe that was measured here.

    Raises:
        CatalogError: the key is taken by another probe, or cannot be a key.
    """
    if not _is_key(key):
        raise CatalogError(f"probe key is {key!r}: use letters, digits, '-' and '_'")
    amplitude, phase = _polar(probe.modes)
    stored = _probe(amplitude, phase, probe.pixel_size_nm, probe.energy_kev, probe.description, probe.moved_nm)
    metadata = {
        "digest": stored.digest,
        "source_digest": probe.digest,
        "pixel_size_nm": probe.pixel_size_nm,
        "energy_kev": probe.energy_kev,
        "description": probe.description,
        "moved_nm": probe.moved_nm,
        "fwhm_nm": [float(width) for width in probe.fwhm_nm()],
        "lineage": dict(lineage or {}),
        "software": software_versions(),
        "imported_at": time.time(),
        "state": "writing",
    } | _measured(measurement)
    with catalog_errors(f"storing probe {key}"):
        node = ensure_container(catalog.probes, key, metadata, access_tags=_access_tags(catalog, measurement))
        if node.metadata["digest"] != stored.digest:
            raise CatalogError(f"probe {key} exists in /probes and is another one: choose another key")
        if node.metadata["state"] == "complete":
            return
        planes = {"amplitude": amplitude, "phase": phase, "kernel": stored.intensity()}
        if measurement is not None:
            planes["object_phase"] = measurement.object_phase
        for name, plane in planes.items():
            with unless_taken():
                create_array(node, name, plane, ("mode", "y", "x")[-plane.ndim :])
                continue
            node[name].write(plane)
        merge_metadata(node, {"state": "complete"})


def read_probe(catalog: Catalog, key: str) -> Probe:
    """Read a probe back.

    Raises:
        NotFoundError: there is none of that key.
    """
    with catalog_errors(f"reading probe {key}"):
        try:
            node = catalog.probes[key] if _is_key(key) else None
        except KeyError:
            node = None
        if node is None or node.metadata["state"] != "complete":
            raise NotFoundError(f"no probe {key!r} in /probes: store one with `subprobe probe import --key NAME FILE`")
        metadata = node.metadata
        return _probe(
            node["amplitude"].read(),
            node["phase"].read(),
            float(metadata["pixel_size_nm"]),
            float(metadata["energy_kev"]),
            str(metadata["description"]),
            float(metadata.get("moved_nm", 0.0)),
        )


def fitting_probe(
    catalog: Catalog, energy_kev: float, key: str | None = None, before: float | None = None
) -> tuple[str, Probe]:
    """The probe to use for a scan with its key: see `choose_probe`."""
    chosen = choose_probe(catalog, energy_kev, key, before)
    return chosen.key, read_probe(catalog, chosen.key)


def choose_probe(
    catalog: Catalog,
    energy_kev: float,
    key: str | None = None,
    before: float | None = None,
    optics: str | None = None,
    run_uid: str | None = None,
    access_tags: AccessTags = frozenset(),
) -> ProbeRecord:
    """Which stored probe to use for a scan: the one of that key, else by energy and optics. Reads metadata only.

    Args:
        catalog: where.
        energy_kev: of the scan; probes within one per cent fit.
        key: of the probe the scan names, if it does.
        before: start of the scan in seconds since the epoch. The newest probe measured or imported by then is taken, so
            that doing a projection again gives the same result; where there is none, the oldest one known later. None
            takes the newest of all.
        optics: of the scan; a probe that was measured with others does not fit, one of which nobody said does.
        run_uid: of the ptychography run that was taken for this scan: its probe, if it is there and to be relied on.
        access_tags: of the scan: whoever may see what comes of it must be allowed to see the probe too.

    Raises:
        NotFoundError: none fits; the message says what is needed and how to store it.
    """
    fitting = f"for {energy_kev:g} keV (within {ENERGY_TOLERANCE:.0%})" + (f" and {optics}" if optics else "")
    known = sorted(list_probes(catalog), key=lambda probe: probe.known_at)
    usable = [
        probe
        for probe in known
        if key in (None, probe.key)
        and probe.is_seen_by(access_tags)
        and abs(probe.energy_kev - energy_kev) <= ENERGY_TOLERANCE * energy_kev
        and (key is not None or optics is None or probe.optics in (None, optics))
    ]
    reliable = [probe for probe in usable if key is not None or not probe.warnings]
    if not reliable:
        wanted = f"no probe {fitting}" if key is None else f"no probe {key!r} {fitting}"
        doubted = f"; {usable[-1].key} is there, but {usable[-1].warnings[0]}" if usable else ""
        raise NotFoundError(
            f"{wanted} in /probes{doubted}: take a ptychography_scan, or store one with `subprobe probe import --key "
            "NAME FILE`" + (", or name that one in the plan (probe=)" if usable else "")
        )
    own = [probe for probe in reliable if run_uid is not None and probe.run_uid == run_uid]
    if own:
        return own[0]
    known_then = [probe for probe in reliable if before is None or probe.known_at <= before]
    return known_then[-1] if known_then else reliable[0]


def list_probes(catalog: Catalog) -> list[ProbeRecord]:
    """Every stored probe."""
    with catalog_errors("listing probes"):
        probes = catalog.probes.items()
        return [_record(key, node) for key, node in probes if node.metadata.get("state") == "complete"]


def _record(key: str, node: Any) -> ProbeRecord:
    found: dict[str, Any] = dict(node.metadata)
    return ProbeRecord(
        key=key,
        digest=str(found["digest"]),
        energy_kev=float(found["energy_kev"]),
        known_at=float(found.get("measured_at", found["imported_at"])),
        optics=found.get("optics"),
        warnings=tuple(found.get("warnings", ())),
        run_uid=found.get("run_uid"),
        metadata=found,
        access_tags=access_tags_of(node),
    )


def _access_tags(catalog: Catalog, measurement: Measurement | None) -> AccessTags:
    """A measured probe shows the specimen it was measured on; an imported one tells of the optics alone."""
    if measurement is not None:
        return access_tags_of_run(catalog, measurement.run_uid)
    return frozenset({EVERYONE}) if access_tags_of(catalog.probes) else frozenset()


def _measured(measurement: Measurement | None) -> dict[str, Any]:
    if measurement is None:
        return {}
    return {
        "run_uid": measurement.run_uid,
        "measured_at": measurement.measured_at,
        "optics": measurement.optics,
        "warnings": list(measurement.warnings),
        "reliable": not measurement.warnings,
    }


def _is_key(key: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]+", key) is not None


def _polar(modes: NDArray[np.complex64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.abs(modes).astype(np.float32), np.angle(modes).astype(np.float32)


def _probe(
    amplitude: NDArray[np.float32],
    phase: NDArray[np.float32],
    pixel_size_nm: float,
    energy_kev: float,
    description: str,
    moved_nm: float,
) -> Probe:
    # In double precision, so that the same stored numbers give the same probe, and digest, on every machine.
    modes = amplitude.astype(np.float64) * np.exp(1j * phase.astype(np.float64))
    return Probe(modes.astype(np.complex64), pixel_size_nm, energy_kev, description, moved_nm)
