"""Generated from proto/fedglmm_secure/wire/v1/exchange.proto; see the Makefile."""
