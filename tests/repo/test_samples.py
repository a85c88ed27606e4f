"""The sample data set: what its README promises is true of the file."""

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
COLUMNS = ["id", "text", "topic", "subtopic", "sentiment", "channel"]
SENTIMENTS = {"negative", "neutral", "positive"}
CHANNELS = {"chat", "email", "review", "phone", "social"}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    path = SAMPLES / "customer_messages.csv"
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        found = list(reader)
    assert reader.fieldnames == COLUMNS
    return found


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def five_grams(text: str) -> set[str]:
    """Runs of five characters of the folded text without its punctuation."""
    folded = " ".join(words(text))
    return {folded[i : i + 5] for i in range(max(1, len(folded) - 4))}


def counts(rows: list[dict[str, str]], column: str) -> Counter[str]:
    return Counter(row[column] for row in rows)


def test_every_cell_is_filled_and_trimmed(rows):
    for row in rows:
        assert list(row) == COLUMNS
        assert all(cell and cell == cell.strip() for cell in row.values()), row


def test_there_are_enough_messages_of_natural_length(rows):
    assert len(rows) >= 720
    lengths = [len(row["text"].split()) for row in rows]
    assert min(lengths) >= 3 and max(lengths) <= 120


def test_ids_are_unique_and_in_order(rows):
    assert [row["id"] for row in rows] == [f"m{i:04d}" for i in range(1, len(rows) + 1)]


def test_two_levels_of_label_form_a_tree(rows):
    parents = defaultdict(set)
    for row in rows:
        parents[row["subtopic"]].add(row["topic"])
    assert len(parents) == 32
    assert all(len(topics) == 1 for topics in parents.values())
    assert len(counts(rows, "topic")) == 10
    assert not set(parents) & set(counts(rows, "topic"))


def test_no_class_is_small_or_dominant(rows):
    assert min(counts(rows, "subtopic").values()) >= 15
    topics = counts(rows, "topic").values()
    assert max(topics) <= 2 * min(topics)


def test_sentiment_is_not_a_function_of_the_topic(rows):
    sentiments = counts(rows, "sentiment")
    assert set(sentiments) == SENTIMENTS
    assert min(sentiments.values()) >= 90
    pairs = Counter((row["topic"], row["sentiment"]) for row in rows)
    for topic, n in counts(rows, "topic").items():
        assert all(0 < pairs[topic, sentiment] < 0.7 * n for sentiment in SENTIMENTS)


def test_all_channels_occur(rows):
    channels = counts(rows, "channel")
    assert set(channels) == CHANNELS
    assert min(channels.values()) >= 30


def test_no_message_repeats_another(rows):
    folded = counts([{"text": " ".join(words(row["text"]))} for row in rows], "text")
    assert max(folded.values()) == 1


def test_no_message_nearly_repeats_another(rows):
    grams = [five_grams(row["text"]) for row in rows]
    for i, a in enumerate(grams):
        for j, b in enumerate(grams[:i]):
            shared = len(a & b)
            assert shared <= 0.4 * (len(a) + len(b) - shared), (rows[i], rows[j])


def test_topics_are_mixed_through_the_file(rows):
    """The first hundred rows, what a preview shows, hold every topic."""
    assert len(counts(rows[:100], "topic")) == len(counts(rows, "topic"))
    longest, run, last = 0, 0, ""
    for row in rows:
        run = run + 1 if row["topic"] == last else 1
        last = row["topic"]
        longest = max(longest, run)
    assert longest <= 6


def test_readme_states_the_true_counts(rows):
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"{len(rows)} messages" in readme
    subtopics = counts(rows, "subtopic")
    stated = dict(re.findall(r"`(\w+)` (\d+)", readme))
    assert {name: int(n) for name, n in stated.items() if name in subtopics} == dict(
        subtopics
    )
    for column in ("topic", "sentiment", "channel"):
        for name, n in counts(rows, column).items():
            assert re.search(rf"\b{name}\W+(\| )?{n}\b", readme), (name, n)


def test_every_reply_is_one_of_its_own():
    with (SAMPLES / "replies.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file, strict=True))
    assert all(cell == cell.strip() and cell for row in found for cell in row.values())
    assert set(counts(found, "topic").values()) == {15} and len(found) == 60
    for column in ("text", "reply"):
        assert len(counts(found, column)) == 60
