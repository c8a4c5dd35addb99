"""The plots of a page, as SVG. Readable without colour: what differs, differs in shape too."""
