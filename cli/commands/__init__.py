"""One file per command; heavy imports stand inside command bodies."""
