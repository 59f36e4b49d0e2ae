"""Rendered images of micrographs, into a folder or onto a server."""
