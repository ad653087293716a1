"""Single-pixel imaging with structured illumination: element maps from patterns and one detector without pixels."""
