"""How good a map or a volume is, judged by the truth or by two halves of the data."""
