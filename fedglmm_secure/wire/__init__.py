"""Messages as protobuf, errors as status names, identities as PEM: what the programs share. No sockets."""
