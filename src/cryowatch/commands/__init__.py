"""The subcommands that come in groups: one module a group, imported light."""
