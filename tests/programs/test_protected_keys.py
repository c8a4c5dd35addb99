"""Keys behind a passphrase: asked for, read from a file or the environment, and never written in the clear."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fedglmm_secure import shell
from fedglmm_secure.errors import InputError
from fedglmm_secure.wire import identity

WORDS = "correct horse battery staple"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text(WORDS + "\n")
    file.chmod(0o600)
    return file


def at_a_terminal(program: str, arguments: list[object], answers: list[str]) -> tuple[int, str]:
    """Run a program on a terminal of its own and type ``answers``: its exit code and all that was shown."""
    master, slave = pty.openpty()
    command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, close_fds=True)
    os.close(slave)
    shown, left = b"", list(answers)
    while select.select([master], [], [], 60.0)[0]:
        try:
            shown += os.read(master, 4096)
        except OSError:  # the program has closed its end
            break
        if left and shown.endswith(b": "):
            os.write(master, left.pop(0).encode() + b"\n")
    code = process.wait(60)
    os.close(master)
    return code, shown.decode()


def test_a_passphrase_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    code, shown = at_a_terminal("fedglmm", ["keys", "new", tmp_path / "k", "--passphrase"], [WORDS, WORDS])
    assert code == 0
    assert WORDS not in shown
    for name in identity.PRIVATE_FILES:
        pem = (tmp_path / "k" / name).read_bytes()
        assert load_pem_private_key(pem, password=WORDS.encode()) is not None
        with pytest.raises(TypeError, match="encrypted"):
            load_pem_private_key(pem, password=None)


@pytest.mark.parametrize(
    ("typed", "sentence"), [([WORDS, "another"], "the two passphrases differ"), (["short"] * 2, "has 5 characters")]
)
def test_a_passphrase_that_will_not_do(tmp_path: Path, typed: list[str], sentence: str) -> None:
    code, shown = at_a_terminal("fedglmm", ["keys", "new", tmp_path / "k", "--passphrase"], typed)
    assert (code, sentence in shown) == (2, True), shown
    assert not (tmp_path / "k").exists()


def protect(deployment, *names: str) -> None:
    """Encrypt the keys that the study already names."""
    for name in names:
        for file in identity.PRIVATE_FILES:
            path = deployment.keys(name) / file
            key = load_pem_private_key(path.read_bytes(), password=None)
            path.write_bytes(
                key.private_bytes(
                    identity.Encoding.PEM,
                    identity.PrivateFormat.PKCS8,
                    identity.BestAvailableEncryption(WORDS.encode()),
                )
            )


def test_a_fit_with_protected_keys(deploy, sites, address, steward, secret: Path) -> None:
    """By the option, by the environment's file, by the environment itself; no clear key in any file afterwards."""
    deployment = deploy()
    protect(deployment, "coordinator", *sites)
    coordinator = deployment.coordinator("--quiet", "--passphrase-file", secret)
    where = address(coordinator)
    joined = [
        deployment.site(sites[0], where, "--quiet", "--passphrase-file", secret),
        deployment.site(sites[1], where, "--quiet", environment={"FEDGLMM_PASSPHRASE_FILE": str(secret)}),
        *(deployment.site(name, where, "--quiet", environment={"FEDGLMM_PASSPHRASE": WORDS}) for name in sites[2:]),
    ]
    assert [program.end() for program in (coordinator, *joined)] == [0] * 5
    log = deployment.out(sites[0]) / "audit.log"
    checked = steward("verify-log", log, "--keys", deployment.keys(sites[0]), "--passphrase-file", secret)
    assert (checked.code, "which is that of" in checked.stdout) == (0, True), checked.stderr
    clear = [
        path for path in deployment.folder.rglob("*") if path.is_file() and b"BEGIN PRIVATE KEY" in path.read_bytes()
    ]
    assert clear == []


def test_a_wrong_certificate_is_still_explained_with_protected_keys(deploy, address, secret: Path) -> None:
    """The look at the certificates needs the key once more."""
    deployment = deploy()
    protect(deployment, "1_UM")
    impostor = deployment.study.replaced(coordinator_certificate=deployment.identities["4_Case"].certificate)
    fooled = deployment.other_study("fooled.toml", impostor)
    where = address(deployment.coordinator())
    site = deployment.site("1_UM", where, "--passphrase-file", secret, study=fooled)
    assert site.end() == 3
    assert "the coordinator has another certificate than the one in the study" in site.error


@pytest.fixture
def protected(tmp_path: Path) -> Path:
    shell.write_identity(tmp_path / "k", identity.generate(WORDS.encode()))
    return tmp_path / "k"


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (b"wrong words altogether\n", 0o600, "signing.key cannot be decrypted with this passphrase"),
        (WORDS.encode(), 0o644, "run `chmod 600 "),
        (b"", 0o600, "must hold the passphrase alone, on one line"),
        (b"two\nlines\n", 0o600, "must hold the passphrase alone, on one line"),
        (b"\xff\xfe", 0o600, "is not UTF-8 text"),
    ],
)
def test_a_passphrase_file_that_will_not_do(
    protected: Path, tmp_path: Path, content: bytes, mode: int, sentence: str
) -> None:
    file = tmp_path / "words"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(InputError) as error:
        shell.read_identity(protected, file)
    assert sentence in str(error.value)
    assert WORDS not in str(error.value)


def test_a_passphrase_that_another_program_writes_into_a_pipe(protected: Path) -> None:
    """As the shell's <(command) has it; it may take a while to come."""
    reading, writing = os.pipe()
    late = threading.Timer(0.2, lambda: (os.write(writing, WORDS.encode() + b"\n"), os.close(writing)))
    late.start()
    try:
        assert shell.read_identity(protected, Path(f"/dev/fd/{reading}"))
    finally:
        late.join()
        os.close(reading)


def test_a_program_without_a_terminal_says_what_is_missing(protected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(InputError, match=r"are encrypted and there is no terminal to ask at; give --passphrase-file"):
        shell.read_identity(protected)


def test_no_passphrase_in_a_repr(protected: Path, secret: Path) -> None:
    own = shell.read_identity(protected, secret)
    assert WORDS not in repr(own)
    assert own.signing.public_bytes
    assert b"BEGIN PRIVATE KEY" in own.clear_tls_key
    assert b"BEGIN PRIVATE KEY" not in b"".join(own.files().values())
