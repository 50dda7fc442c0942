"""A gallery in Qdrant, an engine for more marks than one machine holds: upload, filters and search."""
