"""Runs it all: sessions, followers and pages of one machine."""
