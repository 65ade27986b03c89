"""What the API of the public host tells platform staff of the installation itself."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from amda import queues
from tenants.api.schema import refusals
from tenants.api.staff import StaffView


class QueueShape(serializers.Serializer):
    """A queue of jobs."""

    name = serializers.CharField()
    waiting = serializers.IntegerField(help_text="Jobs that could be done now.")
    later = serializers.IntegerField(help_text="Jobs ordered for a later moment.")
    doing = serializers.IntegerField()
    failed = serializers.IntegerField()
    oldest_seconds = serializers.IntegerField(
        help_text="For how long the oldest waiting job has waited; 0 where none waits."
    )


class WorkerShape(serializers.Serializer):
    """A worker that is known."""

    id = serializers.IntegerField()
    heard_at = serializers.DateTimeField()
    alive = serializers.BooleanField()
    doing = serializers.IntegerField()


class QueuesShape(serializers.Serializer):
    """All queues and workers at one moment; `ok` says whether anybody works."""

    ok = serializers.BooleanField()
    at = serializers.DateTimeField()
    queues = QueueShape(many=True)
    workers = WorkerShape(many=True)


class QueuesView(StaffView):
    """Depth, age and failures of the queues, and who is alive."""

    @extend_schema(responses={200: QueuesShape, **refusals(401, 403)})
    def get(self, request):
        found = queues.state()
        facts = {
            "ok": found.is_well,
            "at": found.at,
            "queues": [
                {
                    "name": queue.name,
                    "waiting": queue.waiting,
                    "later": queue.later,
                    "doing": queue.doing,
                    "failed": queue.failed,
                    "oldest_seconds": queue.age(found.at),
                }
                for queue in found.queues
            ],
            "workers": [
                {
                    "id": worker.number,
                    "heard_at": worker.heard_at,
                    "alive": worker.is_alive,
                    "doing": worker.doing,
                }
                for worker in found.workers
            ],
        }
        return Response(QueuesShape(facts).data)
