"""What the rules read: one pair of questions for each thing that language does, equivalent or not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medray.errors import InputError
from medray.inference.response_cache.equivalence import Profile, compare, differences, profile, rules_version

SAME = [
    ("Why do people on lisinopril get a cough?", "Why does lisinopril cause a cough?"),
    ("Is it possible for stress to cause psoriasis?", "Can stress cause psoriasis?"),
    ("Is smoking a risk factor for stroke?", "Does smoking raise the risk of having a stroke?"),
    ("Does smoking cause lung cancer?", "Is lung cancer caused by smoking?"),
    ("Is hair loss a side effect of methotrexate?", "Can methotrexate cause hair loss as a side effect?"),
    ("What is the effect of smoking on wound healing?", "What effect does smoking have on wound healing?"),
    ("Psoriasis isn't contagious, is it?", "Is psoriasis contagious?"),
    ("Chickenpox: how long are children infectious?", "How long are children with varicella infectious?"),
    ("Can lupus affect the kidneys?", "Can the kidneys be affected by SLE (lupus)?"),
    ("Is tamoxifen taken for five years or ten?", "Should tamoxifen be taken for 5 or 10 years?"),
    ("How is hand-foot-and-mouth disease treated?", "What is the treatment for hand, foot and mouth disease?"),
    ("What are the symptoms of MS?", "What are the symptoms of multiple sclerosis?"),
    ("How is IM penicillin given?", "How is intramuscular penicillin given?"),
    ("How soon can one drive after a hysterectomy?", "When can people drive after a hysterectomy?"),
    ("What causes raised potassium?", "What are the causes of high potassium levels?"),
    ("type 1 vs type 2 diabetes: what is the difference?", "How do type 1 diabetes and type 2 diabetes differ?"),
    (
        "Why is the risk of clots raised by the contraceptive pill?",
        "Why does the contraceptive pill raise the risk of clots?",
    ),
]
APART = [
    ("What is gout and what causes it?", "What causes gout?"),
    ("Why do people on insulin get depression?", "Why do people with depression get insulin?"),
    ("Which foods should people with gout eat?", "Which foods should people with gout avoid?"),
    ("Do people on aspirin get asthma?", "Do people with asthma get aspirin?"),
    ("Does skin cancer spread?", "Is skin cancer transmitted?"),
    ("Are people with asthma at higher risk of obesity?", "Are people with obesity at higher risk of asthma?"),
    ("What does asthma do to obesity?", "What does obesity do to asthma?"),
    ("What does diabetes cause?", "What causes diabetes?"),
    ("What increases potassium?", "What does potassium increase?"),
    ("Can dogs infect cats with ringworm?", "Can cats infect dogs with ringworm?"),
    ("Treatment of depression in people with epilepsy", "Treatment of epilepsy in people with depression"),
    ("Treatment of sarcoidosis in people with asthma", "Treatment of asthma in people with sarcoidosis"),
    ("Can ibuprofen be given for asthma?", "Can ibuprofen be given to people with asthma?"),
    ("Is a fever a symptom of malaria?", "Is malaria a symptom of fever?"),
    ("What are the symptoms of Larsen syndrome?", "What are the symptoms of Larsen-like syndrome?"),
    ("What causes Nikolsky sign?", "What is Nikolsky sign?"),
    ("Which foods reduce blood pressure?", "Which foods are for low blood pressure?"),
    ("How long after surgery can exercise start?", "How long after exercise can surgery start?"),
    ("How should zolpidem be used and what is the dose?", "What is the dose of zolpidem?"),
    ("What is the dose of blorvatin?", "What is the dose of blorvastin?"),
    ("Can a person with epilepsy take tramadol?", "Can a person taking tramadol get epilepsy?"),
    ("Is hemochromatosis inherited?", "Is hereditary hemochromatosis inherited?"),
    ("Does stress frobnicate asthma?", "Does asthma frobnicate stress?"),
    ("What does tea frobnicate?", "What frobnicates tea?"),
    ("Is stress frobnicated by asthma?", "Is asthma frobnicated by stress?"),
    ("Does ibuprofen blunt the effect of aspirin?", "Does aspirin blunt the effect of ibuprofen?"),
    ("Does ibuprofen frobnicate the action of aspirin?", "Does aspirin frobnicate the action of ibuprofen?"),
    ("What does a high CRP mean?", "What does a high CRPS mean?"),
    ("Pain on the left after surgery on the right", "Pain on the right after surgery on the left"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_one_meaning_in_two_wordings(a, b):
    assert differences(a, b) == []


@pytest.mark.parametrize(("a", "b"), APART)
def test_two_meanings_in_like_words(a, b):
    assert differences(a, b)


@given(st.text(max_size=80))
def test_any_text_is_equivalent_to_itself_and_its_profile_can_be_stored(text):
    found = profile(text)
    assert compare(found, found) == []
    assert Profile.decode(found.encode()) == found


@given(st.sampled_from(SAME + APART), st.sampled_from(SAME + APART))
def test_comparison_is_symmetric_and_equality_of_profiles(first, second):
    a, b = profile(first[0]), profile(second[1])
    there, back = compare(a, b), compare(b, a)
    assert there == back
    assert (there == []) == (a == b)


@given(st.from_regex(r"[b-df-hj-np-tv-z]{7,12}", fullmatch=True), st.sampled_from(["the dose of", "the cause of"]))
def test_a_word_that_no_lexicon_holds_keeps_questions_apart(word, asked):
    """Safety by default: content that only one question has is a reason against."""
    assert differences(f"What is {asked} {word}?", f"What is {asked} {word}x?")
    assert differences(f"What is {asked} gout?", f"What is {asked} gout with {word}?")


@pytest.mark.parametrize(("a", "b"), APART)
def test_reasons_hold_no_word_of_a_question(a, b):
    reasons = " ".join(differences(a, b)).casefold()
    assert not [word for word in ("diabetes", "ringworm", "epilepsy", "larsen", "blorvatin") if word in reasons]


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps([["a"]] * 3)])
def test_another_shape_is_no_profile(text):
    with pytest.raises(InputError, match="profile"):
        Profile.decode(text)


def test_the_version_names_rules_and_lists():
    assert len(rules_version()) == 16
    assert rules_version() == rules_version()
