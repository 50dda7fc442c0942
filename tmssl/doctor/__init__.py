"""What a machine offers and what that means for training: facts first, then verdicts on them."""
