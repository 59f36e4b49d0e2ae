"""Attacks from outside on a running cryowatch, each of which prints what it did and whether every promise was kept."""
