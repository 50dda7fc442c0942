"""Notices about a run: told to a person elsewhere when it ends, fails, or shows something bad."""
