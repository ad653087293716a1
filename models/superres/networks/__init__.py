"""Networks that enhance coarse maps: the papers' and our own."""
