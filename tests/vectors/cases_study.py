"""Study files, and their digests: what is filled in, what is brought into one form, and what changes nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from tests.vectors.cases import Case, drawn

_SMALL = """\
[study]
id = "small"

[model]
formula = "y ~ age + (1 | site)"
family = "binomial"

[variables.y]
type = "binary"
levels = ["no", "yes"]

[variables.age]
type = "numeric"
range = [0, 120]

[[sites]]
name = "north"
[[sites]]
name = "south"
[[sites]]
name = "west"
"""

_SAME = """\
# the same in other words
variables.age = { range = [0.0, 1.2e2], type = "numeric" }
variables.y = { levels = [' no', "yes "], type = "binary" }
model = { family = "binomial", formula = "  y~age +(1|site)", method = "laplace", nodes = 1, penalty = 0 }
disclosure = { minimum_cell = 3 }
[[sites]]
name = "west"
[[sites]]
name = "south"
[[sites]]
name = "north"
[study]
title = ""
id = "small"
"""

_COUNTS = """\
[study]
id = "counts"
title = " Counts   by\\tclinic "
rehearsal_of = "{digest}"

[model]
formula = "visits ~ `body weight`  + ward*flag + offset_free + (1 + `body weight` | clinic)"
family = "poisson"
method = "agh"
weights = "freq"
offset = "logtime"
penalty = [10, 1.5, 0]
selection = "validation"
max_rounds = 30
tolerance = 1e-8

[variables]
visits = {{ type = "count" }}
ward = {{ type = "categorical", levels = ["b", 1, 2.0, 3.5, "01", 1e16] }}
flag = {{ type = "binary", levels = [false, true] }}
offset_free = {{ type = "binary", levels = [-0.0, "1.0"] }}
clinic = {{ type = "group" }}
freq = {{ type = "count", range = [1, 9] }}
logtime = {{ type = "numeric", range = [-3, 3] }}
"body weight" = {{ type = "numeric", range = [30, 200] }}

[validation]
seed = 9007199254740993

[disclosure]
maximum_parameters_per_row = 1
few_groups = "allow"
"""

_KEYS = """\
[study]
id = "keys"

[model]
formula = "y ~ 1 + (1 | site)"
family = "gaussian"

[variables.y]
type = "numeric"
range = [-1, 1]

[security]
protocol = "paillier"
dropouts = 1
on_dropout = "exclude"

[paillier]
modulus = \"\"\"
  00{modulus}
\"\"\"
threshold = 3

[coordinator]
certificate_authority = '''

   {pem}
'''
certificate_name = "Fit.Example.ORG "
{sites}
"""

_SITE = """
[[sites]]
name = "{name}"
public_key = " {signing} "
encryption_key = "{encryption}"
certificate = '''
{pem}'''
"""
_PEM = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----"


def study_cases() -> Iterator[Case]:
    key = base64.b64encode
    sites = "".join(
        _SITE.format(
            name=name,
            pem=_PEM.replace("Qg", f"Q{place}"),
            signing=key(drawn(name)).decode(),
            encryption=key(drawn(f"{name} 2")).decode(),
        )
        for place, name in enumerate(("b", "B", "a-1", "a"))
    )
    modulus = f"{(2**521 - 1) * (2**2203 - 1):X}"
    texts = {
        "of_defaults": _SMALL,
        "of_the_same_in_other_words": _SAME,
        "with_all_kinds_of_values": _COUNTS.format(digest=drawn("study").hex()),
        "with_keys": _KEYS.format(modulus=modulus, pem=_PEM.replace("\n", "\n\n   "), sites=sites),
    }
    for name, text in texts.items():
        yield Case(f"study_digest_{name}", "study_digest", {"study": text})
