"""Folders, archives, tables and registers -> marks with their labels."""
