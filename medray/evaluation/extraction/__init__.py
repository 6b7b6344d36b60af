"""Which option an answer chose: read from what a model wrote, never from its reasoning, and never guessed.

`sections` finds the part of the output that is the answer, `options` reads one option at a place of a text, `claims`
finds the sentences that choose one, `decision` settles what they say together. What contradicts itself, names several
options or none is unparsed, with a reason; an unparsed answer counts as wrong. Pure functions of text.
"""

from medray.evaluation.extraction.abstention import abstains
from medray.evaluation.extraction.decision import Extracted, extract_choice
from medray.evaluation.extraction.sections import Section, answer_section

__all__ = ["Extracted", "Section", "abstains", "answer_section", "extract_choice"]
