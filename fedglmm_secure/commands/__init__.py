"""The command line ``fedglmm``."""
