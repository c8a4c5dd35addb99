"""Changes to a study's text: what the author wrote stays, and a mistake changes nothing."""

from __future__ import annotations

import difflib

import pytest

from fedglmm_secure.errors import InputError
from fedglmm_secure.study import Study
from fedglmm_secure.study.edit import Keys, add_site, parse_public, set_coordinator
from fedglmm_secure.wire import identity

TEXT = """# made by hand
[study]
id = "edit"   # keep

[[sites]]
name = "north"   # the first
[[sites]]
name = "south"

[variables.y]
levels = [ 0,1 ]
type = "binary"

[model]   # last
formula = "y ~ 1 + (1 | site)"
family = "binomial"
"""


def public() -> Keys:
    return parse_public(identity.generate().files()["public.toml"].decode(), "public.toml")


NORTH, EAST = public(), public()


def changes(before: str, after: str) -> tuple[list[str], list[str]]:
    """Lines that went and lines that came."""
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[:1] in "+-"]
    return [line[2:] for line in lines if line[0] == "-"], [line[2:] for line in lines if line[0] == "+"]


def entry(text: str, name: str) -> dict[str, object]:
    return next(s for s in Study.parse(text, "s").sites if s.name == name).model_dump(exclude_none=True)


def test_an_entry_with_a_name_alone_is_filled_in() -> None:
    after = add_site(TEXT, "s", "north", NORTH)
    gone, came = changes(TEXT, after)
    assert gone == []
    assert came[0] == f'public_key = "{NORTH["public_key"]}"'
    assert entry(after, "north") == {"name": "north", **NORTH}


def test_a_new_site_is_added() -> None:
    after = add_site(TEXT, "s", "east", EAST)
    gone, came = changes(TEXT, after)
    assert gone == []
    assert [line for line in came if line.startswith("[")] == ["[[sites]]"]
    assert entry(after, "east") == {"name": "east", **EAST}
    assert [site.name for site in Study.parse(after, "s").sites] == ["east", "north", "south"]


def test_sites_of_any_form_are_kept() -> None:
    without = TEXT.replace('[[sites]]\nname = "north"   # the first\n[[sites]]\nname = "south"\n', "")
    assert entry(add_site(without, "s", "east", EAST), "east")["public_key"] == EAST["public_key"]
    inline = 'sites = [\n  {name = "north"},   # one\n  {name = "south"},\n]\n' + without
    after = add_site(add_site(inline, "s", "east", EAST), "s", "north", NORTH)
    assert "# one" in after
    assert entry(after, "north") == {"name": "north", **NORTH}
    assert entry(after, "east") == {"name": "east", **EAST}


def test_the_same_keys_again_change_nothing() -> None:
    after = add_site(TEXT, "s", "north", NORTH)
    assert add_site(after, "s", "north", NORTH) == after
    coordinated = set_coordinator(after, "s", EAST)
    assert set_coordinator(coordinated, "s", EAST) == coordinated


def test_other_keys_need_consent() -> None:
    after = add_site(TEXT, "s", "north", NORTH)
    with pytest.raises(InputError, match="site north is already there with other keys; give --replace"):
        add_site(after, "s", "north", EAST)
    changed = add_site(after, "s", "north", EAST, replace=True)
    assert entry(changed, "north") == {"name": "north", **EAST}
    assert "# the first" in changed


def test_one_key_is_never_two_sites() -> None:
    after = add_site(TEXT, "s", "north", NORTH)
    for name in ("south", "east"):
        with pytest.raises(InputError, match=r"sites\.public_key: `.*` and `.*` have the same; each needs its own"):
            add_site(after, "s", name, NORTH, replace=True)


def test_keys_that_are_not_given_anew_are_taken_out() -> None:
    """A certificate of its own gives way to an authority's, and back."""
    after = add_site(TEXT, "s", "north", NORTH)
    by_authority = {
        "public_key": NORTH["public_key"],
        "certificate_authority": EAST["certificate"],
        "certificate_name": "fit.north.example",
    }
    changed = add_site(after, "s", "north", by_authority, replace=True)
    assert entry(changed, "north") == {"name": "north", **by_authority}
    assert add_site(changed, "s", "north", NORTH, replace=True) == after


def test_a_coordinator_is_set_and_replaced() -> None:
    after = set_coordinator(TEXT, "s", NORTH)
    assert Study.parse(after, "s").coordinator.certificate == NORTH["certificate"]
    assert changes(TEXT, after)[0] == []
    with pytest.raises(InputError, match="already has a coordinator; give --replace"):
        set_coordinator(after, "s", EAST)
    changed = set_coordinator(after, "s", EAST, replace=True)
    assert Study.parse(changed, "s").coordinator.certificate == EAST["certificate"]
    with pytest.raises(InputError, match=r"has no certificate, which is how the sites know a coordinator"):
        set_coordinator(TEXT, "s", {"public_key": NORTH["public_key"]})


@pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 65])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(InputError, match="must be 1 to 64 letters"):
        add_site(TEXT, "s", name, NORTH)


@pytest.mark.parametrize(
    "keys",
    [
        {"certificate": NORTH["certificate"] * 2},
        {"certificate_authority": NORTH["certificate"], "certificate_name": "*.example.org"},
        {"certificate_name": "fit.example.org"},
    ],
)
@pytest.mark.parametrize("text", [TEXT, set_coordinator(TEXT, "s", EAST)])
def test_a_coordinator_that_is_none_is_refused_with_a_sentence(text: str, keys: dict[str, str]) -> None:
    """Also in the place of another one: a certificate with those of its authorities is a file that people have."""
    for replace in (False, True):
        with pytest.raises(InputError, match=r"coordinator"):
            set_coordinator(text, "s", keys, replace=replace)


LONG = "public_key" + ".a" * 60_000 + " = 1"
"""Some GB of memory, if it were read."""


@pytest.mark.parametrize(
    "text",
    ["", "[[", "x = 1", "public_key = 1", 'name = "north"', "certificate = []", LONG, f"public_key = {'9' * 5000}"],
)
def test_another_file_is_no_public_file(text: str) -> None:
    with pytest.raises(InputError, match=r"f: is not a public\.toml"):
        parse_public(text, "f")
