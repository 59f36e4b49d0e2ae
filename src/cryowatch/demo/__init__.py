"""A made-up session in Scipion's own layout, for a machine that has nothing."""
