"""All-or-nothing pairwise masking: every site of the roster contributes, or nothing can be opened."""
