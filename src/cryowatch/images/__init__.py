"""Images of micrographs for people: rendered in a process of their own, kept on disk.

Nothing that is imported here needs numpy or an image library: those are the worker's.
"""

from cryowatch.images.paths import can_be_reached, confined
from cryowatch.images.process import Rendered
from cryowatch.images.server import ImageServer
from cryowatch.images.subject import UNNAMED, Shifts, Subject, available, subject

__all__ = [
    "UNNAMED",
    "ImageServer",
    "Rendered",
    "Shifts",
    "Subject",
    "available",
    "can_be_reached",
    "confined",
    "subject",
]
