"""What is known of a recovered probe, in words and plain numbers."""

from typing import Any

from models.ptychography.recover import Recovery


def summary(found: Recovery) -> str:
    """The probe in one line."""
    height_nm, width_nm = found.probe.fwhm_nm()
    source = ""
    if any(found.source_fwhm_nm):
        source = f", source {found.source_fwhm_nm[0]:.0f} x {found.source_fwhm_nm[1]:.0f} nm"
    return (
        f"probe {height_nm:.1f} x {width_nm:.1f} nm FWHM (y, x), {found.model}{source}, {len(found.probe.modes)} modes"
        f"; held-out deviance {found.deviance:.2f}, halves differ by {found.halves_difference:.1%}, "
        f"structure {found.structure_rad:.2f} rad; centred by {found.shift_px[0]:+.2f}, {found.shift_px[1]:+.2f} px"
    )


def told(found: Recovery) -> dict[str, Any]:
    """What is known of a recovered probe, in plain numbers and words."""
    return {
        "reliable": found.reliable,
        "warnings": list(found.warnings),
        "model": found.model,
        "fwhm_nm": [float(width) for width in found.probe.fwhm_nm()],
        "mode_power": [float(share) for share in found.probe.mode_power()],
        "source_fwhm_nm": list(found.source_fwhm_nm),
        "held_out_deviance": found.deviance,
        "trials": dict(found.trials),
        "starts": {f"{defocus:+g} rad": deviance for defocus, deviance in found.starts.items()},
        "halves_transfer_difference": found.halves_difference,
        "object_structure_rad": found.structure_rad,
        "object_scattered_share": found.scattered_share,
        "haze_photons": found.haze,
        "centred_by_px": list(found.shift_px),
        "position_shift_px": found.position_shift_px,
    }
