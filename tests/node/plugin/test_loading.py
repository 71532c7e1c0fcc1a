"""Plugins are found by name and version, read, bound to their source, and loaded; nothing else is."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.errors import OperationError
from node.plugin.loading import find_installed, find_project, install_plugins, load, read_modules
from protocol.contracts import REGISTRY

SAMPLE = Path(__file__).parents[2] / "plugin_sample"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, installed by pip from its folder into one of its own, without the network."""
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(SAMPLE)], check=True)
    return target


@pytest.fixture
def site(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setattr(REGISTRY, "newer", ())
    yield installed
    forget("coop_rosca")


def forget(package: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def refusal(*names: str) -> OperationError:
    with pytest.raises(OperationError) as refused:
        install_plugins(names)
    return refused.value


def write(folder: Path, name: str, text: str, entry: str = "CONTRACT") -> Path:
    (folder / f"{name}.py").write_text(text)
    lines = ["[project]", f'name = "{name}"', 'version = "1.0"', '[project.entry-points."coopd.contracts"]']
    (folder / "pyproject.toml").write_text("\n".join([*lines, f'one = "{name}:{entry}"']) + "\n")
    return folder


def test_an_installed_plugin_is_loaded_when_it_is_named(site: Path) -> None:
    install_plugins(())
    assert REGISTRY.newer == () and "coop_rosca" not in sys.modules
    install_plugins(("coop-rosca==2.0.0",))
    assert [(c.id, c.name, c.version) for c in REGISTRY.newer] == [(1_048, "rosca", 1), (1_048, "rosca", 2)]
    install_plugins(("coop-rosca==2.0.0",))
    assert len(REGISTRY.newer) == 2
    assert all(c.code_hash and REGISTRY.has(c.id, c.version, c.compute_fingerprint()) for c in REGISTRY.newer)


def test_what_is_not_there_or_of_another_version(site: Path) -> None:
    assert refusal("coop-nothing==1.0").slug == "plugin.missing"
    assert refusal("coop-rosca==1.0.0").slug == "plugin.version"
    assert refusal("coop-rosca").slug == "plugin.version", "a plugin is always named with its version"
    assert refusal("").slug == "plugin.missing"
    assert refusal("trio==" + find_version("trio")).slug == "plugin.malformed", "it is no plugin"


def find_version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def test_a_version_is_bound_to_the_modules_that_it_reaches(site: Path, tmp_path: Path) -> None:
    source = find_installed("coop-rosca==2.0.0")
    assert list(read_modules(source, "coop_rosca.first")) == [
        "coop_rosca",
        "coop_rosca.first",
        "coop_rosca.terms",
    ]
    first, second = load(source)
    forget("coop_rosca")
    folder = tmp_path / "copy"
    (folder / "coop_rosca").mkdir(parents=True)
    for file in (*SAMPLE.glob("coop_rosca/*.py"), SAMPLE / "pyproject.toml"):
        (folder / file.relative_to(SAMPLE)).write_bytes(file.read_bytes())
    changed = folder / "coop_rosca" / "second.py"
    changed.write_text(changed.read_text() + "\nOTHER: Final = 1\n")
    sys.path.insert(0, str(folder))
    try:
        same, other = load(find_project(folder))
    finally:
        sys.path.remove(str(folder))
        forget("coop_rosca")
    assert same.compute_fingerprint() == first.compute_fingerprint(), (
        "a later version beside it changes nothing"
    )
    assert other.compute_fingerprint() != second.compute_fingerprint()


def test_what_breaks_a_rule_is_not_even_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = find_project(
        write(tmp_path, "bad_plugin", "import os\nos.environ['BAD_PLUGIN'] = '1'\nCONTRACT = 1\n")
    )
    with pytest.raises(OperationError) as refused:
        load(source)
    assert refused.value.slug == "plugin.refused" and "bad_plugin:1: [import] import os" in refused.value.why
    assert "bad_plugin" not in sys.modules


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("CONTRACT = 1\n", "is no contract"),
        ("OTHER = 1\n", "cannot be loaded"),
        ("X = Y\n", "cannot be loaded"),
    ],
)
def test_what_is_no_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = find_project(write(tmp_path, "odd_plugin", "Y = 1\n" + text if "Y" in text else text))
    with pytest.raises(OperationError) as refused:
        load(source)
    forget("odd_plugin")
    assert refused.value.slug == "plugin.malformed" and why.split()[0] in refused.value.why


def test_a_module_of_that_name_from_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a", "twin_plugin", "CONTRACT = 1\n")
    write(tmp_path / "b", "twin_plugin", "CONTRACT = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path / "a"))
    with pytest.raises(OperationError) as refused:
        load(find_project(tmp_path / "b"))
    forget("twin_plugin")
    assert refused.value.slug == "plugin.malformed" and "was loaded from" in refused.value.why


def test_a_number_or_name_of_another_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from protocol.plugin.v1 import contract\nCONTRACT = contract(2_000, 'assets', 1, 'Takes a name.')\n"
    )
    write(tmp_path, "clash_plugin", text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(REGISTRY, "newer", ())
    monkeypatch.setattr("node.plugin.loading.find_installed", lambda name: find_project(tmp_path))
    assert refusal("clash-plugin==1.0").slug == "plugin.clash"
    forget("clash_plugin")
    assert REGISTRY.newer == ()
