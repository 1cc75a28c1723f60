from django.urls import include, path
from rest_framework.routers import DefaultRouter
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from benchmarks.peers.django_views import NoOpView, PendingView, RegisterView
from benchmarks.peers.naive.views import NoteViewSet, SearchView, TaskViewSet

router = DefaultRouter()
router.register("notes", NoteViewSet, basename="note")
router.register("ai/tasks", TaskViewSet, basename="task")

urlpatterns = [
    path("api/auth/login/", TokenObtainPairView.as_view()),
    path("api/auth/refresh/", TokenRefreshView.as_view()),
    path("api/auth/register/", RegisterView.as_view()),
    path("api/notifications/pending/", PendingView.as_view()),
    path("api/search/", SearchView.as_view()),
    path("api/bench/noop/", NoOpView.as_view()),
    path("api/", include(router.urls)),
]
