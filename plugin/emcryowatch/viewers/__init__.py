"""What Scipion's button Analyze Results does with a monitor: it opens the pages."""

from emcryowatch.viewers.pages import CryowatchPagesViewer

__all__ = ["CryowatchPagesViewer"]
