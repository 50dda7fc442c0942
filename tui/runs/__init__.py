"""The screen of all runs: list, comparison, starting and resuming."""
