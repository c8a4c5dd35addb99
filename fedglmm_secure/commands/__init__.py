"""The command line ``fedglmm``.

What a command takes stands in the module of its name, which loads none of the libraries of its work: a command imports
those once its options are known to be right. Where the work is more than a few lines, it has a module of its own:
``dealing``, ``description``, ``rehearsing`` and ``roster``.
"""
