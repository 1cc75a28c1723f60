"""File storage: uploaded files at ``STORAGE_URL``, and the static files of the code."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

CONNECT_SECONDS = 5
READ_SECONDS = 20
"""The read time-out for an S3 server's response. A call is tried twice at most."""


def file_storage(url: str, default_folder: Path | None) -> dict[str, Any] | None:
    """The entry of ``STORAGES`` for uploaded files; None if there is neither a URL nor a folder.

    ``url`` must have passed ``service_urls.check_storage``.
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
            "base_url": None,  # files are served by views only, which check the owner
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    }


def storages(files: dict[str, Any] | None, *, are_static_files_built: bool) -> dict[str, Any]:
    """``STORAGES``. ``files`` comes from :func:`file_storage`; built static files have a hash in their names.

    If ``files`` is None, uploads are refused, and the default below is never used.
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
            "file_overwrite": True,  # names are random, so it need not check whether a file exists
            "default_acl": None,
            "max_memory_size": 1024 * 1024,  # larger files are read to a temporary file
            "transfer_config": TransferConfig(use_threads=False),
            "client_config": Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": 2, "mode": "standard"},
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                # Servers other than Amazon's do not support the default checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        },
    }
