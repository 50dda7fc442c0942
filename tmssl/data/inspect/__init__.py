"""The images of a source in figures: survey, summary and duplicates."""
