"""Watch cryo-EM sessions while they run: from the processing software's files to live pages."""

__version__ = "0.1.0"
