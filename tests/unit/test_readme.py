"""The README tells the truth: its tree, its commands and its links exist, and its output is what was recorded."""

import json
import re

import pytest
from click.testing import CliRunner

from jobs.readme import quickstart_block, tree_block


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text()


def block(readme, name):
    return readme.split(f"<!-- {name}:begin -->\n")[1].split(f"<!-- {name}:end -->")[0]


def test_file_tree_is_the_real_one(readme, root):
    assert block(readme, "tree") == tree_block(root)


def test_quickstart_output_is_the_recorded_one(readme, root):
    recorded = json.loads((root / "docs/results/quickstart.json").read_text())
    assert block(readme, "quickstart") == quickstart_block(recorded)


def test_make_targets_exist(readme, root):
    makefile = (root / "Makefile").read_text()
    targets = set(re.findall(r"`?make ([a-z]+)", readme))
    assert {"quickstart", "test", "serve", "setup", "check"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_modules_and_files_named_exist(readme, root):
    for module in set(re.findall(r"python -m (jobs\.\w+)", readme)):
        assert (root / f"{module.replace('.', '/')}.py").is_file(), module
    for path in set(re.findall(r"(?:jobs/configs|serve_configs|docs)/[\w.-]+\.\w+", readme)):
        assert (root / path).is_file(), path
    for link in re.findall(r"\]\(((?!http)[^)#]+)\)", readme):
        assert (root / link).exists(), link


def test_medray_commands_exist(readme):
    from medray.cli import main

    for name in set(re.findall(r"bin/medray (\w+)", readme)) | {"doctor", "models"}:
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0, name


def test_it_says_what_it_is_not(readme):
    assert "not a medical device" in readme
    assert "have not been run" in readme.replace("**", "").replace("\n  ", " ")
