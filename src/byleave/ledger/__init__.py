"""What happened, for ever: entries, the tree over them, proofs, and how to check all of it from bytes."""
