"""The same tables, as SQLAlchemy's declarative mapping describes them."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, FetchedValue, ForeignKey, String, func, select
from sqlalchemy.dialects.postgresql import INET, JSONB, TIMESTAMP, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship


class Base(DeclarativeBase):
    type_annotation_map = {datetime: TIMESTAMP(timezone=True), dict[str, Any]: JSONB, list[dict[str, Any]]: JSONB}


class User(Base):
    __tablename__ = "accounts_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    password: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    is_staff: Mapped[bool] = mapped_column(default=False)
    token_version: Mapped[int] = mapped_column(default=1)
    date_joined: Mapped[datetime] = mapped_column(server_default=FetchedValue())


class Session(Base):
    __tablename__ = "accounts_session"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("accounts_user.id"))
    generation: Mapped[int] = mapped_column(default=1)
    user_agent: Mapped[str] = mapped_column(default="")
    ip: Mapped[str | None] = mapped_column(INET, default=None)
    rotated_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Topic(Base):
    __tablename__ = "notes_topic"

    id: Mapped[int] = mapped_column(primary_key=True)
    chapter_id: Mapped[int] = mapped_column(ForeignKey("notes_chapter.id"))
    title: Mapped[str]
    order: Mapped[int]
    explanation: Mapped[str]
    code: Mapped[str]
    code_language: Mapped[str]
    sources: Mapped[list[dict[str, Any]]]
    search: Mapped[str] = mapped_column(TSVECTOR, deferred=True, server_default=FetchedValue())


class Chapter(Base):
    __tablename__ = "notes_chapter"

    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column(ForeignKey("notes_note.id"))
    title: Mapped[str]
    order: Mapped[int]
    topics: Mapped[list[Topic]] = relationship(order_by=Topic.order)


class Note(Base):
    __tablename__ = "notes_note"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("accounts_user.id"))
    title: Mapped[str]
    status: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(ARRAY(String))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    updated_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    deleted_at: Mapped[datetime | None]
    chapters: Mapped[list[Chapter]] = relationship(order_by=Chapter.order)

    __mapper_args__ = {"eager_defaults": True}


Note.chapter_count = column_property(
    select(func.count(Chapter.id)).where(Chapter.note_id == Note.id).correlate_except(Chapter).scalar_subquery()
)
Note.topic_count = column_property(
    select(func.count(Topic.id))
    .join(Chapter, Chapter.id == Topic.chapter_id)
    .where(Chapter.note_id == Note.id)
    .correlate_except(Topic, Chapter)
    .scalar_subquery()
)


class Notification(Base):
    __tablename__ = "notifications_notification"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("accounts_user.id"))
    type: Mapped[str]
    title: Mapped[str]
    message: Mapped[str]
    action_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    read_at: Mapped[datetime | None]


class Task(Base):
    __tablename__ = "ai_tasks_aitask"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[int] = mapped_column(ForeignKey("accounts_user.id"))
    request_type: Mapped[str]
    request_data: Mapped[dict[str, Any]]
    topic_id: Mapped[int | None]
    apply: Mapped[bool] = mapped_column(default=False)
    source_hash: Mapped[str] = mapped_column(default="")
    request_hash: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(default="queued")
    progress: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(default="Waiting for a worker")
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    applicable: Mapped[bool] = mapped_column(default=True)
    error_code: Mapped[str] = mapped_column(default="")
    error_detail: Mapped[str] = mapped_column(default="")
    provider: Mapped[str] = mapped_column(default="")
    model: Mapped[str | None]
    input_tokens: Mapped[int] = mapped_column(default=0)
    output_tokens: Mapped[int] = mapped_column(default=0)
    usage_estimated: Mapped[bool] = mapped_column(default=False)
    cached: Mapped[bool] = mapped_column(default=False)
    billed: Mapped[bool] = mapped_column(default=True)
    retry_of_id: Mapped[uuid.UUID | None]
    attempt: Mapped[int] = mapped_column(default=0)
    provider_failures: Mapped[int] = mapped_column(default=0)
    lost_leases: Mapped[int] = mapped_column(default=0)
    applied_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    updated_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __mapper_args__ = {"eager_defaults": True}
