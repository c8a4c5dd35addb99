"""Pages for people: a fit's result, and what a site computed for itself, each one HTML file that needs nothing else.

Loads matplotlib: a program imports this package where it writes a page, not where it starts.
"""

from fedglmm_secure.report.page import result_page, site_page
from fedglmm_secure.report.reading import SiteReport, read_result, read_site_report

__all__ = ["SiteReport", "read_result", "read_site_report", "result_page", "site_page"]
