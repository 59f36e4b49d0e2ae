"""How a command ends, for scripts: 0 where all is well."""

PROBLEM = 1
"""The command did its work, and something needs a person."""

USAGE = 2
"""The command could not do its work: the command line, the settings, a file or a server stand in the way."""
