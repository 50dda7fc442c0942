"""Images to batches of views."""
