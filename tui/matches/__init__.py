"""The screen of evaluations: figures, queries and matched marks as pictures."""
