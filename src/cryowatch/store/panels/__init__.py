"""What the panels of the pages show: their queries over the store, and what rows become."""
