"""Proposals as JSON, and what clients decide about them."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from ai_tasks.models import Proposal
from notes.blocks.hunks import HUNKS_MAX
from notes.serializers import TopicSerializer
from utils.http.serializers import BoundedListField, StrictIntegerField, StrictSerializer

MAX_ID = 2**63 - 1
OPS = ["replace", "insert", "delete", "move"]


class ProposalFilterSerializer(serializers.Serializer):
    note = serializers.IntegerField(required=False, min_value=1, max_value=MAX_ID)
    topic = serializers.IntegerField(required=False, min_value=1, max_value=MAX_ID)
    status = serializers.ChoiceField(choices=Proposal.Status.choices, required=False)
    field = serializers.ChoiceField(choices=Proposal.Field.choices, required=False)


class HunkDecisionSerializer(StrictSerializer):
    """Which hunks are accepted and which are rejected, by their numbers."""

    accept = BoundedListField(
        child=StrictIntegerField(min_value=1, max_value=MAX_ID), max_length=HUNKS_MAX, default=list
    )
    reject = BoundedListField(
        child=StrictIntegerField(min_value=1, max_value=MAX_ID), max_length=HUNKS_MAX, default=list
    )

    def validate(self, data: dict[str, Sequence[int]]) -> dict[str, Sequence[int]]:
        if not data["accept"] and not data["reject"]:
            raise serializers.ValidationError("Name at least one hunk.", code="required")
        seen: set[int] = set()
        for name in ("accept", "reject"):
            for at, number in enumerate(data[name]):
                if number in seen:
                    message = serializers.ErrorDetail("This hunk is listed twice.", code="duplicate")
                    raise serializers.ValidationError({name: {str(at): [message]}})
                seen.add(number)
        return data


class HunkSerializer(serializers.Serializer):
    """One change of a proposal."""

    n = serializers.IntegerField(help_text="Its number, in document order.")
    op = serializers.ChoiceField(choices=OPS)
    block_id = serializers.CharField(
        allow_null=True,
        help_text="The block that it changes. Null for code, for a block that is not inserted yet, and if the "
        "texts are too different to tell blocks apart.",
    )
    after_block = serializers.CharField(
        allow_null=True,
        help_text="The block after which it inserts or moves a block; null: the start. If that block is deleted, "
        "the nearest remaining block before it.",
    )
    before_hash = serializers.CharField(allow_null=True, help_text="The `hash` of a block with the text `before`.")
    before = serializers.CharField(
        allow_null=True,
        help_text="The old text: the block's text at the time of the request; for a drifted hunk, its present "
        "text, for a decided one its text then. Null for an insertion, and for a deleted block.",
    )
    after = serializers.CharField(allow_null=True, help_text="The new text of the block; null if the block is deleted.")
    status = serializers.ChoiceField(choices=["open", "accepted", "rejected"])
    drifted = serializers.BooleanField(
        help_text="Whether the text has changed since the request, so that `before` is not what the model read."
    )


class ProposalSummarySerializer(serializers.Serializer):
    """A proposal without its hunks."""

    id = serializers.UUIDField()
    task_id = serializers.UUIDField(help_text="The task that produced it.")
    note_id = serializers.IntegerField()
    topic_id = serializers.IntegerField()
    field = serializers.ChoiceField(choices=Proposal.Field.choices)
    base_version = serializers.IntegerField(help_text="The note's version at the time of the request.")
    base_hash = serializers.CharField(
        help_text="SHA-256 of the field's text at the time of the request; for code, followed by NUL and the language."
    )
    status = serializers.ChoiceField(
        choices=Proposal.Status.choices,
        help_text="`open` while a hunk is open; `superseded` by a newer proposal for the field.",
    )
    created_at = serializers.DateTimeField()


class ProposalSerializer(ProposalSummarySerializer):
    """What an answer would change in a topic."""

    hunks = HunkSerializer(many=True)


class DecidedProposalSerializer(serializers.Serializer):
    """A proposal after a decision, and its topic."""

    proposal = ProposalSerializer()
    topic = TopicSerializer()

    def to_representation(self, instance: Any) -> Any:
        return instance
