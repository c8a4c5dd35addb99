"""The coordinator's program: the only server of a study. It learns sums, and nothing about any one site."""

import os

# gRPC's core writes its own lines about handshakes to stderr; this program's errors are one sentence each.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
