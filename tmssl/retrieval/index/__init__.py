"""Vectors -> nearest neighbours: exact and approximate indexes."""
