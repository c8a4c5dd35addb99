"""Which models a study may ask for, and one sentence for each that it may not."""

from __future__ import annotations

import pytest

from fedglmm_secure.errors import InputError

AGH = 'method = "agh"'
LAPLACE = ('"agh"', '"laplace"')
GLM = ('"agh"', '"glm"')
POISSON = ('family = "binomial"', 'family = "poisson"')
GAUSSIAN = ('family = "binomial"', 'family = "gaussian"')
TRIALS = (AGH, f'{AGH}\ntrials = "size"')
SIZE = ("[variables.rx]", '[variables.size]\ntype = "count"\nrange = [1, 9]\n[variables.rx]')


def extra(line: str) -> tuple[str, str]:
    return AGH, f"{AGH}\n{line}"


@pytest.mark.parametrize(
    ("formula", "changes"),
    [
        ("y ~ age + (1 + age | site)", ()),
        ("y ~ age + (1 | site) + (0 + age | site) + (0 + hmo | site)", (extra("nodes = 21"),)),
        ("y ~ age + (age + hmo + visits | doctor)", (LAPLACE,)),
        ("y ~ age + (1 | site)", (('"agh"', '"pql"'),)),
        ("y ~ age", (GLM,)),
        ("visits ~ age", (GLM, POISSON)),
        ("visits ~ age + (1 | site)", (POISSON, extra('offset = "age"'))),
        ("visits ~ rx + (1 | site)", (GAUSSIAN, extra('offset = "age"'))),
        ("age ~ rx + (1 | site)", (GAUSSIAN, extra('weights = "visits"'))),
        ("visits ~ age + (1 | site)", (TRIALS, SIZE)),
        ("y ~ age + (1 | site)", (extra("penalty = 0.5"),)),
        ("visits ~ age + (1 | site)", (POISSON, extra("penalty = [0, 0.5]"))),
        ("age ~ rx + (1 | site)", (GAUSSIAN, extra('penalty = [0, 0.5]\nselection = "validation"'))),
    ],
)
def test_what_a_study_may_ask_for(study_of, formula, changes):
    assert study_of(formula, *changes).layout.columns[0] == "Intercept"


@pytest.mark.parametrize(
    ("formula", "changes", "sentence"),
    [
        ("y ~ age", (), 'model.method: "agh" needs a random term in the formula, such as (1 | site)'),
        ("y ~ age", (LAPLACE,), 'model.method: "laplace" needs a random term'),
        ("y ~ age + (1 | site)", (GLM,), 'model.method: "glm" has no random terms; use "laplace", or remove'),
        ("y ~ (1 | site) + (1 | doctor)", (), "model.formula: more than one grouping variable is not available"),
        ("y ~ (1 | site) + (1 | site)", (), "the random term `Intercept` stands twice for one group; write `0 +`"),
        ("y ~ (1 | site) + (age | site)", (), "the random term `Intercept` stands twice"),
        ("y ~ (age | site) + (0 + age | site)", (), "the random term `age` stands twice for one group; keep one"),
        ("y ~ (0 + I(age - age) | site)", (), "`I(age - age)` is the same for every row"),
        ("y ~ (0 + log(visits) | site)", (), "`log(visits)` is not finite over the declared ranges"),
        ("y ~ (rx + age | site)", (), 'model.method: "agh" takes at most 3 random terms a group, not 4; use "laplace"'),
        ("y ~ (rx + age + hmo | site)", (LAPLACE,), "has 5 random terms a group; at most 4 can be fitted"),
        (
            "y ~ (rx | site)",
            (extra("nodes = 22"),),
            "model.nodes: with 3 random terms quadrature takes 22^3 = 10648 evaluations a group; use fewer nodes",
        ),
        ("visits ~ age + (1 | site)", (), 'variables.visits.type: must be "binary" for the outcome of family'),
        ("visits ~ age + (1 | site)", (), 'or "count" with the column of trials in model.trials, not "count"'),
        ("y ~ rx + (1 | site)", (POISSON,), 'must be "count" for the outcome of family = "poisson", not "binary"'),
        ("age ~ rx + (1 | site)", (POISSON,), 'must be "count" for the outcome of family = "poisson", not "numeric"'),
        ("y ~ rx + (1 | site)", (GAUSSIAN,), 'must be "numeric" or "count" for the outcome of family = "gaussian"'),
        ("y ~ age + (1 | site)", (TRIALS, SIZE), 'model.trials: belongs to family = "binomial" with an outcome of'),
        ("visits ~ age + (1 | site)", (TRIALS, SIZE, POISSON), '`visits` of family = "poisson" is "count": remove'),
        ("visits ~ rx + (1 | site)", (extra('trials = "age"'),), 'variables.age.type: must be "count" for'),
        ("visits ~ rx + (1 | site)", (extra('trials = "visits"'),), "model.trials: `visits` is the outcome"),
        ("y ~ rx + (1 | site)", (extra('offset = "visits"'),), 'variables.visits.type: must be "numeric" for'),
        ("y ~ rx + (1 | site)", (extra('weights = "hmo"'),), 'must be "numeric" or "count" for the model\'s weights'),
        ("y ~ rx + (1 | site)", (extra('weights = "agee"'),), "model.weights: `agee` is not declared; did you"),
        ("age ~ rx + (1 | site)", (GAUSSIAN, extra('weights = "age"')), "model.weights: `age` is the outcome"),
        ("y ~ rx + (1 | site)", (('"agh"', '"pql"\npenalty = 1'),), 'a penalty with method = "pql" is not available'),
        ("age ~ rx + (1 | site)", (GAUSSIAN, ('"agh"', '"pql"')), '"pql" has nothing to approximate for family = "gau'),
        ("y ~ rx + (1 | site)", (extra('selection = "aic"'),), "model.selection: chooses from a list of penalties"),
        ("y ~ rx + (1 | site)", (extra('penalty = 1\nselection = "bic"'),), "model.selection: chooses from a list"),
        ("y ~ rx + (1 | site)", (extra('penalty = [1]\nselection = "cv"'),), "model.selection: must be one of 'aic'"),
        ("y ~ rx + (1 | site)", (extra("[validation]"),), 'validation: belongs to model.selection = "validation"'),
        ("y ~ rx + (1 | site)", (extra("penalty = [1]\n[validation]"),), "validation: belongs to model.selection"),
        ("y ~ rx + (1 | site)", (extra("[validation]\nfraction = 0"),), "validation.fraction: must be between 0.01"),
        ("y ~ rx + (1 | site)", (extra("[validation]\nseed = -1"),), "validation.seed: must be between 0 and"),
    ],
)
def test_what_it_may_not_ask_for_is_one_sentence(study_of, formula, changes, sentence):
    with pytest.raises(InputError) as error:
        study_of(formula, *changes)
    assert sentence in str(error.value)
    assert str(error.value).startswith("study.toml: ")
    assert "\n" not in str(error.value)


def test_how_a_penalty_is_chosen(study_of):
    assert study_of().model.selection is None
    assert study_of(None, extra("penalty = 1")).model.selection is None
    path = study_of(None, extra("penalty = [0, 1]"))
    assert (path.model.penalty, path.model.selection, path.validation) == ((0.0, 1.0), "aic", None)
    validated = study_of(None, extra('penalty = [0, 1]\nselection = "validation"')).validation
    assert validated is not None
    assert (validated.fraction, validated.seed) == (0.3, 1)


def test_quadrature_for_the_gaussian_family_is_advised_against(study_of):
    (sentence,) = (s for s in study_of("age ~ rx + (1 | site)", GAUSSIAN).warnings() if s.startswith("model"))
    assert 'is exact with "laplace"' in sentence
