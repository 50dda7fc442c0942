"""Pixels -> unit vectors: encoders, baselines and whitening."""
