"""Features of each mark's views, computed once, from which `train = "head"` draws its pairs."""
