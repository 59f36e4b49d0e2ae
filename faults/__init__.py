"""Attacks on a running cryowatch from outside.  Each prints what it did and whether every promise was kept."""
