"""The pixels of a catalogue, decoded once into one memory-mapped file."""
