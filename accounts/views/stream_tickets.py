"""Tickets for event streams."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import claims_of
from accounts.tokens import TICKET_LIFETIME, issue_ticket


class StreamTicketSerializer(serializers.Serializer):
    """Opens event streams as `?ticket=`."""

    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="In seconds.")


class StreamTicketView(APIView):
    @extend_schema(operation_id="createStreamTicket", request=None, responses=StreamTicketSerializer)
    def post(self, request: Request) -> Response:
        """Get a ticket for event streams.

        A browser's `EventSource` cannot send an access token. A ticket in `?ticket=` opens your event streams instead,
        any number of times, until it expires or the session ends. It gives access to nothing else.
        """
        claims = claims_of(request)
        ticket = issue_ticket(user_id=claims.user_id, token_version=claims.token_version, session_id=claims.session_id)
        return Response(
            {"ticket": ticket, "expires_in": int(TICKET_LIFETIME.total_seconds())},
            headers={"Cache-Control": "no-store"},
        )
