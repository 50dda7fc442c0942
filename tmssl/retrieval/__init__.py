"""Embedding, search and scores."""
