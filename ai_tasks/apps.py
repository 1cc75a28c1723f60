from django.apps import AppConfig


class AITasksConfig(AppConfig):
    name = "ai_tasks"

    def ready(self) -> None:
        from django.conf import settings
        from django.db.models.signals import post_migrate

        from ai_tasks import (
            checks,  # registers the system check
            outages,
            schema,  # noqa: F401  # registers schemas for the API description
            site_metrics,
        )
        from ai_tasks.embeddings.waiting import follow_notes
        from ai_tasks.models import AITask
        from notes.services import on_notes_changed
        from utils.http.health import report_in_readiness
        from utils.monitoring import exporter

        on_notes_changed(follow_notes)
        post_migrate.connect(checks.install_extension, sender=self)
        report_in_readiness("queue_age_seconds", AITask.objects.queue_age_seconds)
        if settings.ENVIRONMENT == "development":  # hidden in production, since the endpoint is public
            report_in_readiness("queue_depth", AITask.objects.queue_depth)
        report_in_readiness("ai_providers", outages.standing_of_all, is_well=outages.is_one_well)
        exporter.site.readers.append(site_metrics.read)
