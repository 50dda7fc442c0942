"""The monitor: a Textual app that reads run folders and holds no model."""
