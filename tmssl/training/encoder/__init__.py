"""The encoder: a timm model, the grid of its stages, and where its weights and whitening come from."""
