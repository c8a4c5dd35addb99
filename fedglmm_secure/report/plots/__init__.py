"""The plots of a page, as SVG. Readable without colour: what differs, differs in shape too."""

import logging

# Before matplotlib is loaded, which tells of its font cache: a program's stderr is for its own sentences.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
