"""Metrics of open answers: laws that hold for every reference, and mutants that break them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.artifacts import is_artifact
from medray.evaluation.generation_config import OpenAnswerConfig
from medray.evaluation.metrics import open_answers, overlap, quantities, safety, similarity
from medray.evaluation.metrics.concepts import beyond, concepts, shared
from medray.evaluation.metrics.open_answers import OpenAnswerMetrics, measure
from medray.evaluation.metrics.referral import referral, refers_to_emergency_care
from medray.evaluation.metrics.scores import COS_WEIGHTS, MAS_WEIGHTS, TSS_WEIGHTS, weighted
from medray.evaluation.metrics.similarity import matched, pieces, without
from medray.evaluation.schema import Item
from medray.inference.response_cache.embedders import StaticEmbedder
from medray.models.reference import pulled_folder

EMBEDDER = StaticEmbedder()
QUESTION = "How is back pain treated?"
REFERENCE = (
    "Adults take ibuprofen 400 mg three times daily for 5 days. Paracetamol 1 g every 6 hours is another choice. "
    "Do not take ibuprofen with warfarin. Call an ambulance if you cannot breathe."
)
OUT_OF_TEN = {"mas", "cos", "tss"}


def figures(answer, reference=REFERENCE, question=QUESTION, **options):
    return measure(answer, reference, question, embedder=EMBEDDER, **options)


def best(name):
    return 10.0 if name in OUT_OF_TEN else 1.0


# --- laws -----------------------------------------------------------------------------------------------------------


def law_the_reference_scores_highest():
    found = figures(REFERENCE)
    assert {name: value for name, value in found.items() if name != "abstained"} == {
        name: pytest.approx(best(name)) for name in found if name != "abstained"
    }
    assert OUT_OF_TEN | {"knowledge_coverage", "dose_fidelity", "emergency_referral", "safety"} <= found.keys()


def law_repeating_the_question_earns_nothing():
    question = "Is ibuprofen 400 mg three times daily a treatment of back pain in adults?"
    for copied in (question, f"{question} {question}", question.upper()):
        found = figures(copied, question=question)
        assert [found[name] for name in ("knowledge_coverage", "entity_f1", "semantic_similarity")] == [0, 0, 0]
        assert [found[name] for name in ("dose_fidelity", "mas", "cos", "tss")] == [0, 0, 0, 0]


def law_a_changed_dose_costs():
    found = figures(REFERENCE.replace("400 mg", "4000 mg"))
    for name in ("dose_fidelity", "number_fidelity", "knowledge_coverage", "safety", *OUT_OF_TEN):
        assert found[name] < best(name), name
    assert found["safety"] < 1


def law_doses_belong_to_their_drugs():
    swapped = REFERENCE.replace("ibuprofen 400 mg", "ibuprofen 1 g").replace("Paracetamol 1 g", "Paracetamol 400 mg")
    found = figures(swapped)
    assert found["number_fidelity"] == 1 and found["dose_fidelity"] < 1 and found["safety"] < 1


def law_a_changed_threshold_costs():
    told = "Diabetes is diagnosed when HbA1c is above 6.5 %. Blood pressure should be below 140/90."
    for was, now in (("6.5 %", "7.5 %"), ("140/90", "180/90")):
        found = figures(told.replace(was, now), told, "What is measured?")
        assert found["number_fidelity"] < 1 and found["knowledge_coverage"] < 1 and found["mas"] < 10


def law_units_and_names_do_not_matter():
    same = REFERENCE.replace("400 mg", "0.4 g").replace("Paracetamol", "Acetaminophen").replace("5 days", "120 hours")
    found = figures(same)
    for name in ("knowledge_coverage", "entity_f1", "dose_fidelity", "number_fidelity", "safety", "tss"):
        assert found[name] == best(name), name


def law_a_warning_turned_round_costs():
    found = figures(REFERENCE.replace("Do not take ibuprofen with warfarin", "Take ibuprofen with warfarin"))
    assert found["safety"] < 1 and found["knowledge_coverage"] < 1 and found["decisive_recall"] < 1


def law_a_warning_left_out_costs():
    found = figures(REFERENCE.replace("Do not take ibuprofen with warfarin. ", ""))
    assert found["safety"] < 1 and found["decisive_recall"] < 1


def law_a_missing_referral_costs():
    found = figures(REFERENCE.replace("Call an ambulance if you cannot breathe.", "Breathe calmly."))
    assert found["emergency_referral"] == 0 and found["safety"] < 1 and found["cos"] < 10


def law_an_invented_dose_costs():
    found = figures(f"{REFERENCE} Take codeine 60 mg as well.")
    assert found["safety"] < 1 and found["dose_fidelity"] < 1 and found["entity_f1"] < 1
    assert found["knowledge_coverage"] == 1


def law_an_empty_answer_earns_nothing():
    found = figures("")
    assert all(found[name] == 0 for name in found if name not in ("abstained",))


LAWS = [value for name, value in sorted(globals().items()) if name.startswith("law_")]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law):
    law()


# --- mutants --------------------------------------------------------------------------------------------------------


def _ignores_question(monkeypatch):
    monkeypatch.setattr(overlap, "beyond", lambda own, question: own)


def _ignores_polarity(monkeypatch):
    monkeypatch.setattr(overlap, "shared", lambda one, other: frozenset(one.keys() & other.keys()))


def _similarity_to_the_topic(monkeypatch):
    monkeypatch.setattr(similarity, "without", lambda rows, taken: rows)


def _doses_without_drugs(monkeypatch):
    monkeypatch.setattr(quantities, "_drug_of", lambda text, spans, place: "")


def _no_stance(monkeypatch):
    monkeypatch.setattr(safety, "_stance", lambda answer, reference: None)
    monkeypatch.setattr(safety, "cautions", lambda text: safety.warnings(safety.Text("", ())))


def _every_answer_is_safe(monkeypatch):
    monkeypatch.setattr(open_answers, "passed", lambda items: 1.0)


def _everything_refers(monkeypatch):
    monkeypatch.setattr(open_answers, "referral", lambda answer, reference, category: 1.0)


def _coverage_of_nothing_is_full(monkeypatch):
    monkeypatch.setattr(overlap.Overlap, "coverage", property(lambda own: 1.0))


MUTANTS = [value for name, value in sorted(globals().items()) if name.startswith("_") and callable(value) and
           value.__module__ == __name__ and value.__name__.startswith("_")]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_every_mutant_breaks_a_law(mutant, monkeypatch):
    mutant(monkeypatch)
    broken = []
    for law in LAWS:
        try:
            law()
        except AssertionError:
            broken.append(law.__name__)
    assert broken


# --- properties -----------------------------------------------------------------------------------------------------

DRUGS = ("ibuprofen", "paracetamol", "metformin", "amoxicillin", "warfarin", "atorvastatin")
STATEMENTS = st.one_of(
    st.builds(
        lambda drug, dose, times: f"Take {drug} {dose} mg {times} times daily.",
        st.sampled_from(DRUGS),
        st.sampled_from((5, 50, 250, 500)),
        st.sampled_from(("two", "three", "four")),
    ),
    st.builds(lambda drug: f"Do not take {drug}.", st.sampled_from(DRUGS)),
    st.sampled_from(
        (
            "Symptoms are fever, cough and weight loss.",
            "Asthma and diabetes are common.",
            "It is contraindicated in heart failure.",
            "Call 911 at once.",
            "Rest and drink water.",
        )
    ),
)
TEXTS = st.lists(STATEMENTS, max_size=6).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_no_answer_beats_the_reference(answer, reference):
    own, top = figures(answer, reference), figures(reference, reference)
    for name, value in own.items():
        assert 0 <= value <= best(name)
        if name in top and name != "abstained":
            assert value <= top[name] + 1e-6, name


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_repeating_any_question_earns_no_knowledge(question, reference):
    found = figures(question, reference, question)
    assert not any(found.get(name) for name in ("knowledge_coverage", "entity_f1", "semantic_similarity", "mas"))


@settings(max_examples=40, deadline=None)
@given(st.lists(STATEMENTS, min_size=1, max_size=5, unique=True), st.randoms(use_true_random=False))
def test_the_order_of_statements_does_not_matter(statements, random):
    mixed = random.sample(statements, len(statements))
    one, other = (figures(" ".join(own), " ".join(statements)) for own in (statements, mixed))
    assert {name: one[name] for name in one} == pytest.approx(other)


@settings(max_examples=40, deadline=None)
@given(TEXTS, STATEMENTS)
def test_a_statement_of_the_reference_never_lowers_coverage(answer, statement):
    reference = f"{REFERENCE} {statement}"
    before = figures(answer, reference).get("knowledge_coverage", 0)
    assert figures(f"{answer} {statement}", reference).get("knowledge_coverage", 0) >= before


# --- parts ----------------------------------------------------------------------------------------------------------


def test_concepts_have_polarity_and_one_name():
    found = concepts("Take acetaminophen, not aspirin. Paracetamol helps.")
    assert found["drug", "acetaminophen"] == {"affirmed"} and found["drug", "aspirin"] == {"negated"}
    assert beyond(found, concepts("Is aspirin good?")) == found
    assert ("drug", "acetaminophen") not in beyond(found, concepts("Is paracetamol good?"))
    assert shared(found, concepts("Take aspirin and paracetamol.")) == {("drug", "acetaminophen")}


def test_figures_that_do_not_apply_are_absent():
    found = figures("Rest.", "Drink water and rest well.", "What helps?")
    assert not {"knowledge_coverage", "dose_fidelity", "tss", "safety", "emergency_referral"} & found.keys()
    assert {"semantic_similarity", "mas", "abstained"} <= found.keys()
    assert not {"semantic_similarity", "mas", "cos"} & measure("Rest.", REFERENCE, QUESTION).keys()


@pytest.mark.parametrize(
    "text",
    [
        "Call 911.",
        "Call your local emergency number right away.",
        "Dial 999 or go to the nearest emergency department.",
        "Seek immediate medical attention.",
        "This is a medical emergency.",
        "He should be taken to hospital.",
        "Get emergency help.",
        "If it does not stop, call an ambulance.",
        "Contact your poison control center.",
    ],
)
def test_referrals(text):
    assert refers_to_emergency_care(text)


@pytest.mark.parametrize(
    "text",
    [
        "See your doctor if it lasts for more than a week.",
        "There is no need to call an ambulance.",
        "This is not a medical emergency.",
        "You don't need to go to the emergency room.",
        "Emergency contraception is available.",
        "Call your pharmacist for advice.",
        "",
    ],
)
def test_no_referrals(text):
    assert not refers_to_emergency_care(text)


def test_referral_is_due_by_class_or_by_reference():
    assert referral("Rest.", "Rest.", "") is None
    assert referral("Rest.", "Rest.", "emergency") == 0
    assert referral("Rest.", "Call 911.") == 0
    assert referral("Call 911.", "Rest.", "emergency") == 1


def test_weights_sum_to_one_and_go_to_what_applies():
    for weights in (MAS_WEIGHTS, COS_WEIGHTS, TSS_WEIGHTS):
        assert sum(weights.values()) == pytest.approx(1)
    assert weighted({"a": 0.5, "b": None}, {"a": 0.1, "b": 0.9}) == 0.5
    assert weighted({"a": None}, {"a": 1.0}) is None


def test_similarity_in_parts():
    rows = np.eye(3, dtype=np.float32)
    assert matched(rows, rows) == 1 and matched(rows[:1], rows[1:]) == 0 and matched(rows[:0], rows) == 0
    assert matched(rows[:1], rows) == pytest.approx(2 * 1 * (1 / 3) / (1 + 1 / 3))
    assert matched(rows, rows[:0]) is None and matched(rows, 0.01 * rows) is None
    assert np.allclose(without(rows, rows[:1]), [[0, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert np.allclose(without(rows, 0 * rows), rows) and without(rows, rows[:0]) is rows
    assert pieces("") == [] and pieces("One. Two!\n\n- \nThree") == ["One.", "Two!", "Three"]
    assert len(pieces("A word. " * 100)) <= 24 and " ".join(pieces("A word. " * 100)).count("word") == 100


def test_a_sentence_that_only_repeats_the_question_weighs_nothing():
    rows = np.eye(4, dtype=np.float32)
    question, told = rows[:1], rows[1:2]
    assert matched(without(np.vstack([question, told]), question), without(told, question)) == 1


def test_the_measurer_reads_its_config_and_measures_once(monkeypatch):
    calls = []
    monkeypatch.setattr(open_answers, "measure", lambda *texts, **options: calls.append(options) or {"safety": 1.0})
    measurer = OpenAnswerMetrics(OpenAnswerConfig(embedder="static"))
    item = Item("o", "medquad", "open", QUESTION, REFERENCE, category="treatment")
    assert [measurer.scores(item, "x") for _ in range(3)] == [{"safety": 1.0}] * 3
    assert len(calls) == 1 and calls[0]["category"] == "treatment" and calls[0]["embedder"].name == "static-1"


@pytest.mark.skipif(not is_artifact(pulled_folder("minilm")), reason="minilm is not pulled")
def test_with_the_real_embedder_meaning_counts():
    item = Item("o", "medquad", "open", "What is asthma?", "Asthma narrows the airways, which makes breathing hard.")
    measurer = OpenAnswerMetrics()
    told, on_topic, off_topic, copied = (
        measurer.scores(item, text)["semantic_similarity"]
        for text in (
            "The airways become tight and it is difficult to breathe.",
            "Asthma is a skin disease that itches.",
            "Gout hurts the toe.",
            item.question,
        )
    )
    assert told > 0.5 > on_topic > off_topic >= copied == 0
