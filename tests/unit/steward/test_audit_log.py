"""The audit log: whatever is done to it is found, with the line; whatever a crash cuts off is mended."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import re
import signal
import time
from datetime import UTC, datetime

import pytest

from fedglmm_secure.errors import InputError, RefusalError
from fedglmm_secure.securesum import labels
from fedglmm_secure.securesum.messages import Contribution
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.audit import HEAD, LOG, Head, Subject, subject
from fedglmm_secure.wire.messages import Ready, Wait
from fedglmm_site import audit
from fedglmm_site.audit import AuditLog, verify_log

OWN = identity.generate()
SESSION = bytes(range(32))


def open_log(folder, **changes):
    fields = {"study_digest": bytes(32), "site": "north", "signing": OWN.signing, "peer": b"certificate"} | changes
    return AuditLog(folder, **fields)


def write(folder, messages=2):
    with open_log(folder) as log:
        log.note("joined", study_id="trial")
        log.sent("hello", b"hello")
        for number in range(1, messages + 1):
            log.received("asked:describe", b"question", session=SESSION, number=number)
            log.sent("contribution", bytes([number]) * 50, session=SESSION, number=number)
        log.note("left", text='the result is "there", naïve\nand all')
    return folder / LOG


def verify(path):
    return verify_log(path, path.read_bytes())


@pytest.fixture
def log(tmp_path):
    return write(tmp_path)


def test_a_whole_log_is_found_whole_and_says_what_happened(log):
    lines, head = verify(log)
    assert head.public_key == OWN.signing.public_bytes
    assert [line.number for line in lines] == list(range(1, 9))
    assert [line.kind for line in lines[:4]] == ["begun", "joined", "hello", "asked:describe"]
    contribution = lines[4]
    assert contribution.direction == "sent"
    assert contribution.fields["sum"] == "1"
    assert contribution.fields["bytes"] == "50"
    assert contribution.fields["session"] == SESSION.hex()
    assert contribution.fields["study"] == bytes(32).hex()
    assert contribution.fields["coordinator"] == audit.hashlib.sha256(b"certificate").hexdigest()
    assert contribution.fields["sha256"] == audit.hashlib.sha256(b"\1" * 50).hexdigest()
    assert lines[-1].fields["text"] == 'the result is "there", naïve\nand all'
    assert datetime.fromisoformat(lines[0].time).tzinfo == UTC


def test_the_head_is_not_taken_for_a_damaged_log(log):
    with pytest.raises(InputError, match=r"is the signed end of an audit log.*give the audit\.log beside it"):
        verify(log.with_name(HEAD))


def test_the_chain_is_that_of_sha256sum_over_lines(log):
    raw = log.read_bytes().splitlines(keepends=True)
    for before, line in itertools.pairwise(raw):
        assert re.search(rb"previous=([0-9a-f]{64})\n$", line)[1].decode() == audit.hashlib.sha256(before).hexdigest()


def test_files_are_the_owners_alone(log):
    assert {path.stat().st_mode & 0o777 for path in (log, log.with_name(HEAD))} == {0o600}


def test_every_entry_is_on_disk_before_the_call_returns(tmp_path, monkeypatch):
    synced = []
    with open_log(tmp_path) as log:
        sync = os.fdatasync
        monkeypatch.setattr("os.fdatasync", lambda handle: (sync(handle), synced.append((tmp_path / LOG).read_bytes())))
        log.sent("hello", b"hello")
        assert b" hello " not in synced[0]  # the head first
        assert b" hello " in synced[1]


def test_a_log_is_continued(log):
    write(log.parent)
    lines, _ = verify(log)
    assert len(lines) == 15
    assert [line.kind for line in lines].count("begun") == 1


class TestEveryMutationIsFound:
    @pytest.fixture
    def lines(self, log):
        return log.read_bytes().splitlines(keepends=True)

    def found(self, log, content):
        with pytest.raises(RefusalError) as error:
            verify_log(log, content)
        return str(error.value)

    def test_each_line_deleted(self, log, lines):
        for place in range(len(lines)):
            words = self.found(log, b"".join(lines[:place] + lines[place + 1 :]))
            assert f"line {place + 1} is " in words  # numbered otherwise, or cut off if it is the last

    def test_each_run_of_lines_deleted(self, log, lines):
        for first, last in itertools.combinations(range(len(lines) + 1), 2):
            self.found(log, b"".join(lines[:first] + lines[last:]))

    def test_each_pair_of_lines_swapped(self, log, lines):
        for first, second in itertools.combinations(range(len(lines)), 2):
            moved = list(lines)
            moved[first], moved[second] = moved[second], moved[first]
            assert f"line {first + 1} is numbered {second + 1}: " in self.found(log, b"".join(moved))

    def test_each_line_inserted_anywhere(self, log, lines):
        for place, line in itertools.product(range(len(lines) + 1), (*lines, b"\n", b"note\n")):
            words = self.found(log, b"".join([*lines[:place], line, *lines[place:]]))
            assert re.search(rf"line ({place + 1}|{place + 2}) ", words)

    def test_each_byte_changed(self, log, lines):
        content = b"".join(lines)
        for place in range(len(content)):
            line = content.count(b"\n", 0, place) + 1
            for other in (content[place] ^ 1, ord("\n"), ord(" "), ord("0")):
                if other != content[place]:
                    words = self.found(log, content[:place] + bytes([other]) + content[place + 1 :])
                    assert f"line {line} " in words

    def test_each_byte_deleted(self, log, lines):
        content = b"".join(lines)
        for place in range(len(content)):
            self.found(log, content[:place] + content[place + 1 :])

    def test_truncated_at_each_byte(self, log, lines):
        content = b"".join(lines)
        for size in range(len(content)):
            whole = content.count(b"\n", 0, size)
            assert re.search(rf"lines? {whole + 1} ", self.found(log, content[:size]))

    def test_a_line_rewritten_with_its_chain(self, log, lines):
        """Whoever rewrites all lines after the one that he changes cannot sign the new end."""
        rewritten = [lines[0].replace(b"begun", b"began")]
        for line in lines[1:]:
            digest = audit.hashlib.sha256(rewritten[-1]).hexdigest().encode()
            rewritten.append(re.sub(rb"previous=[0-9a-f]{64}", b"previous=" + digest, line))
        assert "line 8 was changed" in self.found(log, b"".join(rewritten))

    def test_a_line_added_with_its_chain(self, log, lines):
        digest = audit.hashlib.sha256(lines[-1]).hexdigest().encode()
        added = re.sub(rb"previous=[0-9a-f]{64}", b"previous=" + digest, lines[-1]).replace(b"     8 ", b"     9 ")
        assert "line 9 is after its signed end" in self.found(log, b"".join([*lines, added]))

    def test_each_byte_of_its_head_changed(self, log, lines):
        path = log.with_name(HEAD)
        content = path.read_bytes()
        for place in range(0, len(content), 11):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            assert "one of the two copies in audit.head is not" in self.found(log, b"".join(lines))

    def test_both_copies_of_its_head_changed(self, log, lines):
        path = log.with_name(HEAD)
        path.write_bytes(path.read_bytes().replace(b'"signature": "', b'"signature": "A'))
        assert "no copy of it has a valid signature" in self.found(log, b"".join(lines))

    def test_its_head_removed(self, log, lines):
        log.with_name(HEAD).unlink()
        assert "audit.head, its signed end, is missing beside it" in self.found(log, b"".join(lines))

    def test_the_head_of_another_log(self, log, lines, tmp_path):
        (tmp_path / "other").mkdir()
        other = write(tmp_path / "other", messages=1)
        log.with_name(HEAD).write_bytes(other.with_name(HEAD).read_bytes())
        assert "lines 7 to 8 are after its signed end" in self.found(log, b"".join(lines))

    @pytest.mark.parametrize("count", [0, -1, True, 1.0, "1", None, [1]])
    def test_a_signed_head_that_counts_no_lines(self, tmp_path, count):
        """Whoever has a key can sign anything, and hand it over to be verified."""
        signature = OWN.signing.sign(labels.AUDIT_HEAD, count, hashlib.sha256(b"").hexdigest())
        head = Head(count, b"", OWN.signing.public_bytes, signature)
        (tmp_path / HEAD).write_bytes(head.encode() * 2)
        with pytest.raises(RefusalError, match="its head is damaged: no copy of it has a valid signature"):
            verify_log(tmp_path / LOG, b"")

    def test_a_head_that_is_nested_without_end(self, log, lines):
        head = log.with_name(HEAD)
        head.write_bytes(head.read_bytes()[: audit.COPY_BYTES] + b"[" * 100_000)
        assert "one of the two copies in audit.head is not" in self.found(log, b"".join(lines))

    def test_begun_for_another_study_or_site(self, log, lines):
        for old, new in ((b"site=north", b"site=south"), (b"study=00", b"study=01")):
            assert "line 1 was changed" in self.found(log, b"".join([lines[0].replace(old, new, 1), *lines[1:]]))

    def test_join_refuses_a_changed_log_and_leaves_it_alone(self, log, lines):
        for content in (
            b"".join(lines[1:]),
            b"".join(lines[:-2]),
            b"".join(lines).replace(b"bytes=50", b"bytes=51", 1),
        ):
            log.write_bytes(content)
            with pytest.raises(RefusalError, match=r"lines? \d+ .*; keep the folder"):
                open_log(log.parent)
            assert log.read_bytes() == content

    def test_join_refuses_a_log_without_its_head_and_one_of_another_key(self, log):
        with pytest.raises(RefusalError, match="is the audit log of another key; use another --out folder"):
            open_log(log.parent, signing=identity.generate().signing)
        log.with_name(HEAD).unlink()
        with pytest.raises(RefusalError, match="its signed end, is missing"):
            open_log(log.parent)


def write_without_end(log):
    while True:
        log.sent("contribution", b"x", session=SESSION, number=1)


class TestCrashes:
    def test_a_last_line_cut_off_at_each_byte_is_restored_and_noted(self, log):
        content, heads = log.read_bytes(), log.with_name(HEAD).read_bytes()
        last = content.splitlines(keepends=True)[-1]
        for size in range(len(content) - len(last), len(content)):
            log.write_bytes(content[:size])
            log.with_name(HEAD).write_bytes(heads)
            open_log(log.parent).__exit__(None, None, None)
            lines, _ = verify(log)
            assert log.read_bytes().startswith(content)
            assert lines[-1].kind == "repaired"
            assert lines[-1].fields["text"].startswith(f"{len(content) - size} bytes of the last line were cut off")

    def test_a_crash_between_the_head_and_its_line(self, tmp_path, monkeypatch):
        log = open_log(tmp_path)

        def crash(*_):
            raise OSError("power cut")

        with monkeypatch.context() as patched:
            patched.setattr(audit, "append", crash)
            with pytest.raises(OSError, match="power cut"):
                log.sent("hello", b"hello")
        log._close()
        open_log(tmp_path).__exit__(None, None, None)
        lines, _ = verify(tmp_path / LOG)
        assert [line.kind for line in lines] == ["begun", "hello", "repaired"]

    def test_a_copy_of_the_head_that_a_crash_tore(self, tmp_path):
        log = open_log(tmp_path)
        log.sent("hello", b"hello")
        newer = log._copy * audit.COPY_BYTES  # where the next would be written
        log._close()
        head = tmp_path / HEAD
        content = head.read_bytes()
        head.write_bytes(content[:newer] + b"torn" + content[newer + 4 :])
        with open_log(tmp_path) as again:
            again.sent("hello", b"hello")
        lines, _ = verify(tmp_path / LOG)
        assert [line.kind for line in lines] == ["begun", "hello", "repaired", "hello"]

    @pytest.mark.parametrize("room", [1, 241, 421])
    def test_what_does_not_fit_on_a_full_disk_is_written_by_the_next_join(self, tmp_path, full_disk, room):
        size = 2 * audit.COPY_BYTES + room
        with open_log(tmp_path) as log, full_disk(size):
            with pytest.raises(OSError, match=LOG):
                write_without_end(log)
            with pytest.raises(OSError, match=LOG):
                log.note("left", text="which every run notes, however it ended")
        before = (tmp_path / LOG).read_bytes()
        assert before.endswith(b"\n")
        with pytest.raises(RefusalError, match="the next join mends it"):
            verify(tmp_path / LOG)
        open_log(tmp_path).__exit__(None, None, None)
        lines, _ = verify(tmp_path / LOG)
        assert (tmp_path / LOG).read_bytes().startswith(before)
        assert [line.kind for line in lines[-3:]] == ["contribution", "contribution", "repaired"]

    def test_killed_at_any_moment(self, tmp_path):
        moments = random.Random(5)
        for _ in range(25):
            child = os.fork()
            if child == 0:  # pragma: no cover  killed
                with open_log(tmp_path) as log:
                    for number in itertools.count(1):
                        log.sent("contribution", b"x", session=SESSION, number=number)
            time.sleep(moments.uniform(0.01, 0.06))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        open_log(tmp_path).__exit__(None, None, None)
        lines, _ = verify(tmp_path / LOG)
        assert len(lines) > 25

    def test_two_programs_do_not_write_to_one_log(self, tmp_path):
        with open_log(tmp_path), pytest.raises(InputError, match="another fedglmm-site writes to it"):
            open_log(tmp_path)


def test_the_longest_fields_fit_into_a_copy_of_the_head(tmp_path):
    with open_log(tmp_path, site="s" * 64) as log:
        log.note("left", text='é\\"\n' * 5000, study_id="i" * 64)
        log.sent("k" * 60, b"", session=SESSION, number=2**63)
    verify(tmp_path / LOG)


def test_messages_are_named_by_kind_session_and_sum():
    sent = Contribution(SESSION, 3, "north", bytes(64))
    assert subject(sent) == Subject("contribution", SESSION, 3)
    assert subject(Ready("north", SESSION, 3)) == Subject("ready", SESSION, 0)
    assert subject(Wait()) == Subject("wait")
