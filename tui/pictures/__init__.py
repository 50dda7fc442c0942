"""Pictures in a terminal: characters of parts of a cell, and how a terminal gets which."""
