"""What is found about an id, put together from the records of all topics."""

from stream.kafka.finding import Found, facts, trace
from tests.support.letters import dead_letter, headers, record, request


def ask(request_id: str = "r-1", **fields: object) -> Found:
    return Found("requests", request(request_id, **{"partition": 2, "offset": 7, **fields}))


def result(request_id: str = "r-1", group: str = "llm-stream", offset: int = 7, **more: str) -> Found:
    source = {"llm__source__group": group, "llm__source__topic": "llm.requests", "llm__source__partition": "2"}
    ours = headers(ce_causationid=request_id, ce_type="llm.result.greet", llm__source__offset=str(offset), **source)
    return Found(
        "results", record("llm.results", headers=ours + headers(**more), value={"calls": 2}, timestamp_ms=2_000)
    )


def letter(**fields: object) -> Found:
    return Found("dlq", dead_letter(**{"timestamp_ms": 5_000, **fields}))


def decision(scope: dict[str, object]) -> Found:
    value = {"at_ms": 9_000, "by": "ops@host", "kind": "replay", "scope": scope, "why": "fixed"}
    return Found("decisions", record("llm.decisions", value=value, timestamp_ms=9_000))


def status(*found: Found) -> str:
    [asked] = trace("r-1", "llm-stream", ["llm.requests"], found).requests
    return asked.status


def test_a_request_without_an_outcome_is_pending():
    assert status(ask()) == "pending"


def test_a_request_with_a_result_is_completed():
    assert status(ask(), result()) == "completed"


def test_a_request_with_a_dead_letter_is_dead_lettered():
    assert status(ask(), letter()) == "dead_lettered"


def test_two_outcomes_of_one_request_are_said_to_be_several():
    assert status(ask(), result(), letter()) == "several"


def test_a_correction_is_no_second_outcome():
    assert status(ask(), letter(), result(llm__corrects="llm.dlq:2:9")) == "dead_lettered"


def test_an_outcome_of_another_group_does_not_settle_the_request():
    found = trace("r-1", "llm-stream", [], [ask(), result(group="other")])
    assert found.requests[0].status == "pending"
    assert [each.kind for each in found.elsewhere] == ["results"]


def test_two_requests_with_one_id_have_their_own_outcomes():
    found = trace("r-1", "llm-stream", [], [ask(offset=7), ask(offset=8, timestamp_ms=3_000), result(offset=8)])
    assert [each.status for each in found.requests] == ["pending", "completed"]


def test_records_of_other_ids_are_left_out():
    assert trace("r-1", "llm-stream", [], [ask("r-2"), result("r-2"), decision({"request_id": "r-2"})]).records == []


def test_an_outcome_whose_request_is_gone_is_still_found():
    assert [each.kind for each in trace("r-1", "llm-stream", [], [result()]).records] == ["results"]


def test_a_decision_about_its_dead_letter_belongs_to_the_request():
    found = trace("r-1", "llm-stream", [], [decision({"dlq": "llm.dlq", "dead_letter": "2:9"}), ask(), letter()])
    assert len(found.decisions) == 1


def test_records_stand_in_the_order_in_which_they_were_written():
    found = trace("r-1", "llm-stream", [], [decision({"request_id": "r-1"}), letter(), ask()])
    assert [each.kind for each in found.records] == ["requests", "dlq", "decisions"]


def test_the_json_says_where_it_looked_and_whether_anything_was_found():
    value = trace("r-1", "llm-stream", ["llm.requests", "llm.dlq"], []).as_json()
    assert (value["found"], value["searched"]) == (False, ["llm.requests", "llm.dlq"])


def test_what_a_person_wants_to_know_of_a_dead_letter_is_why_and_what_it_cost():
    told = dict(facts(letter()))
    assert (told["stage"], told["code"], told["cost_micro_usd"]) == ("validate", "placeholder", "1234")


def test_what_is_unknown_is_not_told():
    assert dict(facts(result())) == {"calls": "2"}
