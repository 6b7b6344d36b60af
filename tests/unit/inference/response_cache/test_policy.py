"""What stays out of the cache and what does not: both directions, because a policy that refuses all is no policy."""

import pytest

from medray.inference.response_cache.policy import PLAIN, RequestShape, screen

PERSONAL = [
    "My head hurts, what can I take?",
    "I am 54, can I take aspirin?",
    "im 54 can i take aspirin",
    "I take warfarin, is ibuprofen safe?",
    "I've had a cough since Monday",
    "Should I take aspirin while I am pregnant?",
    "Is ibuprofen safe for me?",
    "Am I at risk of gout?",
    "What can our baby eat?",
    "What dose for my son?",
    "Is the rash on his arm eczema?",
    "She has diabetes, which insulin is right?",
    "Should the patient get heparin?",
    "What should John Smith take for gout?",
    "is maria allowed to take aspirin",
    "Does Hope need a booster?",
    "Mrs Jones has gout, which diet is right?",
    "A 54-year-old man presents with fever; what is the diagnosis?",
    "54 yo with fever, which antibiotic?",
    "What does the result from 12/03/2024 mean?",
    "Is the scan of March 3 normal?",
    "born in 1960, which vaccines are due?",
    "MRN 12345678 potassium 5.9, what to do?",
    "Call 555-123-4567 about metformin",
    "Is the result of AB1234567 normal?",
    "send the dose to a.b@c.de",
    "Which dose did the doctor mean yesterday?",
    "What happens after a stroke three months ago?",
    "can you tell me what dose I took wrong yesterday",
]
GENERAL = [
    "Can I take ibuprofen with lisinopril?",
    "Should I have a colonoscopy at 50?",
    "What should I do if I forget a dose of metformin?",
    "Can you tell me the dose of paracetamol?",
    "Do I need to see a doctor for gout?",
    "Can I drink alcohol while taking metronidazole?",
    "What is Parkinson's disease?",
    "What is Wilson disease?",
    "How does Alexander disease start?",
    "What are the symptoms of Addison's disease?",
    "What is St. John's wort used for?",
    "What is the dose of amoxicillin for a 5-year-old child?",
    "Is 100000 IU of vitamin D safe?",
    "What are the side effects in women over 65?",
    "What may cause headache?",
    "How much is 37.5 mg of tramadol?",
    "What is a normal INR of 2.0-3.0?",
    "ibuprofen dose children",
    "Can a baby have honey before 12 months?",
    "What dose is given 2 times a day for 7 days?",
    "What is the difference between type 1 and type 2 diabetes?",
    "Is the 2-4-6 rule of insulin safe?",
    "What is IL-6?",
    "Does α-tocopherol help?",
]
EMERGENCIES = [
    "What if the chest hurts badly",
    "A child can't breathe and turns blue",
    "What to do in case of emergency or overdose of amiloride?",
    "someone swallowed bleach, what now",
    "how to deal with thoughts to kill myself",
    "he is unconscious, what do I do",
    "The bleeding won’t stop",
    "Which poisons does charcoal bind in acute poisoning?",
]
FOREIGN = [
    "¿Puede mi hijo tomar ibuprofeno para la fiebre?",
    "Какая доза парацетамола?",
    "Wie viel Paracetamol darf man nehmen",
]


@pytest.mark.parametrize("question", PERSONAL)
def test_questions_about_a_person_are_refused(question):
    assert screen(question).refusal is not None


@pytest.mark.parametrize("question", GENERAL)
def test_general_questions_are_allowed(question):
    assert screen(question).refusal is None


@pytest.mark.parametrize("question", EMERGENCIES)
def test_emergencies_are_refused(question):
    found = screen(question)
    assert (found.category, found.refusal) == ("emergency", "emergency")


@pytest.mark.parametrize("question", FOREIGN)
def test_what_the_rules_cannot_read_is_refused(question):
    assert screen(question).refusal is not None


@pytest.mark.parametrize("question", ["", "  ", "???", "12 34"])
def test_no_words_no_cache(question):
    assert screen(question).refusal == "no_words"


def test_length_is_bounded():
    assert screen("What is gout? " * 200).refusal == "too_long"


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (RequestShape(turns=2), "conversation"),
        (RequestShape(turns=0), "conversation"),
        (RequestShape(own_system=True), "own_system_message"),
        (RequestShape(tools=True), "tools"),
        (RequestShape(n=2), "several_answers"),
        (RequestShape(other=True), "special_request"),
    ],
)
def test_only_the_plain_shape_is_allowed(shape, reason):
    assert screen(GENERAL[0], shape).refusal == reason
    assert screen(GENERAL[0], PLAIN).refusal is None


def test_reasons_never_quote(shared_text="Jonesville"):
    assert shared_text not in str(screen(f"What should Mrs {shared_text} take?"))


def test_real_general_questions_are_mostly_allowed(shared_data):
    import pyarrow.parquet as pq

    table = pq.read_table(shared_data / "medquad_questions.parquet", columns=["question", "qtype"])
    rows = [row for row in table.slice(0, 3000).to_pylist() if row["qtype"] != "emergency or overdose"]
    refused = [row for row in rows if screen(row["question"]).refusal is not None]
    assert len(refused) / len(rows) < 0.06
