"""Pure science: arrays and frozen records in and out."""
