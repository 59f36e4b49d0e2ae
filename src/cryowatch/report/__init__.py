"""One session as one file that opens anywhere: its dashboards, its numbers and as many images as fit.

The file holds the pages' own scripts and styles, and asks nobody for anything.  It holds nothing of other sessions,
nothing of the facility's servers, and no path that the pages would not show.
"""

from cryowatch.report.maker import Made, Maker

__all__ = ["Made", "Maker"]
