"""A short run of the fuzzer over every decoder, and proof that it can find something."""

import pytest

from protocol.errors import Rejected
from tests.fuzz import fuzzer
from tests.fuzz.corpus import build

INPUTS = 24_000


def test_no_decoder_breaks() -> None:
    """The long run is `scripts/fuzz --inputs 1000000`; time limits are judged there."""
    report = fuzzer.run(INPUTS, seed=1)
    assert [finding for finding in report.findings if "CPU time" not in finding.why] == []
    assert report.inputs >= INPUTS - 20
    assert report.accepted > INPUTS // 100, "mutations must reach past the first check"


def test_every_example_is_read() -> None:
    """Guard: what the fuzzer starts from is valid, so its mutations are near misses."""
    for name, (target, examples) in fuzzer.targets(build()).items():
        for example in examples:
            if name == "transaction":
                with pytest.raises(Rejected):  # decodes; its account does not exist on an empty state
                    target(example)
            else:
                target(example)


def test_a_broken_decoder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(data: bytes) -> object:
        return data[10]

    monkeypatch.setattr(fuzzer, "targets", lambda corpus: {"fragile": (fragile, corpus.receipts)})
    report = fuzzer.run(2_000, seed=1)
    assert any("IndexError" in finding.why for finding in report.findings)
