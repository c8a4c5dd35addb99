"""A site's program: it dials out, checks every question, and lets only protected vectors leave."""

import os

# gRPC's core writes its own lines about handshakes to stderr; this program's errors are one sentence each.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
