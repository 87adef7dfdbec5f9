"""Delivery: what is said (messages), to whom (destinations, recipients), what became of it (outbox), and how (one file per channel)."""
