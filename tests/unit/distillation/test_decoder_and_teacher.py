"""The parts that talk to a model, against the model's own forward pass."""

import pytest
import torch

from medray.distillation.config import LoraSettings
from medray.distillation.decoder import answer_states, head, require_plain_head
from medray.distillation.lora import add_lora
from medray.distillation.student import pruned_from
from medray.distillation.teacher import FakeTeacher, LiveTeacher
from medray.errors import ModelError
from medray.models import prune_depth
from medray.models.tiny import tiny_model

ALL = slice(None)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_answer_logits_are_the_models_own_under_a_padding_mask(batch, family):
    model = tiny_model(family=family)
    mask = batch.ids != 0
    with torch.no_grad():
        whole = model(input_ids=batch.ids, attention_mask=mask.long()).logits
        got = head(model)(answer_states(model, batch))
    assert got.shape == (len(batch.targets), 384)
    torch.testing.assert_close(got, whole[:, :-1][batch.answer[:, 1:]], rtol=1e-4, atol=1e-5)


def test_the_live_teacher_gives_its_logits_and_no_gradient(batch):
    model = tiny_model()
    signal = LiveTeacher(model).signal(batch)
    with torch.no_grad():
        expected = head(model)(answer_states(model, batch))
    assert not signal.logits(ALL).requires_grad
    torch.testing.assert_close(signal.logits(ALL), expected)
    torch.testing.assert_close(signal.logits(slice(2, 5)), expected[2:5])
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_fake_teacher_is_deterministic(batch):
    first, second = (FakeTeacher(384, seed=4).signal(batch).logits(ALL) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, FakeTeacher(384, seed=5).signal(batch).logits(ALL))
    assert first.shape == (len(batch.targets), 384)


def test_a_family_that_scales_its_logits_is_refused():
    model = tiny_model()
    require_plain_head(model, "plain")
    forward = model.forward

    def scaled(*args, **kwargs):
        output = forward(*args, **kwargs)
        output.logits = output.logits * 0.5
        return output

    model.forward = scaled
    with pytest.raises(ModelError, match="scaled: its family"):
        require_plain_head(model, "scaled")


def test_a_student_shares_the_teachers_tensors_and_leaves_it_alone(batch):
    """The pruned student equals one built by itself; its adapter changes nothing in the teacher."""
    teacher = tiny_model()
    with torch.no_grad():
        before = teacher(input_ids=batch.ids).logits
    student = pruned_from(teacher, 2)
    alone = prune_depth(tiny_model(), 2)
    assert {id(p) for p in student.parameters()} <= {id(p) for p in teacher.parameters()}
    with torch.no_grad():
        assert torch.equal(student(input_ids=batch.ids).logits, alone(input_ids=batch.ids).logits)
    adapted = add_lora(student, LoraSettings(), seed=0, name="base")
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data.fill_(0.1)
    with torch.no_grad():
        assert torch.equal(teacher(input_ids=batch.ids).logits, before)
    assert teacher.config.num_hidden_layers == 4
    assert not any("lora_" in name for name, _ in teacher.named_parameters())
