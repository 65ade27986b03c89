import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations, models

import messaging.models.words

# A withdrawn message shows as one; what it was is gone.
TELL_KINDS = """
UPDATE messaging_conversation AS conversation
SET last_message_kind =
    CASE WHEN message.deleted_at IS NULL THEN message.kind ELSE 'deleted' END
FROM messaging_message AS message
WHERE message.id = conversation.last_message_id
"""


class Migration(migrations.Migration):

    dependencies = [("messaging", "0004_one_person")]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="last_message_kind",
            field=models.CharField(blank=True, max_length=12),
        ),
        migrations.RunSQL(TELL_KINDS, migrations.RunSQL.noop),
        migrations.AddField(
            model_name="lead",
            name="words",
            field=models.GeneratedField(
                db_persist=True,
                expression=messaging.models.words.Words(
                    "name", "note", messaging.models.words.Joined("name")
                ),
                output_field=django.contrib.postgres.search.SearchVectorField(),
            ),
        ),
        migrations.AddField(
            model_name="message",
            name="words",
            field=models.GeneratedField(
                db_persist=True,
                expression=messaging.models.words.Words("text", "subject"),
                output_field=django.contrib.postgres.search.SearchVectorField(),
            ),
        ),
        migrations.AddIndex(
            model_name="lead",
            index=django.contrib.postgres.indexes.GinIndex(fields=["words"], name="lead_search"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=django.contrib.postgres.indexes.GinIndex(fields=["words"], name="message_search"),
        ),
    ]
