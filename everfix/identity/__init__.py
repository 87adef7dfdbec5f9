"""Identity: who may do what, and in which workspace."""
