"""What `contract.py` must be, and that it is loaded without side effects."""

import pytest

from stream.core.errors import ConfigError
from stream.tasks.contract import load_contract

HEAD = """
from __future__ import annotations
import dataclasses
from typing import Literal
from typing_extensions import TypedDict
from pydantic import BaseModel, ConfigDict, RootModel
class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
class Lax(BaseModel):
    x: int
class HalfStrict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: float
class Named(TypedDict):
    x: int
@dataclasses.dataclass
class Data:
    x: int
"""
INPUT = "class Input(Strict):\n    body: str\n"


def written(tmp_path, text):
    path = tmp_path / "contract.py"
    path.write_text(text)
    return path


def refusal(tmp_path, text):
    with pytest.raises(ConfigError) as refused:
        load_contract(written(tmp_path, text))
    message = str(refused.value)
    assert "contract.py" in message
    return message


def test_annotations_may_be_strings_and_refer_to_later_classes(tmp_path):
    text = HEAD + INPUT + "class Output(Strict):\n    line: Line | None\nclass Line(Strict):\n    text: str\n"
    assert "Line" in load_contract(written(tmp_path, text)).output_schema["$defs"]


def test_two_contracts_may_use_the_same_class_names(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a = load_contract(written(tmp_path / "a", HEAD + INPUT + "class Output(Strict):\n    a: str\n"))
    b = load_contract(written(tmp_path / "b", HEAD + INPUT + "class Output(Strict):\n    b: str\n"))
    assert list(a.output_model.model_fields) == ["a"]
    assert list(b.output_model.model_fields) == ["b"]


def test_a_changed_file_is_read_anew(tmp_path):
    load_contract(written(tmp_path, HEAD + INPUT + "class Output(Strict):\n    a: str\n"))
    again = load_contract(written(tmp_path, HEAD + INPUT + "class Output(Strict):\n    b: str\n"))
    assert list(again.output_model.model_fields) == ["b"]


def test_a_contract_can_be_loaded_from_a_folder_that_nobody_may_write(tmp_path):
    path = written(tmp_path, HEAD + INPUT + "class Output(Strict):\n    a: str\n")
    load_contract(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["contract.py"]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("class Output(BaseModel):\n    a: str\n", ["Output must refuse unknown fields", 'extra="forbid"']),
        ("class Output(Strict):\n    a: list[Lax] | None\n", ["Lax (inside Output)", "allow_inf_nan=False"]),
        ("class Output(Strict):\n    a: dict[str, HalfStrict]\n", ["HalfStrict (inside Output)"]),
        ("class Output(Strict):\n    a: Named\n", ["Output.a", "Named(BaseModel)"]),
        ("class Output(Strict):\n    a: Data\n", ["Output.a", "Data(BaseModel)"]),
        ("class Output(Strict):\n    pass\n", ["Output has no fields"]),
        ("class Output(RootModel[list[int]]):\n    pass\n", ["Output must be a class Output(BaseModel)"]),
        ("Output = 3\n", ["Output must be a class Output(BaseModel)", "it is 3"]),
        ("class Outputs(Strict):\n    a: str\n", ["the class Output is missing", "did you mean Outputs"]),
        ("class Output(Strict):\n    a: Nowhere\n", ["Output names a type that isn't there", "Nowhere"]),
        ("class Output(Strict):\n    a: object()\n", ["contract.py"]),
    ],
)
def test_a_contract_that_promises_too_little_is_refused_with_the_fix(tmp_path, output, expected):
    message = refusal(tmp_path, HEAD + INPUT + output)
    for part in expected:
        assert part in message


def test_all_classes_that_take_too_much_are_named_at_once(tmp_path):
    text = HEAD + "class Input(BaseModel):\n    a: Lax\nclass Output(BaseModel):\n    a: Lax\n    b: HalfStrict\n"
    assert (
        refusal(tmp_path, text)
        .partition(": ")[2]
        .startswith(
            "Input, Lax (inside Input), Output and HalfStrict (inside Output) must refuse unknown fields and NaN; "
            "add to each class: model_config"
        )
    )


def test_all_that_is_wrong_with_both_classes_is_said_at_once(tmp_path):
    message = refusal(tmp_path, HEAD + "class Output(BaseModel):\n    a: Named\n    b: Data\n")
    for part in ("the class Input is missing", "Output.a: Named", "Output.b: Data", "Output must refuse unknown"):
        assert part in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero (line 1)"),
        ("\nimport nowhere_to_be_found\n", "ModuleNotFoundError: No module named 'nowhere_to_be_found' (line 2)"),
        ("def broken(:\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_contract_that_cannot_be_imported_says_where(tmp_path, text, expected):
    assert expected in refusal(tmp_path, text)


def test_a_missing_contract_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"contract\.py is missing"):
        load_contract(tmp_path / "contract.py")


def test_what_a_contract_prints_while_it_is_loaded_goes_to_stderr(tmp_path, capsys):
    text = (
        HEAD + INPUT + "class Output(Strict):\n    a: str\nimport sys\nprint('printed')\nsys.stdout.write('written')\n"
    )
    load_contract(written(tmp_path, text))
    assert capsys.readouterr() == ("", "printed\nwritten")


def test_what_a_contract_prints_while_it_checks_a_value_goes_to_stderr(tmp_path, capsys):
    check = "    @field_validator('a')\n    def seen(cls, value):\n        print('is', value, sep=': ')\n"
    text = HEAD + "from pydantic import field_validator\n" + INPUT + "class Output(Strict):\n    a: str\n" + check
    load_contract(written(tmp_path, text)).output_model(a="b")
    assert capsys.readouterr() == ("", "is: b\n")


def test_a_contract_may_say_itself_where_it_prints(tmp_path, capsys):
    text = HEAD + INPUT + "class Output(Strict):\n    a: str\nimport io\nkept = io.StringIO()\nprint('x', file=kept)\n"
    load_contract(written(tmp_path, text + "assert kept.getvalue() == 'x\\n'\n"))
    assert capsys.readouterr() == ("", "")


def test_models_may_contain_themselves(tmp_path):
    text = HEAD + INPUT + "class Output(Strict):\n    text: str\n    replies: list[Output]\n"
    assert load_contract(written(tmp_path, text)).output_model.__name__ == "Output"
