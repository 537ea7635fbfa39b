"""The checker of the promise goes red for each way of breaking it, and only then."""

from dataclasses import replace

from tests.support.ledger_check import Report, Seen, Sent, check

GROUP = "workers"
KEYS = (b"a", b"b", None)
SENT = [Sent("requests", n % 2, n // 2, KEYS[n % 3], f"id-{n}") for n in range(12)]


def answer(request: Sent, offset: int, topic: str = "results") -> Seen:
    headers: dict[str, bytes | None] = {
        "llm.source.group": GROUP.encode(),
        "llm.source.topic": request.topic.encode(),
        "llm.source.partition": str(request.partition).encode(),
        "llm.source.offset": str(request.offset).encode(),
        "llm.request_id" if topic == "dlq" else "ce_causationid": (request.id or "").encode(),
    }
    return Seen(topic, 0, offset, request.key, f"for {request.id}".encode(), headers)


def answers() -> list[Seen]:
    """One outcome for each request, every fifth a dead letter."""
    return [answer(request, n, "dlq" if n % 5 == 0 else "results") for n, request in enumerate(SENT)]


def judge(outcomes: list[Seen], **options: bool) -> Report:
    return check(
        SENT,
        outcomes,
        dlq="dlq",
        group=GROUP,
        belongs=lambda request, outcome: outcome.value == f"for {request.id}".encode(),
        **options,
    )


def counts(report: Report) -> dict[str, int]:
    return {name: len(found) for name, found in report.faults.items() if found}


def test_one_outcome_for_each_request_is_clean() -> None:
    report = judge(answers())
    assert report.clean
    assert (report.requests, report.results, report.dead_letters) == (12, 9, 3)


def test_a_request_without_outcome_is_lost() -> None:
    report = judge(answers()[:-1])
    assert counts(report) == {"lost": 1}
    assert report.lost == ["requests/1@5 has no outcome"]


def test_nothing_at_all_is_everything_lost() -> None:
    assert counts(judge([])) == {"lost": 12}


def test_a_second_result_is_a_double() -> None:
    assert counts(judge([*answers(), answer(SENT[11], 50)])) == {"doubled": 1}


def test_a_result_beside_a_dead_letter_is_a_double() -> None:
    report = judge([*answers(), answer(SENT[11], 50, "dlq")])
    assert counts(report) == {"doubled": 1}
    assert report.doubled == ["requests/1@5 has results/0@11, dlq/0@50"]


def test_two_outcomes_that_changed_places_are_swapped() -> None:
    outcomes = answers()
    outcomes[1], outcomes[4] = (
        replace(outcomes[1], headers=outcomes[4].headers),
        replace(outcomes[4], headers=outcomes[1].headers),
    )
    assert judge(outcomes, ordered=False).swapped


def test_another_request_id_is_a_swap() -> None:
    outcomes = answers()
    outcomes[1].headers["ce_causationid"] = b"id-2"
    assert counts(judge(outcomes)) == {"swapped": 1}


def test_a_result_without_request_id_is_a_swap() -> None:
    outcomes = answers()
    outcomes[1].headers["ce_causationid"] = None
    assert counts(judge(outcomes)) == {"swapped": 1}


def test_a_dead_letter_may_lack_the_id_that_could_not_be_read() -> None:
    outcomes = answers()
    outcomes[0].headers["llm.request_id"] = None
    assert judge(outcomes).clean


def test_another_key_is_a_swap() -> None:
    outcomes = answers()
    outcomes[2] = replace(outcomes[2], key=b"c")
    assert counts(judge(outcomes)) == {"swapped": 1}


def test_another_requests_content_is_a_swap() -> None:
    outcomes = answers()
    outcomes[3] = replace(outcomes[3], value=outcomes[4].value)
    report = judge(outcomes)
    assert report.swapped == ["results/0@3 is not the answer to requests/1@1"]


def test_an_outcome_of_a_request_never_sent_is_an_orphan() -> None:
    stranger = Sent("requests", 0, 99, b"a", "id-99")
    assert counts(judge([*answers(), answer(stranger, 60)])) == {"orphaned": 1}


def test_an_outcome_that_names_no_source_is_an_orphan_and_its_request_lost() -> None:
    outcomes = answers()
    outcomes[3].headers["llm.source.offset"] = b"three"
    assert counts(judge(outcomes)) == {"lost": 1, "orphaned": 1}


def test_an_outcome_that_names_no_group_is_an_orphan_and_its_request_lost() -> None:
    outcomes = answers()
    del outcomes[3].headers["llm.source.group"]
    assert counts(judge(outcomes)) == {"lost": 1, "orphaned": 1}


def test_another_groups_outcomes_are_left_alone() -> None:
    foreign = answer(SENT[1], 70)
    foreign.headers["llm.source.group"] = b"others"
    assert judge([*answers(), foreign]).clean


def out_of_order() -> list[Seen]:
    """The results of key b at requests/1@0 and requests/1@3 stand the wrong way round."""
    outcomes = answers()
    outcomes[1], outcomes[7] = replace(outcomes[1], offset=7), replace(outcomes[7], offset=1)
    return outcomes


def test_results_of_one_key_against_the_order_of_requests_are_out_of_order() -> None:
    report = judge(out_of_order())
    assert counts(report) == {"out of order": 1}
    assert report.out_of_order == ["results/0@7 (key b'b') answers offset 0 after 3"]


def test_without_ordering_the_same_is_clean() -> None:
    assert judge(out_of_order(), ordered=False).clean


def test_records_without_key_have_no_order() -> None:
    outcomes = answers()
    outcomes[2], outcomes[8] = replace(outcomes[2], offset=8), replace(outcomes[8], offset=2)
    assert judge(outcomes).clean


def test_the_report_says_in_words_what_is_wrong() -> None:
    text = str(judge([*answers()[:-1], answer(SENT[1], 80)]))
    assert "12 requests" in text
    assert "lost: 1\n  requests/1@5 has no outcome" in text
    assert "doubled: 1" in text
