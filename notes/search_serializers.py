"""Search results and facets as JSON."""

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter

from rest_framework import serializers

from notes.models import Note
from notes.querysets import RANKED_MAX, SEARCH_RESULTS_MAX
from notes.search.query import ParsedSearch
from notes.search.snippets import Marker
from notes.serializers import TagSerializer
from utils.database.compiled_queries import Row

FACET_TAGS_MAX = 50


class SearchResultSerializer(serializers.Serializer):
    """A note or a topic that was found. A note's result has no `chapter_id` and no `topic_id`."""

    type = serializers.ChoiceField(choices=["note", "topic"])
    note_id = serializers.IntegerField()
    chapter_id = serializers.IntegerField(required=False)
    topic_id = serializers.IntegerField(required=False)
    title = serializers.CharField()
    snippet = serializers.CharField(help_text="HTML: the text is escaped, and matches are in `<mark>`.")
    rank = serializers.FloatField()


class StatusCountsSerializer(serializers.Serializer):
    """How many of the notes are in each status."""

    draft = serializers.IntegerField()
    published = serializers.IntegerField()
    archived = serializers.IntegerField()


class FacetsSerializer(serializers.Serializer):
    """Tags and statuses of the notes that have every word, at most 1,000 notes."""

    tags = TagSerializer(many=True, help_text="The 50 most used tags.")
    statuses = StatusCountsSerializer()
    capped = serializers.BooleanField(help_text="Whether there are more notes; only the newest are counted.")


class SearchResultsSerializer(serializers.Serializer):
    """The matches, the best first. `facets` are included if requested."""

    results = SearchResultSerializer(many=True)
    capped = serializers.BooleanField(help_text="Whether there are more matches; only the newest are compared.")
    facets = FacetsSerializer(required=False)


def search_results(query: ParsedSearch, notes: Sequence[Row], topics: Sequence[Row]) -> Row:
    """Merge ranked notes and topics, as ``notes.reads.search`` returns them, into one list, best first."""
    best = sorted([*notes, *topics], key=itemgetter("rank"), reverse=True)[:SEARCH_RESULTS_MAX]
    is_capped = any(rows and rows[0]["capped"] for rows in (notes, topics))
    marker = Marker(query.wanted)
    return {"results": [{**_ids(row), **_shown(row, marker)} for row in best], "capped": is_capped}


def _ids(row: Row) -> Row:
    if "chapter_id" not in row:
        return {"type": "note", "note_id": row["id"]}
    return {"type": "topic", "note_id": row["note_id"], "chapter_id": row["chapter_id"], "topic_id": row["id"]}


def _shown(row: Row, marker: Marker) -> Row:
    return {"title": row["title"], "snippet": marker.snippet(row["text"] or ""), "rank": row["rank"]}


def search_facets(notes: Sequence[Row]) -> Row:
    """Count tags and statuses of notes, as ``notes.reads.facets`` returns them."""
    counted = notes[:RANKED_MAX]
    tags = Counter(tag for note in counted for tag in note["tags"])
    statuses = Counter(note["status"] for note in counted)
    most_used = sorted(tags.items(), key=lambda entry: (-entry[1], entry[0]))[:FACET_TAGS_MAX]
    return {
        "tags": [{"tag": tag, "count": count} for tag, count in most_used],
        "statuses": {status: statuses[status] for status in Note.Status.values},
        "capped": len(notes) > RANKED_MAX,
    }
