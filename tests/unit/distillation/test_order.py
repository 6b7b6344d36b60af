import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medray.distillation.order import TrainingOrder, micro_batches, padded_tokens, share, step_seed


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5), st.integers(0, 3))
def test_every_epoch_holds_every_row_once(rows, size, epochs, seed):
    order = TrainingOrder(seed=seed, rows=rows, global_batch_size=size)
    steps = order.total_steps(epochs)
    stream = np.concatenate([order.batch(step) for step in range(steps)]) if steps else np.zeros(0)
    assert len(stream) == steps * size >= rows * epochs
    for epoch in range(epochs):
        assert sorted(stream[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


def test_a_step_does_not_depend_on_those_before_it():
    walked = TrainingOrder(seed=3, rows=50, global_batch_size=7)
    earlier = [walked.batch(step) for step in range(30)]
    assert np.array_equal(TrainingOrder(seed=3, rows=50, global_batch_size=7).batch(29), earlier[29])


def test_seeds_and_epochs_differ():
    first = TrainingOrder(seed=0, rows=100, global_batch_size=100)
    assert not np.array_equal(first.batch(0), first.batch(1))
    assert not np.array_equal(first.batch(0), TrainingOrder(seed=1, rows=100, global_batch_size=100).batch(0))
    assert step_seed(0, 1, 0) != step_seed(0, 1, 1) != step_seed(0, 2, 0)


@given(st.data(), st.integers(1, 6), st.integers(1, 9))
def test_micro_batches_and_shares_partition_the_batch(data, world, size):
    rows = np.arange(data.draw(st.integers(1, 60)))
    lengths = np.asarray(data.draw(st.lists(st.integers(1, 300), min_size=len(rows), max_size=len(rows))), np.int32)
    batches = micro_batches(rows, lengths, size)
    assert all(len(batch) <= size for batch in batches)
    assert sorted(np.concatenate(batches)) == list(rows)
    shares = [share(padded_tokens(batches, lengths), rank, world) for rank in range(world)]
    assert sorted(index for mine in shares for index in mine) == list(range(len(batches)))
    if len(batches) >= world:
        assert all(shares)  # an idle rank would leave the others waiting


def test_shares_are_balanced():
    costs = [100] * 8
    assert [len(share(costs, rank, 4)) for rank in range(4)] == [2, 2, 2, 2]
