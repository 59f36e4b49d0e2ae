"""The embedded store: everything that sources read, in one SQLite file."""

from cryowatch.store.commit import Change
from cryowatch.store.published import Publication
from cryowatch.store.reader import Reader
from cryowatch.store.selection import Selection
from cryowatch.store.writer import Store

__all__ = ["Change", "Publication", "Reader", "Selection", "Store"]
