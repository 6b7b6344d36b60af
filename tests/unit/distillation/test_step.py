"""A step's gradient is that of the global mean, however the batch is split; bad numbers stop it."""

from threading import Barrier, Thread

import numpy as np
import pytest
import torch
from distill_samples import CONFIG, make_setting

from medray.distillation.batch import collate
from medray.distillation.collective import Alone
from medray.distillation.losses import cross_entropy_sum, forward_kl_sum
from medray.distillation.step import Work, train_step
from medray.distillation.teacher import FakeTeacher
from medray.errors import TrainingError

ROWS = np.arange(6)


def work(encoded, parts, mine=None):
    return Work(
        mine=range(len(parts)) if mine is None else mine,
        count=len(parts),
        tokens=int(encoded.answer_tokens[ROWS].sum()),
        collate=lambda index: collate(encoded, parts[index], pad_id=0),
        row_ids=lambda index: [encoded.ids[row] for row in parts[index]],
    )


def trained(module):
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def run_step(module, the_work, *, teacher=None, collective=None, clip_norm=1e9):
    optimiser = torch.optim.SGD(trained(module), lr=0.1)
    teacher = teacher or FakeTeacher(384)
    return train_step(
        module, teacher, optimiser, the_work, step=7, clip_norm=clip_norm, collective=collective or Alone()
    )


def module_with_live_adapter(encoded, encoded_valid):
    module = make_setting(encoded, encoded_valid).module
    generator = torch.Generator().manual_seed(1)
    for parameter in trained(module):  # B starts at zero, which would hide half of the gradients
        parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    return module


@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_any_accumulation_gives_the_same_update(encoded, encoded_valid, size):
    whole, parts = (module_with_live_adapter(encoded, encoded_valid) for _ in range(2))
    expected = run_step(whole, work(encoded, [ROWS]))
    got = run_step(parts, work(encoded, [ROWS[i : i + size] for i in range(0, 6, size)]))
    assert got.loss == pytest.approx(expected.loss, rel=1e-5)
    for one, other in zip(trained(whole), trained(parts), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_the_loss_is_the_weighted_mean_over_answer_tokens(encoded, encoded_valid):
    module = module_with_live_adapter(encoded, encoded_valid)
    batch = collate(encoded, ROWS, pad_id=0)
    with torch.no_grad():
        model = module.student.get_base_model()
        logits = model(input_ids=batch.ids).logits[:, :-1][batch.answer[:, 1:]].double()
    teacher = FakeTeacher(384).signal(batch).logits(slice(None)).double()
    ce = float(cross_entropy_sum(logits, batch.targets)) / len(batch.targets)
    kl = float(forward_kl_sum(logits, teacher)) / len(batch.targets)
    result = run_step(module, work(encoded, [ROWS]))
    assert (result.ce, result.kl) == pytest.approx((ce, kl), rel=1e-5)
    assert result.loss == pytest.approx(CONFIG.loss.ce * ce + CONFIG.loss.kl * kl, rel=1e-5)
    assert result.tokens == len(batch.targets)


class Pair:
    """Two threads as two ranks: sums meet at a barrier. Gradients are compared by hand."""

    world_size = 2

    def __init__(self, rank, shared, barrier):
        self.rank, self._shared, self._barrier = rank, shared, barrier

    def total(self, values):
        self._shared[self.rank] = values
        self._barrier.wait()
        return [first + second for first, second in zip(*self._shared, strict=True)]


def test_two_ranks_sum_to_the_gradient_of_one(encoded, encoded_valid):
    parts = [ROWS[:1], ROWS[1:3], ROWS[3:]]  # unequal shares on purpose
    alone = module_with_live_adapter(encoded, encoded_valid)
    run_step(alone, work(encoded, parts))
    modules = [module_with_live_adapter(encoded, encoded_valid) for _ in range(2)]
    shared, barrier, results = [None, None], Barrier(2, timeout=60), [None, None]

    def rank(index, mine):
        results[index] = run_step(modules[index], work(encoded, parts, mine), collective=Pair(index, shared, barrier))

    threads = [Thread(target=rank, args=(0, [0])), Thread(target=rank, args=(1, [1, 2]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0].loss == results[1].loss
    for one, first, second in zip(trained(alone), trained(modules[0]), trained(modules[1]), strict=True):
        mean_over_ranks = (first.grad + second.grad) / 2  # what DistributedDataParallel does
        torch.testing.assert_close(one.grad, mean_over_ranks, rtol=1e-3, atol=1e-6)


def test_a_nan_loss_names_step_and_rows_and_changes_nothing(encoded, encoded_valid):
    module = module_with_live_adapter(encoded, encoded_valid)
    before = [parameter.detach().clone() for parameter in trained(module)]

    class Broken(FakeTeacher):
        def signal(self, batch):
            signal = super().signal(batch)
            if len(batch.ids) == 1:
                signal.rows[0, 0] = float("nan")
            return signal

    with pytest.raises(TrainingError, match=r"step 7: .*NaN.*rows: row-005$"):
        run_step(module, work(encoded, [ROWS[:3], ROWS[3:5], ROWS[5:]]), teacher=Broken(384))
    assert all(torch.equal(old, new) for old, new in zip(before, trained(module), strict=True))


def test_non_finite_gradients_stop_before_the_update(encoded, encoded_valid):
    module = module_with_live_adapter(encoded, encoded_valid)
    trained(module)[0].register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingError, match="finite gradients"):
        run_step(module, work(encoded, [ROWS]))


def test_missing_answer_tokens_are_noticed(encoded, encoded_valid):
    module = module_with_live_adapter(encoded, encoded_valid)
    with pytest.raises(TrainingError, match="answer tokens over all workers"):
        run_step(module, work(encoded, [ROWS[:2], ROWS[2:]], mine=[0]))


def test_gradients_are_clipped(encoded, encoded_valid):
    module = module_with_live_adapter(encoded, encoded_valid)
    result = run_step(module, work(encoded, [ROWS]), clip_norm=1e-3)
    clipped = torch.cat([parameter.grad.flatten() for parameter in trained(module)]).norm()
    assert result.gradient_norm > 1e-3
    assert float(clipped) == pytest.approx(1e-3, rel=1e-3)
