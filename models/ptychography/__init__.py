"""The probe, and the object, from overlapping diffraction frames."""
