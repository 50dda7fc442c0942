"""Series of numbers -> charts in terminal cells."""
