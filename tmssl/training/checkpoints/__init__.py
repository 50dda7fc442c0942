"""Checkpoints on disk: reading, writing, and the evaluations that choose the best."""
