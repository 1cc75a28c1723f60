"""Where files are kept: uploaded ones by ``STORAGE_URL``, and those that belong to the code."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

CONNECT_SECONDS = 5
READ_SECONDS = 20
"""Of one answer of an S3 server. A call is tried twice at most."""


def file_storage(url: str, default_folder: Path | None) -> dict[str, Any] | None:
    """The entry of ``STORAGES``; None without a URL and a folder, where nothing can be kept.

    ``url`` was passed by ``service_urls.check_storage``.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return _s3(url)
    folder = unquote(parts.path) if url else default_folder
    if folder is None:
        return None
    return {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": folder,
            "base_url": None,  # every file is asked for by a view, which checks whose it is
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    }


def storages(files: dict[str, Any] | None, *, are_static_files_built: bool) -> dict[str, Any]:
    """``STORAGES``. ``files``: see :func:`file_storage`; ``collectstatic`` builds static files, named by their content.

    Without a place for them, uploads are refused, and Django's default is never asked.
    """
    built = "whitenoise.storage.CompressedManifestStaticFilesStorage"
    source = "django.contrib.staticfiles.storage.StaticFilesStorage"
    return {
        "default": files or {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "staticfiles": {"BACKEND": built if are_static_files_built else source},
    }


def _s3(url: str) -> dict[str, Any]:
    from boto3.s3.transfer import TransferConfig  # not at import: processes without S3 need not load it
    from botocore.config import Config

    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    scheme = "http" if options.get("tls") == "off" else "https"
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "access_key": unquote(parts.username or ""),
            "secret_key": unquote(parts.password or ""),
            "bucket_name": parts.path.strip("/"),
            "endpoint_url": f"{scheme}://{parts.netloc.rpartition('@')[2]}",
            "region_name": options.get("region"),
            "file_overwrite": True,  # names are random, so there is nothing to ask for before writing
            "default_acl": None,
            "max_memory_size": 1024 * 1024,  # of a file that is read; the rest is on the disk meanwhile
            "transfer_config": TransferConfig(use_threads=False),
            "client_config": Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": 2, "mode": "standard"},
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                # What other servers than Amazon's understand.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        },
    }
