"""The model: designs, families, the marginal likelihood, and the answers to questions. No IO, no clock."""
