"""Augmented copies of images, and the recipes that make them."""
