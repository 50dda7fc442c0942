"""Which image the path or number of a label means."""
