"""The screen of one run: its state, curves and findings."""
