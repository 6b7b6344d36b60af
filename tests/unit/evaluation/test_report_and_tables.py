"""One offline file without question text; whose number is whose in every table."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from evaluation_fakes import item, items, outcome

from medray.evaluation.quality import quality
from medray.evaluation.report import NOTICE, page
from medray.evaluation.rows import rows_of
from medray.evaluation.runner import failed
from medray.evaluation.summary import summarise
from medray.evaluation.tables import CLAIMED, MEASURED, Figure, Measured, overview, table
from medray.evaluation.tables_paper import PAPER
from medray.evaluation.tables_runs import accuracy_table, resources_table
from medray.report import html_table, markdown_table

GIB = 1 << 30


def made(of, **changes):
    return {one.id: [outcome(one, 0, **changes)] for one in of}


@pytest.fixture(scope="module")
def summary():
    exam = items(60, question="A <b>secret</b> question")
    opened = [
        item(number, task="medquad", options=0, answer=0, kind="open", answer_index=None, stratum="")
        for number in range(30)
    ]
    outcomes = made(exam) | {exam[3].id: [failed(exam[3], "WorkerDied")], exam[4].id: [outcome(exam[4], None)]}
    for number, one in enumerate(opened):
        outcomes[one.id] = [
            outcome(one, None, 0, (), scores={"knowledge_coverage": number / 30, "loglikelihood": -9.0})
        ]
    rows = rows_of([*exam, *opened], outcomes)
    provenance = {"command": "python -m jobs.evaluate", "commit": "abc", "seed": 0, "config_hash": "1"}
    machine = {"processor": "P", "cores": 2, "memory_gb": 1.0, "system": "L", "python": "3"}
    return {
        "model": "a<i>model",
        "mode": "generate",
        "level": 0.95,
        "tasks": summarise(rows),
        "plan": {
            "medqa": {
                "n": 60,
                "available": 60,
                "rejected": {"no_key": 2},
                "detectable_from_chance": 0.1,
                "detectable_between_models": 0.2,
            }
        },
        "quality": quality(rows),
        "weights_bytes": 2 * 10**9,
        "run": {"seconds": 1.0, "items_in_it": 90, "peak_bytes": 3 * 10**9},
        "config": {"generation": {"repeats": 1}},
        "provenance": provenance | {"machine": machine},
    }


class Checker(HTMLParser):
    """Collects what a browser would fetch or run, and tags that are not closed."""

    VOID = ("meta", "br", "link", "img", "input")

    def __init__(self):
        super().__init__()
        self.fetched, self.open, self.ids, self.links = [], [], set(), []

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids |= {own["id"]} if "id" in own else set()
        self.links += [own["href"]] if tag == "a" else []
        self.fetched += [tag] if tag in ("script", "link", "img", "iframe") else []
        self.fetched += [value for name, value in attributes if name == "src" or name.startswith("on")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_file_that_fetches_nothing_and_is_well_formed(summary):
    html = page(summary)
    checker = Checker()
    checker.feed(html)
    assert checker.fetched == [] and checker.open == []
    assert all(link.startswith("#") and link[1:] in checker.ids for link in checker.links)
    # Outside addresses: only the names of XML vocabularies, which nothing fetches.
    assert set(re.findall(r"https?://([^\s\"'<)/]+)", html)) <= {"www.w3.org", "purl.org", "creativecommons.org"}
    assert "@import" not in html and "url(http" not in html
    for drawn in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(drawn)


def test_the_report_says_what_matters_and_holds_no_question(summary):
    html = page(summary)
    assert NOTICE in html and "secret" not in html and "a<i>model" not in html and "a&lt;i&gt;model" in html
    for said in ("guessing", "unparsed", "failed (WorkerDied 1)", "Not told apart from guessing", "knowledge_coverage"):
        assert said in html, said
    assert html == page(summary)  # the same bytes each time


def test_every_row_of_a_paper_table_says_whose_number_it_is():
    for name, paper in PAPER.items():
        rendered = table(name, [Measured("ours", (Figure(1.0, 0.5, 1.5), *[None] * (len(paper.columns) - 1)))])
        whose = [row[1] for row in rendered.rows]
        assert whose == [CLAIMED] * len(paper.rows) + [MEASURED]
        assert rendered.rows[-1][2] == "1 [0.5, 1.5]" and rendered.claims == len(paper.rows)
    assert PAPER["T1"].rows[0] == ("the paper's system", (92.1, 93.5))
    assert PAPER["T3"].rows[0][1][-1] == 93.6 and PAPER["T4"].rows[0][1] == (1.27, 24.96, 0.04)


def test_rows_of_another_width_are_refused():
    with pytest.raises(ValueError, match="T1: expected 2 figures in 'ours', got 1"):
        table("T1", [Measured("ours", (None,))])


def test_t1_is_step_1_and_coverage_with_intervals(summary):
    rendered = accuracy_table({"ours": summary})
    step = summary["tasks"]["medqa"]["strata"]["step1"]
    coverage = summary["tasks"]["medquad"]["measures"]["knowledge_coverage"]
    assert rendered.rows[-1][2].startswith(f"{100 * step['accuracy']:.4g} [")
    assert rendered.rows[-1][3].startswith(f"{100 * coverage['value']:.4g} [")


def test_t2_has_memory_always_and_speed_only_where_answers_were_written(summary):
    row = resources_table({"ours": summary}).rows[-1]
    assert row[2:5] == ("3", "2", "0.5 [0.5, 0.5]") and row[5] == "4"
    scored = resources_table({"ours": {**summary, "mode": "loglikelihood"}}).rows[-1]
    assert scored[2:] == ("3", "2", "–", "–", "–")


def test_the_overview_names_chance_letters_and_failures(summary):
    text = overview(summary["tasks"])
    assert "| medqa | 60 |" in text and "25.0%" in text and "A 58" in text and "knowledge_coverage" in text


def test_tables_escape_and_align():
    html = html_table(("a",), [("<script>",), (1.5,)], marked=[1])
    assert "&lt;script&gt;" in html and "<tr class=marked><td class=number>1.5</td>" in html
    assert markdown_table(("a", "b"), [("x", 1)]).splitlines()[1] == "| --- | ---: |"
