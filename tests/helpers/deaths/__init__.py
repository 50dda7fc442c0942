"""Commands that are killed at a chosen file operation, many of them in a minute."""
