"""The commands: one module each, imported light; what is heavy is imported when a command runs.

A module `NAME` holds the function `NAME` for a command of its own, or `app` for a group of commands.
"""
