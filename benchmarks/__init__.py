"""How fast cryowatch is, beside baselines of the same run: each benchmark is a program of its own."""
