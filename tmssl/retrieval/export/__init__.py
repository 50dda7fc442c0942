"""An encoder and its embeddings in formats of other libraries."""
