"""One direction of imports, and a light front door."""

import ast
import subprocess
import sys

import pytest

STAGES = ["data", "knowledge", "distillation", "compression", "inference", "serving"]
FOUNDATIONS = {"config", "errors", "artifacts", "models", "log", "cluster", "report", "statistics"}
ENGINE_PROTOCOL = "medray.inference.engine"
TURN_OR_JUDGE = {"tuning", "evaluation"}  # may import every stage; nothing imports them


def allowed(package: str, module: str) -> bool:
    """Tell whether `medray.<package>` may import `module`."""
    parts = module.split(".")
    if parts[0] == "jobs":
        return False
    if parts[0] != "medray" or len(parts) == 1:
        return True
    target = parts[1]
    if target == package or target in FOUNDATIONS or module == ENGINE_PROTOCOL:
        return True
    if package in TURN_OR_JUDGE:
        return target in STAGES
    return package in STAGES and target in STAGES and STAGES.index(target) < STAGES.index(package)


def imports(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module] if node.module != "medray" else [f"medray.{alias.name}" for alias in node.names]
    return found


def breaches(root) -> list[str]:
    found = []
    for path in sorted((root / "medray").rglob("*.py")):
        parts = path.relative_to(root / "medray").with_suffix("").parts
        if parts[0] in ("__init__", "__main__", "cli"):
            continue
        found += [f"{path.name}: {m}" for m in imports(path.read_text()) if not allowed(parts[0], m)]
    return found


def test_imports_go_one_way(root):
    assert breaches(root) == []


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("data", "medray.knowledge"),
        ("models", "medray.compression.plan"),
        ("distillation", "medray.inference.factory"),
        ("compression", "medray.evaluation.tasks"),
        ("serving", "jobs.distill"),
    ],
)
def test_the_rule_itself_refuses_breaches(package, module):
    assert not allowed(package, module)


def test_relative_imports_are_not_used(root):
    for path in (root / "medray").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


@pytest.mark.parametrize("module", ["medray", "medray.knowledge", "medray.config", "medray.cli"])
def test_front_doors_are_light(module):
    code = f"import {module}, sys; print([m for m in ('torch', 'ray', 'vllm', 'transformers') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_public_names_work_and_unknown_ones_do_not():
    import medray

    assert medray.classify("What is the dose of ibuprofen?").category == "medication"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = medray.nonsense
