"""Plans as data: rules, the codes that go with them, and what they refuse."""

import json
from pathlib import Path

import pytest

from medray.compression import architecture
from medray.compression.backends.bitsandbytes import quantisation
from medray.compression.plan import FOUR_BIT_CODES, Plan, PlanOptions, paper_plan, uniform_plan
from medray.errors import ConfigError

FIXTURE = Path(__file__).parent / "fixtures" / "deepseek-r1-distill-qwen-7b.json"
QWEN_7B = json.loads(FIXTURE.read_text())
UP, QUERY = "model.layers.0.mlp.up_proj", "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize("bits", [16, 8, 4])
def test_a_uniform_plan_gives_every_projection_the_same_bits(bits):
    plan = uniform_plan(QWEN_7B, bits, PlanOptions(embedding_bits=16))
    assert {count for module, count in plan.bits.items() if ".layers." in module} == {bits}
    assert plan.bits["lm_head"] == plan.bits["model.embed_tokens"] == 16
    assert plan.rule == f"uniform-{bits}"
    plan.check(architecture(QWEN_7B))


def test_the_default_options_are_those_of_the_paper_s_arithmetic():
    plan = paper_plan(QWEN_7B)
    assert (plan.embedding_bits, plan.double_quantisation) == (8, False)
    assert plan.bits["lm_head"] == 8


def test_codes_survive_json_and_name_their_container():
    for container, codes in FOUR_BIT_CODES.items():
        plan = paper_plan(QWEN_7B).with_codes({UP: codes[1]})
        again = Plan.model_validate_json(plan.model_dump_json())
        assert again == plan
        assert again.container == container
        assert again.code_of(UP, container) == codes[1]
        assert again.code_of("model.layers.1.mlp.up_proj", container) == codes[0]
    assert paper_plan(QWEN_7B).container is None


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({UP: "nf5"}, "one container"),
        ({UP: "nf4", "model.layers.1.mlp.up_proj": "q4_0"}, "one container"),
        ({QUERY: "nf4"}, "4 bits"),
        ({"model.layers.99.mlp.up_proj": "nf4"}, "4 bits"),
    ],
)
def test_codes_that_do_not_fit_are_refused(codes, said):
    with pytest.raises(ConfigError, match=said):
        paper_plan(QWEN_7B).with_codes(codes)


def test_a_plan_with_codes_of_one_container_is_not_read_as_another_s():
    plan = paper_plan(QWEN_7B).with_codes({UP: "q4_1"})
    with pytest.raises(ConfigError, match="codes of gguf"):
        plan.code_of(UP, "bitsandbytes")
    with pytest.raises(ConfigError, match="codes of gguf"):
        quantisation(plan)
    assert plan.within("gguf") is plan
    assert plan.within("bitsandbytes") == paper_plan(QWEN_7B)


def test_bitsandbytes_writes_the_codes_of_the_plan():
    form = quantisation(paper_plan(QWEN_7B).with_codes({UP: "fp4"}))
    assert form.modules[UP].code == "fp4"
    assert form.modules["model.layers.1.mlp.up_proj"].code == "nf4"
    assert form.modules["lm_head"].code == form.modules["model.embed_tokens"].code == form.modules[QUERY].code == "int8"
    outer = quantisation(paper_plan(QWEN_7B, PlanOptions(embedding_bits=16)))
    assert not {"lm_head", "model.embed_tokens"} & set(outer.modules)
