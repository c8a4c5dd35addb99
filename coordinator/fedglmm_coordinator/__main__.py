"""``python -m fedglmm_coordinator``."""

from fedglmm_coordinator.main import main

main()
