"""The RunEngine with its devices, writing into Tiled."""
