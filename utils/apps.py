from django.apps import AppConfig
from django.contrib.postgres.signals import register_type_handlers
from django.db.backends.signals import connection_created


class UtilsConfig(AppConfig):
    name = "utils"

    def ready(self) -> None:
        from utils import gauges, site_metrics
        from utils.database.migrations import pending
        from utils.http.health import report_in_readiness
        from utils.monitoring import exporter

        report_in_readiness("pending_migrations", pending.count, is_well=lambda count: count == 0)
        exporter.samplers.append(gauges.sample)
        exporter.site.readers.append(site_metrics.read)

        # No column has an extension's type, so pooled connections need no type handlers each time they are taken.
        connection_created.disconnect(register_type_handlers)
