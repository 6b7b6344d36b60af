"""The terms against references written out in numpy's float64, and against finite differences."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from medray.distillation.losses import cross_entropy_sum, forward_kl_sum


def log_softmax(x):
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def reference_kl(student, teacher, temperature, shared):
    p, q = log_softmax(teacher[:, :shared] / temperature), log_softmax(student[:, :shared] / temperature)
    return temperature**2 * (np.exp(p) * (p - q)).sum()


@pytest.fixture
def logits():
    generator = np.random.default_rng(0)
    return generator.normal(0, 3, (9, 31)), generator.normal(0, 3, (9, 31)), generator.integers(0, 31, 9)


def test_cross_entropy_is_the_reference(logits):
    student, _, targets = logits
    expected = -log_softmax(student)[np.arange(9), targets].sum()
    got = cross_entropy_sum(torch.tensor(student, dtype=torch.float32), torch.tensor(targets))
    assert float(got) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_kl_is_the_reference(logits, temperature):
    student, teacher, _ = logits
    got = forward_kl_sum(
        torch.tensor(student, dtype=torch.float32), torch.tensor(teacher, dtype=torch.float32), temperature=temperature
    )
    assert float(got) == pytest.approx(reference_kl(student, teacher, temperature, 31), rel=1e-5)


def test_kl_points_forward(logits):
    """KL(T || S) and KL(S || T) differ; the reference would not notice a swap of a symmetric input."""
    student, teacher, _ = (torch.tensor(value) for value in logits)
    assert float(forward_kl_sum(student, teacher)) != pytest.approx(float(forward_kl_sum(teacher, student)), rel=1e-2)


def test_equal_distributions_cost_nothing(logits):
    student = torch.tensor(logits[0])
    assert float(forward_kl_sum(student, student + 5.0)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("student_padding", "teacher_padding"), [(0, 4), (4, 0)])
def test_padded_vocabularies_compare_their_real_tokens(logits, student_padding, teacher_padding):
    student, teacher, _ = logits
    padded_student = np.pad(student, ((0, 0), (0, student_padding)), constant_values=7.0)
    padded_teacher = np.pad(teacher, ((0, 0), (0, teacher_padding)), constant_values=7.0)
    got = forward_kl_sum(torch.tensor(padded_student), torch.tensor(padded_teacher))
    assert float(got) == pytest.approx(reference_kl(student, teacher, 1.0, 31), rel=1e-12)


def test_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(3, 7, dtype=torch.float64, generator=generator, requires_grad=True)
    teacher = torch.randn(3, 9, dtype=torch.float64, generator=generator)
    targets = torch.tensor([0, 6, 3])
    assert torch.autograd.gradcheck(lambda x: cross_entropy_sum(x, targets), (student,))
    assert torch.autograd.gradcheck(lambda x: forward_kl_sum(x, teacher, temperature=1.7), (student,))


def test_half_precision_is_summed_in_single(logits):
    student, teacher, _ = (torch.tensor(value) for value in logits)
    got = forward_kl_sum(student.bfloat16(), teacher.bfloat16())
    assert got.dtype == torch.float32
    exact = forward_kl_sum(student.bfloat16().double(), teacher.bfloat16().double())
    assert float(got) == pytest.approx(float(exact), rel=1e-5)


def test_importable_without_ray():
    code = "import sys, medray.distillation.losses; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
