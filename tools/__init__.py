"""What the project's own make targets run: `python -m tools.audit` and so on."""
