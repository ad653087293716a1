"""NeXus files of series and volumes, for everybody else's software."""
