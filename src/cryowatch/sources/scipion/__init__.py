"""Scipion projects, read from their databases without Scipion."""

from cryowatch.sources.scipion.source import ScipionSource

__all__ = ["ScipionSource"]
