"""API: surfaces translate between HTTP and the verbs; they decide nothing."""
