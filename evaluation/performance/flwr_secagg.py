"""flwr's SecAgg+ for the same sums: one client's work over its four stages, and the server's, by flwr's own code.

    FLWR_PYTHON=/path/to/python python evaluation/performance/protocols.py

flwr wants an older protobuf than this project, so it lives in an environment of its own, which ``make bench FLWR=1``
makes. This file is run there by that environment's Python: the sums asked for on standard input, their costs on
standard output, both JSON. No network: bytes are the keys, sealed shares and arrays that a client hands over, without
envelopes. All clients are neighbours of each other, as in SecAgg.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import astuple, dataclass
from statistics import median

MODULUS, TARGET, CLIP = 2**32, 2**22, 8.0
"""flwr's defaults: masks modulo 2^32, numbers rounded to 22 bits of the range -8 .. 8."""

CLIENTS = 10
"""With up to so many clients a sum is repeated."""


@dataclass(frozen=True)
class SecAggCost:
    """Median milliseconds of a client and of the server in a sum, bytes that a client hands over."""

    client_ms: float
    server_ms: float
    sent: float


def secagg_costs(wanted: list[tuple[int, int]]) -> dict[tuple[int, int], SecAggCost]:
    """The costs of sums of (numbers, clients), empty with a word of advice when no Python with flwr is named."""
    python = os.environ.get("FLWR_PYTHON")
    if not python:
        print("flwr's SecAgg+ is left out: `make bench FLWR=1` installs it apart, or name a Python as FLWR_PYTHON")
        return {}
    asked = json.dumps(wanted)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [python, __file__], input=asked, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return {key: SecAggCost(*cost) for key, cost in zip(wanted, json.loads(run.stdout), strict=True)}


def main() -> None:
    """Under the Python that has flwr."""
    costs = []
    for numbers, clients in json.load(sys.stdin):
        runs = [one_sum(numbers, clients) for _ in range(3 if clients <= CLIENTS else 1)]
        costs.append([median(column) for column in zip(*map(astuple, runs), strict=True)])
    json.dump(costs, sys.stdout)


def one_sum(numbers: int, clients: int) -> SecAggCost:
    """One sum of ``numbers`` numbers, flwr's weight among them: all clients neighbours, 2/3 of them open it."""
    import numpy as np  # noqa: PLC0415  # of flwr's environment
    from flwr.client.mod.secure_aggregation.secaggplus_mod import (  # noqa: PLC0415
        SecAggPlusState,
        _collect_masked_vectors,
        _setup,
        _share_keys,
        _unmask,
    )
    from flwr.common import ndarrays_to_parameters  # noqa: PLC0415
    from flwr.common.secure_aggregation.secaggplus_constants import Key  # noqa: PLC0415

    ids = list(range(1, clients + 1))
    values = np.random.default_rng(0).normal(size=(clients, numbers - 1))
    states = {nid: SecAggPlusState() for nid in ids}
    spent, sent = dict.fromkeys(ids, 0.0), dict.fromkeys(ids, 0)

    def stage(nid, work, *arguments):
        began = time.perf_counter()
        result = work(states[nid], *arguments)
        spent[nid] += time.perf_counter() - began
        sent[nid] += size(result)
        return result

    settings = {
        Key.SAMPLE_NUMBER: clients, Key.SHARE_NUMBER: clients, Key.THRESHOLD: max(2, 2 * clients // 3 + 1),
        Key.CLIPPING_RANGE: CLIP, Key.TARGET_RANGE: TARGET, Key.MOD_RANGE: MODULUS, Key.MAX_WEIGHT: 1.0,
    }  # fmt: skip
    for nid in ids:
        states[nid].nid = nid
    keys = {nid: stage(nid, _setup, settings) for nid in ids}
    public = {str(nid): (key[Key.PUBLIC_KEY_1], key[Key.PUBLIC_KEY_2]) for nid, key in keys.items()}
    sealed: dict[int, dict[int, bytes]] = {nid: {} for nid in ids}
    for nid in ids:
        shared = stage(nid, _share_keys, public)
        for to, ciphertext in zip(shared[Key.DESTINATION_LIST], shared[Key.CIPHERTEXT_LIST], strict=True):
            sealed[to][nid] = ciphertext
    masked = []
    for nid in ids:
        given = {Key.CIPHERTEXT_LIST: list(sealed[nid].values()), Key.SOURCE_LIST: list(sealed[nid])}
        weighed = ndarrays_to_parameters([values[nid - 1]])
        masked.append(stage(nid, _collect_masked_vectors, given, 1, weighed)[Key.MASKED_PARAMETERS])
    everyone = {Key.ACTIVE_NODE_ID_LIST: ids, Key.DEAD_NODE_ID_LIST: []}
    released = [stage(nid, _unmask, everyone)[Key.SHARE_LIST] for nid in ids]
    began = time.perf_counter()
    total = opened(masked, released)
    server = time.perf_counter() - began
    assert np.allclose(total, values.sum(axis=0), rtol=0.0, atol=clients * 2 * CLIP / TARGET)
    return SecAggCost(1e3 * median(spent.values()), 1e3 * server, median(sent.values()))


def opened(masked: list[list[bytes]], released: list[list[bytes]]):
    """The sum as flwr's server opens it when nobody is lost (``SecAggPlusWorkflow``, stages 2 and 3)."""
    from flwr.common import bytes_to_ndarray  # noqa: PLC0415
    from flwr.common.secure_aggregation import ndarrays_arithmetic as arrays  # noqa: PLC0415
    from flwr.common.secure_aggregation.crypto.shamir import combine_shares  # noqa: PLC0415
    from flwr.common.secure_aggregation.quantization import dequantize  # noqa: PLC0415
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen  # noqa: PLC0415

    total = None
    for vectors in masked:
        decoded = [bytes_to_ndarray(vector) for vector in vectors]
        total = decoded if total is None else arrays.parameters_addition(total, decoded)
    total = arrays.parameters_mod(total, MODULUS)
    for shares in zip(*released, strict=True):
        mask = pseudo_rand_gen(combine_shares(list(shares)), MODULUS, arrays.get_parameters_shape(total))
        total = arrays.parameters_subtraction(total, mask)
    weight, quantized = arrays.factor_extract(arrays.parameters_mod(total, MODULUS))
    assert weight == len(masked) * TARGET
    return dequantize(quantized, CLIP, TARGET)[0] - (len(masked) - 1) * CLIP


def size(result: object) -> int:
    """Bytes of what a stage returns; a node's number counts 8."""
    if isinstance(result, bytes):
        return len(result)
    if isinstance(result, int):
        return 8
    values = result.values() if isinstance(result, dict) else result
    return sum(size(value) for value in values)


if __name__ == "__main__":
    main()
