"""Which words may leave this site when something goes wrong here."""

from __future__ import annotations

from fedglmm_secure.errors import FedglmmError, FitError, InputError, OwnRowsError, PeerError, RefusalError


def outward(error: FedglmmError) -> FedglmmError:
    """What may be told to others of an error at this site: nothing that its own table has a part in."""
    match error:
        case OwnRowsError():
            return RefusalError("a question would rest on too few of its own rows; its operator has the details")
        case RefusalError() | PeerError():
            return error  # made of the study, pooled counts and messages only
        case InputError():
            return InputError("its own table does not fit the study; its operator has the details")
        case FitError():
            return FitError("it cannot answer the question from its own rows; its operator has the details")
        case _:
            return FedglmmError("it failed; its operator has the details")
