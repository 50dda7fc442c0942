"""Tables and registers of labels -> rows, with the meaning of their columns."""
