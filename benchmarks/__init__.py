"""How fast cryowatch is, with baselines from the same run.  Each benchmark is a separate program."""
