"""What ``fedglmm paillier deal`` does: a key, its shares, and an account of the ceremony."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from pathlib import Path

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum.paillier import BITS
from fedglmm_secure.study import Study
from fedglmm_secure.wire.key_share import Dealing, deal_key, share_file


def deal(path: Path, out: Path, bits: int) -> None:
    """Deal a key for the study at ``path`` into the new folder ``out``, and print the account."""
    given = _complete_study(path)
    if out.exists():
        raise InputError(f"{out}: already exists; choose a new --out folder, as nothing is overwritten")
    dealing = deal_key(given, bits, secrets.token_bytes)
    files = {f"{name}.share": share_file(dealing.study, name, share) for name, share in dealing.shares.items()}
    _write_folder(out, {"study.toml": dealing.study.to_toml().encode(), **files})
    print(_account(given, dealing, out, bits))


def _complete_study(path: Path) -> Study:
    """The study; InputError, naming the file, unless every site has its keys in it."""
    study = shell.read_study(path)
    try:
        study.roster()
        study.encryption_keys()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return study


def _write_folder(out: Path, files: dict[str, bytes]) -> None:
    """All of the files in a new folder, or nothing."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for name, content in files.items():
            (draft / name).write_bytes(content)
            (draft / name).chmod(0o600)
        draft.rename(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _account(given: Study, dealing: Dealing, out: Path, bits: int) -> str:
    """What was made, what to do with it, and what the dealer could have done."""
    sites, threshold, dealt = len(dealing.shares), dealing.threshold, dealing.study
    legacy = f"\n{bits} bits are a legacy option; use {BITS} if you can.\n" if bits < BITS else ""
    return f"""\
A Paillier key of {bits} bits is dealt to {sites} sites. Any {threshold} of them together decrypt; fewer learn nothing.
Each decrypts sums only; {threshold} that conspire could decrypt the contribution of a single site too.
{legacy}
What to do now
- Give {out / "study.toml"} to every party, in place of the study it has. Its digest was
    {given.hexdigest}
  and is
    {dealt.hexdigest}
  so every site must approve it anew.
- Send each site its own share, {out / "NAME.share"}. Only that site's encryption.key opens it. When all have theirs,
  delete the shares here.
- If a site joins, leaves or changes its keys, deal again: shares of different dealings do not work together.

What the dealer could have done
While this command ran, this machine held the whole key. Who controlled the machine then could have copied the key, and
could with it read every contribution that passes through the coordinator. The command has kept nothing, but nobody can
prove that afterwards: run it on a machine that all sites trust, offline, in front of witnesses, and deal again if in
doubt."""
