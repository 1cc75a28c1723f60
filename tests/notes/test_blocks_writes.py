"""Every write and every restored version keeps the ids of blocks, and tells other apps what changed."""

import pytest

from notes import services
from notes.blocks.stored import off_blocks_changed, on_blocks_changed
from notes.models import NoteVersion, Topic
from notes.services import text_hash
from notes.snapshots import whole_snapshot
from tests.notes.topic_blocks import TEXT, blocks_of, write


@pytest.fixture
def topic(alice, make_note) -> Topic:
    """A topic of Alice's with ``TEXT``, beside another one."""
    topic = make_note(alice, 2, 1).chapters.first().topics.first()
    services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"explanation": TEXT})
    return Topic.objects.get(pk=topic.pk)


class TestWrites:
    def test_an_edit_keeps_ids_and_tells_what_changed(self, alice, topic, told):
        before = list(blocks_of(alice, topic))

        write(alice, topic, TEXT.replace("its body", "its whole body").replace("- one\n- two\n\n", "") + "\nNew.")

        after = blocks_of(alice, topic)
        assert list(after)[:3] == [before[0], before[1], before[3]]
        assert list(after)[3] not in before
        # The last block is changed, too: it has a blank line after it now.
        assert told == [
            (
                [topic.pk],
                {before[1]: "A loop repeats its whole body.\n\n", before[3]: "```py\nwhile True: ...\n```\n\n"},
                [before[2]],
            )
        ]

    @pytest.mark.parametrize("changes", [{"title": "x"}, {"code": "x"}, {"explanation": TEXT, "code": "y"}])
    def test_a_write_that_leaves_the_explanation_leaves_them_and_tells_nothing(self, alice, topic, told, changes):
        before = topic.blocks

        services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes=changes)

        assert (Topic.objects.get(pk=topic.pk).blocks, told) == (before, [])

    def test_new_topics_have_theirs_and_nothing_to_tell(self, alice, alice_client, send, topic, told):
        send(alice_client, "post", "/api/topics/", {"chapter": topic.chapter_id, "title": "x", "explanation": TEXT})
        body = {"title": "x", "chapters": [{"title": "y", "topics": [{"title": "z", "explanation": TEXT}]}]}
        send(alice_client, "post", "/api/notes/", body)

        made = list(Topic.objects.filter(explanation=TEXT))
        assert len(made) == 3
        assert all(topic.blocks for topic in made)
        assert len({block_id for one in made for block_id in blocks_of(alice, one)}) == 12
        assert told == []

    def test_a_moved_topic_takes_them_along(self, alice, topic, make_note, told):
        before = blocks_of(alice, topic)
        other = make_note(alice, 0).chapters.get()

        services.move_topic(user_id=alice.pk, topic_id=topic.pk, chapter_id=other.pk, order=0)

        assert (blocks_of(alice, topic), told) == (before, [])

    def test_an_ai_answer_keeps_ids_and_tells(self, alice, topic, told):
        before = list(blocks_of(alice, topic))
        better = TEXT.replace("A loop repeats its body.", "A loop repeats its body, again and again.")

        assert services.apply_ai_answer(
            user_id=alice.pk, topic_id=topic.pk, expected_hash=text_hash(TEXT), explanation=better
        )

        assert list(blocks_of(alice, topic)) == before
        assert told == [([topic.pk], {before[1]: "A loop repeats its body, again and again.\n\n"}, [])]

    def test_generated_code_leaves_them(self, alice, topic, told):
        assert services.apply_ai_answer(
            user_id=alice.pk, topic_id=topic.pk, expected_hash=text_hash("", ""), code="x", code_language="py"
        )

        assert (Topic.objects.get(pk=topic.pk).blocks, told) == (topic.blocks, [])

    def test_a_deleted_topic_and_chapter_tell_which_are_gone(self, alice, topic, told):
        other = topic.chapter.topics.last()
        hers, others = list(blocks_of(alice, topic)), list(blocks_of(alice, other))

        services.delete_topic(user_id=alice.pk, topic_id=topic.pk)
        services.delete_chapter(user_id=alice.pk, chapter_id=topic.chapter_id)

        assert told == [([topic.pk], {}, hers), ([other.pk], {}, others)]

    def test_what_a_listener_raises_undoes_the_write(self, alice, topic):
        def refuse(topic_ids, changed, removed):
            raise RuntimeError("no")

        on_blocks_changed(refuse)
        try:
            with pytest.raises(RuntimeError):
                write(alice, topic, "")
        finally:
            off_blocks_changed(refuse)

        assert Topic.objects.get(pk=topic.pk).explanation == TEXT

    def test_a_listener_is_told_once_though_it_registers_twice(self, alice, topic):
        calls = []

        def hear(*args):
            calls.append(args)

        on_blocks_changed(hear)
        on_blocks_changed(hear)
        write(alice, topic, "")
        off_blocks_changed(hear)
        write(alice, topic, "x")

        assert len(calls) == 1


class TestRestoring:
    def restore(self, topic, version):
        note = topic.chapter.note
        services.restore_version(user_id=note.user_id, note_id=note.pk, version=version)

    def kept(self, alice, topic):
        """Keep the note as it is now; return its version."""
        services.apply_ai_answer(
            user_id=alice.pk,
            topic_id=topic.pk,
            expected_hash=text_hash(topic.code, topic.code_language),
            code=topic.code,
            code_language=topic.code_language,
        )
        return NoteVersion.objects.order_by("-version").values_list("version", flat=True)[0]

    def test_a_restored_text_has_the_same_ids_and_tells_what_came_back(self, alice, topic, told):
        before = blocks_of(alice, topic)
        version = self.kept(alice, topic)
        write(alice, topic, "Something else.")
        new = list(blocks_of(alice, topic))
        told.clear()

        self.restore(topic, version)

        assert blocks_of(alice, topic) == before
        assert told == [([topic.pk], before, new)]

    def test_a_deleted_topic_comes_back_with_its_id_and_theirs(self, alice, topic, told):
        before = blocks_of(alice, topic)
        version = self.kept(alice, topic)
        services.delete_topic(user_id=alice.pk, topic_id=topic.pk)
        told.clear()

        self.restore(topic, version)

        assert blocks_of(alice, topic) == before
        assert told == [([topic.pk], before, [])]

    def test_one_whose_original_lives_in_another_note_gets_new_ones(self, alice, topic, make_note, told):
        before = blocks_of(alice, topic)
        version = self.kept(alice, topic)
        other = make_note(alice, 0).chapters.get()
        services.move_topic(user_id=alice.pk, topic_id=topic.pk, chapter_id=other.pk, order=0)

        self.restore(topic, version)

        copy = Topic.objects.exclude(pk=topic.pk).get(explanation=TEXT)
        assert not blocks_of(alice, copy).keys() & before.keys()
        assert (blocks_of(alice, topic), told) == (before, [])
        self.restore(topic, version)
        assert Topic.objects.get(pk=topic.pk).chapter_id == other.pk

    def test_one_that_came_back_and_moved_on_is_not_brought_back_twice(self, alice, topic, make_note):
        version = self.kept(alice, topic)
        services.delete_topic(user_id=alice.pk, topic_id=topic.pk)
        self.restore(topic, version)
        other = make_note(alice, 0).chapters.get()
        services.move_topic(user_id=alice.pk, topic_id=topic.pk, chapter_id=other.pk, order=0)

        self.restore(topic, version)

        found = [block_id for one in Topic.objects.all() for block_id in blocks_of(alice, one)]
        assert len(found) == len(set(found))

    def test_a_version_without_ids_is_matched_by_text(self, alice, topic, told):
        before = blocks_of(alice, topic)
        version = self.kept(alice, topic)
        kept = NoteVersion.objects.get(version=version)
        kept.snapshot = whole_snapshot(kept)  # as versions of the schema before hold it
        for chapter in kept.snapshot["chapters"]:
            for one in chapter["topics"]:
                one.pop("blocks", None)
        kept.save()
        write(alice, topic, TEXT.replace("# Loops\n\n", "") + "\nNew.")
        told.clear()

        self.restore(topic, version)

        after = list(blocks_of(alice, topic))
        assert after[1:] == list(before)[1:]
        assert after[0] not in before
        assert told[0][2]
        assert len(told) == 1

    def test_topics_that_the_version_has_not_are_told_as_gone(self, alice, topic, told):
        version = self.kept(alice, topic)
        later = services.create_topic(
            user_id=alice.pk, chapter_id=topic.chapter_id, data={"title": "x", "explanation": "later"}
        )
        gone = list(blocks_of(alice, later))

        self.restore(topic, version)

        assert told == [([later.pk], {}, gone)]
