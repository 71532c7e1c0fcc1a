"""Statements and exports: what the journal says, as people and programs read it."""
