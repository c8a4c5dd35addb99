"""Mistakes in a study file as one sentence that names the key and says what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

_OWN = "study"
_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list in square brackets",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "finite_number": "a finite number",
}


def problem(sentence: str, key: str = "") -> PydanticCustomError:
    """The error a validator raises: what is wrong with its value, or with the ``key`` inside its value."""
    return PydanticCustomError(_OWN, "{sentence}", {"sentence": sentence, "key": key})


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean ...?`` when one of ``known`` is close to ``name``, whatever the case, else nothing."""
    lower = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    return f"; did you mean `{lower[close[0]]}`?" if close else ""


def sentence_of(error: ValidationError, root: type[BaseModel]) -> str:
    """One sentence for all mistakes in a file: the first in full, the keys of the others after it."""
    # a misspelt key is the reason why another is missing
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    first, *others = ((_key(detail), _sentence(detail, root)) for detail in details)
    more = list(dict.fromkeys(key for key, _ in others if key != first[0]))
    also = f" (also wrong: {', '.join(more)})" if more else ""
    return f"{first[0]}: {first[1]}{also}"


def _key(detail: ErrorDetails) -> str:
    """The dotted key; entries of a list are counted from 1, as a reader counts them."""
    inner = detail.get("ctx", {}).get("key", "") if detail["type"] == _OWN else ""
    parts = [f"[{part + 1}]" if isinstance(part, int) else f".{_word(part)}" for part in detail["loc"]]
    return ("".join(parts) + (f".{inner}" if inner else "")).removeprefix(".") or "study"


def _sentence(detail: ErrorDetails, root: type[BaseModel]) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    kind, value = detail["type"], detail["input"]
    if kind == _OWN:
        return str(context["sentence"])
    if kind == "missing":
        return "is missing; add it"
    if kind == "extra_forbidden":
        known = _keys_at(root, detail["loc"][:-1])
        return f"is not a key of the study file{nearest(str(detail['loc'][-1]), known) or '; remove it'}"
    if kind == "literal_error":
        return f"must be one of {context['expected']}, not {_shown(value)}"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, not {_shown(value)}"
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, not {_shown(value)}; correct it"


def _word(key: str) -> str:
    """A key as it stands in a message: whatever its author put into it, the message stays one line."""
    return key if key.isprintable() and len(key) <= 60 else _shown(key)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys_at(root: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand in the table at ``location``."""
    model: Any = root
    for part in location:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is not None:
            model = _model_in(field.annotation)
    return list(model.model_fields) if hasattr(model, "model_fields") else []


def _model_in(annotation: Any) -> Any:
    """The model class in an annotation such as ``dict[str, Variable]`` or ``tuple[Site, ...]``."""
    arguments = getattr(annotation, "__args__", ())
    models = [_model_in(argument) for argument in arguments if argument is not Ellipsis]
    return next((model for model in models if hasattr(model, "model_fields")), annotation)
