"""The trial's four hospitals and their coordinator in folders of their own, as docs/deployment.md has them."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedglmm_secure import Study
from fedglmm_secure.shell import SHARE, read_study, write_identity, write_share
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.approval import approval_path, approve
from fedglmm_secure.wire.key_share import deal_key, share_file

EXAMPLE = Path(__file__).parents[2] / "examples" / "indomethacin"
SITES = ("1_UM", "2_IU", "3_UK", "4_Case")
COORDINATOR = "coordinator"
PARTIES = (COORDINATOR, *SITES)
MASKING, DROPOUTS, PAILLIER = "masking", "dropouts = 1", "paillier"
PROTOCOLS = (MASKING, DROPOUTS, PAILLIER)
SMALLEST_KEY = 2048
"""Bits of the Paillier modulus: the smallest that a study takes, for speed."""


@dataclass(frozen=True)
class Hospitals:
    """Everybody's keys, study, approvals and policies in ``folder``; nobody has started yet, or all have ended."""

    folder: Path

    @classmethod
    def found(cls, folder: Path, protocol: str) -> Hospitals:
        """New keys for everybody, and the study of ``protocol`` approved by all."""
        own = {name: identity.generate() for name in PARTIES}
        study = read_study(EXAMPLE / "study.toml").replaced(
            identities={name: (own[name].public_key, own[name].certificate) for name in SITES},
            encryption_keys={name: own[name].encryption_key or "" for name in SITES},
            coordinator_certificate=own[COORDINATOR].certificate,
        )
        if protocol == DROPOUTS:
            study = study.model_copy(update={"security": {**study.security.model_dump(), "dropouts": 1}})
        made = cls(folder)
        for name in PARTIES:
            write_identity(made.keys(name), own[name])
        if protocol == PAILLIER:
            dealing = deal_key(study, SMALLEST_KEY, secrets.token_bytes)
            study = dealing.study
            for name, share in dealing.shares.items():
                write_share(made.keys(name) / SHARE, share_file(study, name, share))
        made.study.write_text(study.to_toml(), encoding="utf-8")
        for name in SITES:
            given = approve(made.read_study(), name, own[name].signing, datetime.now(UTC))
            approval_path(made.study, name).write_text(given.to_toml(), encoding="utf-8")
        return made

    def copy(self, folder: Path) -> Hospitals:
        """The same keys and study in another place, where nothing has run yet."""
        return Hospitals(Path(shutil.copytree(self.folder, folder)))

    @property
    def study(self) -> Path:
        """The study file, which all have in common here."""
        return self.folder / "study.toml"

    def read_study(self) -> Study:
        """The study."""
        return read_study(self.study)

    def home(self, party: str) -> Path:
        """What a party keeps of its run."""
        return self.folder / party / "run"

    def keys(self, party: str) -> Path:
        """A party's keys, and a site's register."""
        return self.folder / party / "keys"

    @property
    def store(self) -> Path:
        """The coordinator's store."""
        return self.home(COORDINATOR) / "fit.sqlite"

    def serve(self, address: str) -> list[str]:
        """The arguments of the coordinator's program."""
        options = ("--keys", self.keys(COORDINATOR), "--listen", address, "--store", self.store, "--linger", 15)
        return ["serve", str(self.study), *map(str, options)]

    def join(self, site: str, address: str) -> list[str]:
        """The arguments of a site's program."""
        options = ("--data", EXAMPLE / "sites" / f"{site}.csv", "--keys", self.keys(site), "--coordinator", address)
        own = ("--policy", EXAMPLE / "policy.toml", "--out", self.home(site))
        return ["join", str(self.study), *map(str, (*options, *own))]
