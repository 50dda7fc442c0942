"""The engine: data, training, retrieval and the records of a run."""
