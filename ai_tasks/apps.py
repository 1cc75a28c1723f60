from django.apps import AppConfig


class AITasksConfig(AppConfig):
    name = "ai_tasks"
