"""From lessons and a teacher to an adapter artifact: the distillation stage (PAPER K3 to K8).

Pure parts (losses, schedule, order, encoding, step) know no Ray; `loop` runs in each worker, `trainer` places the
workers through Ray Train, `artifact` writes what they made. `plan` checks everything that needs no weights first.
"""
