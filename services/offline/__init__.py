"""Enhancement of maps in files, without a beamline or a catalogue."""
