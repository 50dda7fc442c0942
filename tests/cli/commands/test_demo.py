from cli.commands.demo import gained_lines
from tests.helpers.scores import division_hit, group_recall
from tmssl.runs.events import Eval


def test_the_demo_ends_in_what_was_gained_the_encoder_last() -> None:
    references: dict[str, float | None] = {"before training": 0.67, "HOG whitened": 0.6}
    references |= {"HOG": 0.53, "untrained": 0.11}
    event = Eval(
        scores=[division_hit(0.95, 0.42, references), group_recall(0.7, 0.003, references)]
    )
    lines = gained_lines(event)
    titles = [line[2:26].strip() for line in lines[2:]]
    assert titles == [
        "chance",
        "random weights",
        "HOG",
        "HOG, whitened",
        "the grid before training",
        "the grid after training",
    ]
    assert "0.950" in lines[-1]
    assert "0.700" in lines[-1]
    assert all(len(line) <= 80 for line in lines)
