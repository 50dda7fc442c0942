"""Which other mark may be a mark's positive: one that shares a Vienna code, its group or its text."""
