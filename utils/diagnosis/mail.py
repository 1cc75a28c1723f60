"""The mail server: whether it can be reached and accepts our user and password. No mail is sent."""

import smtplib
from collections.abc import Iterator

from django.conf import settings
from django.core.mail import get_connection

from utils.diagnosis import Options, Result, check

TIMEOUT_SECONDS = 5


@check("mail")
def look(_options: Options) -> Iterator[Result]:
    if not settings.EMAIL_BACKEND.endswith(".smtp.EmailBackend"):
        yield True, f"mails go to {settings.EMAIL_BACKEND.split('.')[-2]}"
        return
    server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    try:
        connection = get_connection(timeout=TIMEOUT_SECONDS)
        connection.open()
        connection.close()
    except smtplib.SMTPAuthenticationError as error:
        yield False, f"the mail server {server} refuses user and password: {error.smtp_code}"
    except (smtplib.SMTPException, OSError) as error:
        yield False, f"the mail server {server} cannot be used: {type(error).__name__}: {error}"
    else:
        yield True, f"the mail server {server} answers"
