"""What a source of images holds: its survey, summary and duplicates."""
