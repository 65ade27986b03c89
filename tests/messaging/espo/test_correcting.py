"""What is withdrawn or edited here is so in EspoCRM, too."""

from messaging import erasing, retention
from messaging.models import EspoPush
from tests.messaging.espo.conftest import say, waiting, words


def test_withdrawn_message_leaves_its_note_and_one_that_waits_is_never_written(
    linked, tenant, key, conversation
):
    said = say(linked, conversation, "Zanzibar 4711")
    linked.run()
    waits = say(linked, conversation, "Kilimanjaro 17")
    for message in (said, waits):
        erasing.bury(message, linked.now)
        erasing.take_out(tenant.number, message.instance_id, message.external_id)
    linked.run()

    everything = str(vars(linked.state))
    assert "Zanzibar" not in everything
    assert "Kilimanjaro" not in everything
    assert "supprimé" in words(linked, key)[0]
    assert (len(linked.state.posts(key)), waiting()) == (1, [])


def test_withdrawn_message_leaves_a_note_that_may_only_be_removed(
    linked, tenant, key, conversation
):
    said = say(linked, conversation, "Zanzibar 4711")
    linked.run()
    linked.pass_time(days=8)
    erasing.bury(said, linked.now)
    erasing.take_out(tenant.number, said.instance_id, said.external_id)
    linked.run()

    assert linked.state.posts(key) == []


def test_withdrawn_message_leaves_a_note_whose_answer_was_lost(linked, tenant, key, conversation):
    linked.state.breaks_off = ["POST", "GET App"]
    said = say(linked, conversation, "Zanzibar 4711")
    linked.run()
    linked.state.breaks_off = []
    erasing.bury(said, linked.now)
    erasing.take_out(tenant.number, said.instance_id, said.external_id)
    for _minute in range(4):
        linked.pass_time(minutes=1)
        linked.run()

    assert "Zanzibar" not in str(vars(linked.state))
    assert waiting() == []


def test_edited_message_is_edited_there(linked, tenant, key, conversation):
    said = say(linked, conversation, "Zanzibar 4711")
    linked.run()
    erasing.rewrite(said, "Dakar", linked.now)
    erasing.take_out(tenant.number, said.instance_id, said.external_id)
    linked.run()

    assert words(linked, key) == ["Dakar"]


def test_retention_here_removes_nothing_there(linked, key, conversation):
    say(linked, conversation, "Old words")
    linked.run()
    linked.pass_time(days=100)
    retention.apply(90, now=linked.now)
    linked.run()

    assert (words(linked, key), EspoPush.objects.count()) == (["Old words"], 0)
