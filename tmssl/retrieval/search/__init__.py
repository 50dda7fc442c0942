"""One query image -> the marks of a run that it resembles."""
