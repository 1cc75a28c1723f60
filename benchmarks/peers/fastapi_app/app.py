"""Routes as FastAPI's tutorial writes them: dependencies for the session and the user, pydantic models for answers."""

import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import jwt
from fastapi import Depends, FastAPI, HTTPException, status
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer
from pwdlib import PasswordHash
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import selectinload

from benchmarks.peers import tasks
from benchmarks.peers.fastapi_app.models import Chapter, Note, Notification, Session, Task, Topic, User

KEY = os.environ["JWT_SIGNING_KEY"]
_database = urlsplit(os.environ["DATABASE_URL"])
engine = create_async_engine(
    f"postgresql+asyncpg://{_database.username}@{_database.path}",
    connect_args={"host": unquote(_database.hostname or ""), "port": _database.port},
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
password_hash = PasswordHash.recommended()
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="/api/auth/login/")
app = FastAPI()


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


async def get_current_user(token: Annotated[str, Depends(oauth2_scheme)], session: SessionDep) -> User:
    unauthorized = HTTPException(status.HTTP_401_UNAUTHORIZED, "Could not validate credentials")
    try:
        claims = jwt.decode(token, KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise unauthorized from error
    user = await session.get(User, claims["u"])
    if user is None or not user.is_active:
        raise unauthorized
    return user


UserDep = Annotated[User, Depends(get_current_user)]


class FromRow(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NoteRow(FromRow):
    id: int
    title: str
    status: str
    tags: list[str]
    chapter_count: int
    topic_count: int
    version: int
    created_at: datetime
    updated_at: datetime


class TopicOut(FromRow):
    id: int
    title: str
    order: int
    explanation: str
    code: str
    code_language: str
    sources: list[dict[str, Any]]


class ChapterOut(FromRow):
    id: int
    title: str
    order: int
    topics: list[TopicOut]


class NoteDetail(NoteRow):
    chapters: list[ChapterOut]


class Page(BaseModel):
    next: str | None
    previous: str | None
    results: list[NoteRow]


class NoteIn(BaseModel):
    title: str
    status: str = "draft"
    tags: list[str] = []


class NotePatch(BaseModel):
    title: str | None = None
    status: str | None = None
    tags: list[str] | None = None


class NotificationOut(FromRow):
    id: uuid.UUID
    type: str
    title: str
    message: str
    action_id: str
    created_at: datetime


class Pending(BaseModel):
    count: int
    results: list[NotificationOut]


class TaskIn(BaseModel):
    request_type: str
    request_data: dict[str, Any]


class Usage(BaseModel):
    input_tokens: int
    output_tokens: int
    estimated: bool
    cost: None = None


class TaskOut(BaseModel):
    id: uuid.UUID
    request_type: str
    status: str
    progress: int
    message: str
    timestamp: datetime
    request_data: dict[str, Any]
    topic_id: int | None
    apply: bool
    applicable: bool
    error: dict[str, str] | None
    provider: str
    model: str | None
    usage: Usage
    cached: bool
    retry_of: uuid.UUID | None
    attempt: int
    applied_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: dict[str, str]
    result: dict[str, Any] | None


class Found(FromRow):
    note_id: int
    chapter_id: int
    topic_id: int
    title: str
    snippet: str
    rank: float


class SearchResults(BaseModel):
    results: list[Found]


class Credentials(BaseModel):
    email: str
    password: str


class Registration(Credentials):
    name: str = ""


class Refresh(BaseModel):
    refresh: str


class UserOut(FromRow):
    id: int
    email: str
    name: str
    is_staff: bool
    date_joined: datetime


class Tokens(BaseModel):
    access: str
    refresh: str


class SignedIn(Tokens):
    user: UserOut


@app.get("/api/notes/")
async def list_notes(user: UserDep, session: SessionDep, page_size: int = 20) -> Page:
    query = (
        select(Note)
        .where(Note.user_id == user.id, Note.deleted_at.is_(None))
        .order_by(Note.updated_at.desc(), Note.id.desc())
        .limit(page_size + 1)
    )
    notes = (await session.scalars(query)).all()
    following = "/api/notes/?cursor=" if len(notes) > page_size else None
    return Page(next=following, previous=None, results=[NoteRow.model_validate(note) for note in notes[:page_size]])


async def find_note(session: AsyncSession, user: User, note_id: int) -> Note:
    query = (
        select(Note)
        .where(Note.id == note_id, Note.user_id == user.id, Note.deleted_at.is_(None))
        .options(selectinload(Note.chapters).selectinload(Chapter.topics))
    )
    note = (await session.scalars(query)).one_or_none()
    if note is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND)
    return note


@app.get("/api/notes/{note_id}/", response_model=NoteDetail)
async def get_note(note_id: int, user: UserDep, session: SessionDep) -> Note:
    return await find_note(session, user, note_id)


@app.post("/api/notes/", status_code=201, response_model=NoteDetail)
async def create_note(body: NoteIn, user: UserDep, session: SessionDep) -> Note:
    note = Note(user_id=user.id, **body.model_dump())
    session.add(note)
    await session.commit()
    await session.refresh(note, ["chapter_count", "topic_count", "chapters"])
    return note


@app.patch("/api/notes/{note_id}/", response_model=NoteDetail)
async def update_note(note_id: int, body: NotePatch, user: UserDep, session: SessionDep) -> Note:
    note = await find_note(session, user, note_id)
    for name, value in body.model_dump(exclude_unset=True).items():
        setattr(note, name, value)
    note.version += 1
    note.updated_at = datetime.now(UTC)
    await session.commit()
    await session.refresh(note, ["chapter_count", "topic_count"])
    return note


@app.delete("/api/notes/{note_id}/", status_code=204)
async def delete_note(note_id: int, user: UserDep, session: SessionDep) -> None:
    mine = (Note.id == note_id, Note.user_id == user.id, Note.deleted_at.is_(None))
    values = {"deleted_at": func.now(), "updated_at": func.now(), "version": Note.version + 1}
    deleted = await session.execute(update(Note).where(*mine).values(values))
    if not deleted.rowcount:
        raise HTTPException(status.HTTP_404_NOT_FOUND)
    await session.commit()


@app.get("/api/notifications/pending/")
async def pending(user: UserDep, session: SessionDep) -> Pending:
    query = (
        select(Notification)
        .where(Notification.user_id == user.id, Notification.read_at.is_(None))
        .order_by(Notification.created_at.desc(), Notification.id.desc())
        .limit(100)
    )
    rows = (await session.scalars(query)).all()
    return Pending(count=len(rows), results=[NotificationOut.model_validate(row) for row in rows])


@app.get("/api/ai/tasks/{task_id}/")
async def get_task(task_id: uuid.UUID, user: UserDep, session: SessionDep) -> TaskOut:
    task = (await session.scalars(select(Task).where(Task.id == task_id, Task.user_id == user.id))).one_or_none()
    if task is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND)
    return task_out(task)


@app.post("/api/ai/tasks/", status_code=202)
async def submit(body: TaskIn, user: UserDep, session: SessionDep) -> TaskOut:
    task = Task(user_id=user.id, **body.model_dump())
    session.add(task)
    await session.commit()
    await run_in_threadpool(tasks.answer.delay, str(task.id))
    return task_out(task)


def task_out(task: Task) -> TaskOut:
    path = f"/api/ai/tasks/{task.id}/"
    return TaskOut(
        **{name: getattr(task, name) for name in TaskOut.model_fields if name != "applicable" and hasattr(task, name)},
        applicable=task.applicable and task.status == "succeeded",
        timestamp=task.updated_at,
        error={"code": task.error_code, "detail": task.error_detail} if task.error_code else None,
        usage=Usage(input_tokens=task.input_tokens, output_tokens=task.output_tokens, estimated=task.usage_estimated),
        retry_of=task.retry_of_id,
        links={"self": path, "events": f"{path}events/", "cancel": f"{path}cancel/"},
    )


@app.get("/api/search/")
async def search(q: str, user: UserDep, session: SessionDep) -> SearchResults:
    query = func.plainto_tsquery("english", q)
    rank = func.ts_rank(Topic.search, query).label("rank")
    snippet = func.ts_headline("english", Topic.explanation, query, "StartSel=<mark>, StopSel=</mark>")
    rows = await session.execute(
        select(
            Chapter.note_id, Topic.chapter_id, Topic.id.label("topic_id"), Topic.title, snippet.label("snippet"), rank
        )
        .join(Chapter, Chapter.id == Topic.chapter_id)
        .join(Note, Note.id == Chapter.note_id)
        .where(Note.user_id == user.id, Note.deleted_at.is_(None), Topic.search.op("@@")(query))
        .order_by(rank.desc(), Topic.id.desc())
        .limit(20)
    )
    return SearchResults(results=[Found.model_validate(row) for row in rows])


@app.post("/api/auth/login/")
async def login(body: Credentials, session: SessionDep) -> SignedIn:
    user = (await session.scalars(select(User).where(User.email == body.email))).one_or_none()
    if user is None or not user.is_active or not password_hash.verify(body.password, user.password):
        raise HTTPException(status.HTTP_401_UNAUTHORIZED)
    return await sign_in(session, user)


@app.post("/api/auth/register/", status_code=201)
async def register(body: Registration, session: SessionDep) -> SignedIn:
    user = User(email=body.email, name=body.name, password=password_hash.hash(body.password))
    session.add(user)
    await session.flush()
    return await sign_in(session, user)


@app.post("/api/auth/refresh/")
async def refresh(body: Refresh, session: SessionDep) -> Tokens:
    claims = jwt.decode(body.refresh, KEY, algorithms=["HS256"], audience="refresh")
    row = await session.get(Session, claims["s"])
    if row is None or row.revoked_at or row.generation != claims["g"]:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED)
    user = await session.get_one(User, row.user_id)
    row.generation += 1
    row.expires_at = datetime.now(UTC) + timedelta(days=30)
    await session.commit()
    return issue_tokens(user, row)


async def sign_in(session: AsyncSession, user: User) -> SignedIn:
    row = Session(user_id=user.id, expires_at=datetime.now(UTC) + timedelta(days=30))
    session.add(row)
    await session.commit()
    await session.refresh(user, ["date_joined"])
    return SignedIn(**issue_tokens(user, row).model_dump(), user=UserOut.model_validate(user))


def issue_tokens(user: User, row: Session) -> Tokens:
    expires_at = datetime.now(UTC) + timedelta(minutes=15)
    access = {"u": user.id, "v": user.token_version, "s": row.id, "exp": expires_at}
    renewal = {"s": row.id, "g": row.generation, "exp": row.expires_at, "aud": "refresh"}
    return Tokens(access=jwt.encode(access, KEY), refresh=jwt.encode(renewal, KEY))


@app.get("/api/bench/noop/", status_code=204)
async def noop(user: UserDep) -> None:
    return None
