"""A handful of short lessons, and a whole setting of the loop without Ray."""

from medray.distillation.collective import Alone
from medray.distillation.config import DistillConfig
from medray.distillation.loop import Setting
from medray.distillation.lora import add_lora
from medray.distillation.module import DistillationModule
from medray.distillation.teacher import LiveTeacher
from medray.knowledge.lessons import Lesson
from medray.models import prune_depth
from medray.models.tiny import tiny_model

ANSWERS = (
    "Take one tablet with food.",
    "Call the emergency number.",
    "Hand washing prevents many infections in a child, and so does vaccination.",
    "Water.",
)


def lesson(index: int, split: str = "train") -> Lesson:
    return Lesson(
        id=f"row-{index:03d}",
        source="test",
        group=f"group-{index}",
        split=split,
        question="What helps?",
        answer=ANSWERS[index % len(ANSWERS)],
        category="general",
        confidence=1.0,
        system="Answer from evidence.",
        user=f"What is the treatment number {index}?",
        target=ANSWERS[index % len(ANSWERS)],
        prompt_version="1",
    )


def lessons(train: int = 20, valid: int = 5) -> list[Lesson]:
    return [lesson(i) for i in range(train)] + [lesson(100 + i, "valid") for i in range(valid)]


CONFIG = DistillConfig(
    teacher="t",
    student="prune:2",
    data="d",
    steps=4,
    global_batch_size=6,
    micro_batch_size=2,
    num_workers=1,
    max_tokens=128,
    checkpoint_every_steps=2,
    validation={"every_steps": 2, "rows": 5},
    optimiser={"lr_max": 1e-2, "lr_min": 1e-3},
)


def make_setting(encoded, encoded_valid, config=CONFIG, *, collective=None, teacher=None, wrap=None, keep=2):
    student = add_lora(prune_depth(tiny_model(), keep), config.lora, seed=config.seed, name="base")
    return Setting(
        config=config,
        train=encoded,
        valid=encoded_valid,
        total_steps=config.steps,
        pad_id=0,
        device="cpu",
        collective=collective or Alone(),
        module=DistillationModule(student, config.loss),
        teacher=teacher or LiveTeacher(tiny_model()),
        wrap=wrap or (lambda module: module),
    )
