"""The pages: complete, well formed, safe to open whoever wrote the result, and the same every time."""

from __future__ import annotations

import base64
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from fedglmm_secure.rehearsal.memory import Rehearsal
from fedglmm_secure.report import SiteReport, read_result, read_site_report, result_page, site_page

VOID = {"meta", "img"}
EVIL = "<script>alert('x')</script>"


class Page(HTMLParser):
    """A page's elements, its text and its tables' rows; fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if self.open[-1:] in (["th"], ["td"]):
            self.rows[-1][-1] += plain(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def plots(self) -> list[str]:
        """Each image's SVG."""
        prefix = "data:image/svg+xml;base64,"
        return [base64.b64decode(str(image["src"]).removeprefix(prefix)).decode() for image in self.all("img")]


def plain(text: str) -> str:
    return text.replace("\N{MINUS SIGN}", "-").replace("\N{NARROW NO-BREAK SPACE}", "")


def test_a_page_needs_nothing_else_and_nests(each: Rehearsal) -> None:
    for html in (result_page(each.result), *(site_page(report(each, name)) for name in each.reports)):
        page = Page(html)
        assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe", "object", "base"})
        assert "url(" not in html
        assert "@import" not in html
        names = {name for _, attributes in page.elements for name in attributes}
        assert names.isdisjoint({"href", "action", "style", "srcset"})
        assert not any(name.startswith("on") for name in names)
        assert page.all("html") == [{"lang": "en"}]
        assert all(
            image["alt"] and str(image["src"]).startswith("data:image/svg+xml;base64,") for image in page.all("img")
        )
        assert all(cell["scope"] in ("col", "row") for cell in page.all("th"))
        assert len(page.all("caption")) == len(page.all("table"))
        assert len(page.all("h1")) == 1
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        for svg in page.plots():
            assert ElementTree.fromstring(svg).tag.endswith("svg")
            assert "$\\math" not in svg
            assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', svg))


def report(rehearsal: Rehearsal, name: str) -> SiteReport:
    return read_site_report(json.dumps(rehearsal.reports[name]), "report.json")


def test_a_page_shows_what_the_result_holds(each: Rehearsal) -> None:
    fit = each.result
    text = plain(Page(result_page(fit)).text)
    shown = [fit.study.id, fit.study.title, fit.study.digest, fit.model.formula, *fit.warnings]
    shown += [effect.name for effect in fit.fixed_effects] + list(fit.security.bytes_sent_by_site)
    shown += [str(sent) for sent in fit.security.bytes_sent_by_site.values()]
    shown += [f"{sd:.5f}" for effect in fit.random_effects for sd in effect.std_dev]
    shown += [f"{ratio.ratio:.3f}" for ratio in fit.ratios]
    shown += [f"{fit.log_likelihood:.4f}", f"{fit.aic:.2f}", f"{fit.bic:.2f}", str(fit.n_rows)]
    shown += [f"{point.bic:.2f}" for point in fit.path]
    assert [part for part in shown if part.lower() not in text.lower()] == []


def test_the_trials_page_has_lme4s_numbers(rehearsal: Callable[[str], Rehearsal]) -> None:
    page = Page(result_page(rehearsal("logistic").result))
    row = ["rx[T.1_indomethacin]", "-0.76594", "0.26105", "-2.934", "0.003345", "-1.27759 to -0.25429"]
    assert [*row, "0.465", "0.279 to 0.775"] in page.rows
    assert ["Intercept by site", "0.29400", "0.54222"] in [row[:3] for row in page.rows]
    forest = page.plots()[0]
    assert "0.465 (0.279 to 0.775)" in forest
    assert "Odds ratio (logarithmic axis)" in forest


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("logistic", "A logistic mixed model (a binary outcome, logit link), with a random intercept by site"),
        ("logistic", "adaptive Gauss-Hermite quadrature with 9 nodes"),
        ("poisson-slope", "a random intercept and a random slope of V4 by subject"),
        ("linear", "maximum likelihood (not REML)"),
        ("glm", "A logistic regression without random effects"),
        ("linear-glm", "t value"),
        ("path", "Chosen by the smallest BIC: penalty 10."),
        ("validation", "the chosen penalty again to all rows"),
        ("logistic", "They cancel only in the sum over the 4 sites"),
        ("logistic", "7 sums were asked for: one of 90 numbers, then 6 of 28 numbers."),
    ],
)
def test_the_model_and_its_protection_are_said_in_words(
    rehearsal: Callable[[str], Rehearsal], kind: str, sentence: str
) -> None:
    assert sentence in Page(result_page(rehearsal(kind).result)).text


def test_a_fit_that_was_begun_again_tells_its_own_sums_from_all(rehearsal: Callable[[str], Rehearsal]) -> None:
    fit = rehearsal("logistic").result
    again = replace(fit, security=replace(fit.security, sums=10))
    sentence = "10 sums were asked for, the last 7 by the fit that ended: one of 90 numbers, then 6 of 28 numbers."
    assert sentence in Page(result_page(again)).text


def test_a_reader_is_warned_first(rehearsal: Callable[[str], Rehearsal]) -> None:
    fit = rehearsal("logistic").result
    effect = replace(fit.random_effects[0], std_dev=(0.0,), std_error=(None,))
    plain_sums = replace(fit.security, protocol="plain")
    bad = replace(
        fit, converged=False, singular=True, random_effects=(effect,), security=plain_sums, warnings=("mind the gap",)
    )
    text = Page(result_page(bad)).text
    before = text[: text.index("Model and cohort")]
    for word in ("Not converged.", "Singular.", "Mind the gap.", "Not protected.", "Rehearsal."):
        assert word in before
    assert "Not converged" not in Page(result_page(fit)).text


def test_the_same_result_gives_the_same_page(each: Rehearsal) -> None:
    assert result_page(each.result) == result_page(read_result(each.result.to_json(), "result.json"))


def test_names_are_text_wherever_they_stand(rehearsal: Callable[[str], Rehearsal]) -> None:
    content = json.loads(rehearsal("path").result.to_json())
    marked = spoiled(content)
    html = result_page(read_result(json.dumps(marked), "result.json"))
    page = Page(html)
    assert "<script" not in html
    assert EVIL in page.text
    for svg in page.plots():
        assert all(not element.tag.lower().endswith("script") for element in ElementTree.fromstring(svg).iter())
    own = spoiled(rehearsal("path").reports["hospital-0"])
    html = site_page(read_site_report(json.dumps(own), "report.json"))
    assert "<script" not in html
    assert EVIL in Page(html).text


def spoiled(value: object, key: str = "") -> object:
    """The same JSON with every text, and every key that is a name, ending in a script."""
    if isinstance(value, dict):
        named = key in ("n_groups", "bytes_sent_by_site", "estimates", "mode", "std_dev")
        return {name + EVIL * named: spoiled(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [spoiled(inner, key) for inner in value]
    return value + EVIL if isinstance(value, str) and key not in ("format", "family", "method") else value


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0, 5e-324, 10**40])
def test_no_number_breaks_a_page(rehearsal: Callable[[str], Rehearsal], number: float) -> None:
    for kind in ("path", "linear", "poisson-slope"):
        content = flooded(json.loads(rehearsal(kind).result.to_json()), number)
        page = Page(result_page(read_result(json.dumps(content), "result.json")))
        assert all(ElementTree.fromstring(svg) is not None for svg in page.plots())
        own = flooded(rehearsal(kind).reports["hospital-0"], number)
        Page(site_page(read_site_report(json.dumps(own), "report.json")))


def flooded(value: object, number: float) -> object:
    """The same JSON with every number that may be a fraction replaced."""
    if isinstance(value, dict):
        return {key: flooded(inner, number) for key, inner in value.items()}
    if isinstance(value, list):
        return [flooded(inner, number) for inner in value]
    return number if isinstance(value, float) else value


def test_a_penalty_without_a_fit_says_why(rehearsal: Callable[[str], Rehearsal]) -> None:
    fit = rehearsal("path").result
    failed = replace(
        fit.path[0],
        log_likelihood=None,
        aic=None,
        bic=None,
        effective_parameters=None,
        estimates=None,
        std_dev=None,
        error="the estimate of lage grows without limit",
    )
    for path in ((failed, *fit.path[1:]), (failed,)):
        text = Page(result_page(replace(fit, path=path))).text
        assert "Penalty 0 has no fit: the estimate of lage grows without limit." in text


def test_a_site_of_many_groups_has_a_small_page(rehearsal: Callable[[str], Rehearsal]) -> None:
    own = dict(rehearsal("poisson-slope").reports["hospital-0"])
    (first, *_) = own["groups"]
    own["groups"] = [first | {"group": f"g{i}"} for i in range(5000)]
    html = site_page(read_site_report(json.dumps(own), "report.json"))
    assert len(html) < 500_000
    assert "5000 groups" in plain(Page(html).all("img")[0]["alt"] or "")


def test_a_program_that_writes_no_page_loads_no_plotting() -> None:
    code = (
        "import sys, fedglmm_secure.commands.rehearsing, fedglmm_coordinator.service, fedglmm_site.joining;"
        "sys.exit(bool({'matplotlib', 'jinja2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
