"""Narrative: words about a Document, each number of them proven to be in it."""
