"""The formula: its parts, and what is refused and how. Nothing in a formula is ever executed."""

from __future__ import annotations

import builtins
import os

import pytest

from fedglmm_secure.errors import InputError
from fedglmm_secure.study import parse_formula
from fedglmm_secure.study.terms import parse_terms


@pytest.mark.parametrize(
    ("text", "fixed", "random"),
    [
        ("y ~ x + (1 | g)", "x", [(True, (), "g")]),
        ("y ~ (1 | site)", "1", [(True, (), "site")]),
        ("y ~ 1 + (1|g)", "1", [(True, (), "g")]),
        ("y~a*b+( 1+x | g )", "a*b", [(True, ("x",), "g")]),
        ("y ~ a + (x | g)", "a", [(True, ("x",), "g")]),
        ("y ~ a + (0 + x | g) + b", "a + b", [(False, ("x",), "g")]),
        (
            "y ~ (1 | g) + (0 + x | g) + (1 | h)",
            "1",
            [(True, (), "g"), (False, ("x",), "g"), (True, (), "h")],
        ),
        ("y ~ (a + b)**2 - 1 + (1 | g)", "(a + b)**2 - 1", [(True, (), "g")]),
        ("y ~ I(a + b) + (1 | `my group`)", "I(a + b)", [(True, (), "my group")]),
        ("y ~ a", "a", []),
    ],
)
def test_parts(text, fixed, random):
    formula = parse_formula(text)
    assert formula.response == "y"
    assert formula.fixed == fixed
    assert [(term.intercept, term.slopes, term.group) for term in formula.random] == random


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("y", "has no `~`"),
        ("y ~", "has nothing after `~`"),
        ("~ x", "the outcome before `~` must be one variable, not ``"),
        ("log(y) ~ x", "the outcome before `~` must be one variable, not `log(y)`"),
        ("y + z ~ x", "the outcome before `~` must be one variable"),
        ("y ~ x ~ z", "more than one `~`"),
        ("y ~ x +", "has a `+` with nothing on one side"),
        ("y ~ x + (1 || g)", "write `(1 | g) + (0 + x | g)`"),
        ("y ~ x + ((1 | g))", "`((1 | g))` is not a random term"),
        ("y ~ x * (1 | g)", "is not a random term; write it as `(1 | g)` on its own"),
        ("y ~ x - (1 | g)", "is not a random term"),
        ("y ~ (1 | g | h)", "is not a random term"),
        ("y ~ 1 | g", "is not a random term"),
        ("y ~ (| g)", "nothing before the bar; write `(1 | g)`"),
        ("y ~ (0 | g)", "has no random term"),
        ("y ~ (1 | a/b)", "the group in `(1 | a/b)` must be one variable"),
        ("y ~ (1 | a + b)", "must be one variable"),
        ("y ~ (x", "not closed"),
        ("y ~ x)", "was not opened"),
        ("y ~ `x", "not closed"),
        ("y ~ x z", "cannot be read as a sum of terms (Missing operator between `x` and `z`)"),
        ("y ~ .", "name the variables instead"),
        ("y ~ 'a'", "is text"),
        ("y ~ [a + b]", "square brackets have no meaning"),
        ("y ~ a^b", "must be a whole number"),
        ("y ~ (a + b)**99999", "must be a whole number from 1 to 9"),
        ("y ~ (a + b + c + d)**9", "expands to more than 200 terms"),
        ("y ~ " + "*".join("abcdefghijklmnopqrstuvwxyz"), "expands to more than 200 terms"),
        ("y ~ x\n+ z", "printable characters on one line"),
        ("y ~ " + "x + " * 1000 + "z", "at most 2000"),
        ("y ~ I(age^2)", "`I(age**2)` or `{age**2}`"),
        ("y ~ scale(x)", "`scale` looks at the data and would differ between sites; write the constants out"),
        ("y ~ poly(x, 2)", "`poly` looks at the data and would differ between sites; write powers out"),
        ("y ~ bs(x, df=4)", "`bs` looks at the data"),
        ("y ~ cr(x, df=4)", "`cr` looks at the data"),
        ("y ~ center(x)", "`center` looks at the data"),
        ("y ~ hashed(x, levels=4)", "`hashed` looks at the data"),
        ("y ~ lag(x)", "`lag` looks at the data"),
        ("y ~ log(scale(x))", "`scale` looks at the data"),
        ("y ~ C(x)", "declare the variable with type"),
        ("y ~ log(x, 2)", "`log` takes exactly one argument"),
        ("y ~ tan(x)", "`tan` is not a function of the formula language; use I, exp, log"),
        ("y ~ np.log(x)", "`np.log(x)` is not allowed"),
    ],
)
def test_refused_in_one_sentence(text, sentence):
    with pytest.raises(InputError) as error:
        parse_formula(text)
    assert sentence in str(error.value)
    assert str(error.value).startswith("model.formula: ")
    assert "\n" not in str(error.value)


MALICIOUS = [
    'I(__import__("os").system("x"))',
    '__import__("os").system("x")',
    "I(age.__class__)",
    "age.__class__.__base__.__subclasses__()",
    "(lambda: system('x'))()",
    "I((lambda: age)())",
    "(lambda: os.system('x'))()()",
    "{(lambda: 1)()}",
    "I(f'{age}')",
    "I((age := 3))",
    "{age := 3}",
    "I([1 for i in age])",
    "{[i for i in age]}",
    "I({age: 1})",
    "age[0]",
    "I(age[0])",
    "I(age if age else age)",
    "I(age and age)",
    "I(age > 3)",
    "I(not age)",
    "I(*age)",
    "I(x=age)",
    "I(True)",
    "I(1j)",
    "I(b'a')",
    "I('a')",
    "I(...)",
    "I(None)",
    "eval('1')",
    "exec(age)",
    "open(age)",
    "I(open)()",
    "contr.treatment(age)",
    "np.load(age)",
    "`__import__('os')`",
    "{`__import__('os').system('x')`}",
    "I(" + "(" * 300 + "age" + ")" * 300 + ")",
    "I(" + "-" * 1500 + "age)",
    "I(" + "9" * 1500 + ")",
]


@pytest.mark.parametrize("part", MALICIOUS, ids=range(len(MALICIOUS)))
@pytest.mark.parametrize("place", ["y ~ {}", "y ~ x + (0 + {} | g)", "{} ~ x", "y ~ (1 | {})"])
def test_malicious_formulas_are_refused_and_nothing_runs(part, place, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    monkeypatch.setattr(builtins, "eval", lambda *arguments: ran.append(arguments))
    with pytest.raises(InputError):
        parse_formula(place.replace("{}", part))
    assert not ran


def test_formulaic_is_given_nothing_to_evaluate():
    terms = parse_terms("a + I(b**2):log(c) + {a - b}")
    methods = {factor.eval_method.value for term in terms for factor in term.term.factors}
    assert methods == {"literal", "lookup"}


def test_variables_of_a_term_in_order_of_appearance():
    terms = {term.text: term.variables for term in parse_terms("a:b + I(c + b*a) + `d e`")}
    assert terms == {"1": (), "a:b": ("a", "b"), "I(c + b * a)": ("c", "b", "a"), "d e": ("d e",)}


def test_a_dotted_name_is_a_column_never_an_attribute(study_of):
    assert parse_terms("age.__class__")[1].variables == ("age.__class__",)
    with pytest.raises(InputError, match=r"`age\.__class__` is not declared"):
        study_of("y ~ age.__class__ + (1 | site)")
