"""``python -m fedglmm_site``."""

from fedglmm_site.main import main

main()
