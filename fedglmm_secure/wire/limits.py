"""Size caps that both ends apply, so that neither can be made to read without end."""

from __future__ import annotations

MAX_MESSAGE_BYTES = 16 * 2**20
"""One message: the largest vector (4 MiB) or question (8 MiB), and an offer of 255 hellos."""

MAX_SENTENCE_BYTES = 2000
"""The sentence of a refusal or a stop."""

MAX_RESULT_BYTES = 8 * 2**20
"""The result as JSON."""

MAX_ENTRIES = 4096
"""Entries of theta, columns, description, or thetas of one question: a study has at most 300 columns."""

MAX_FIELDS = 2**15
"""Fields of one message, those of messages within it included: a relay of 255 advertisements has 9,700."""

MAX_NODES = 50
"""Quadrature nodes of one question."""

POLL_SECONDS = 20.0
"""How long the coordinator keeps a poll open before it answers Wait."""

CALL_SECONDS = 60.0
"""Deadline of one call: a poll and the slowest link."""
