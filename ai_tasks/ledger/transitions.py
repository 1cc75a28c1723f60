"""The table of states and allowed transitions."""

from ai_tasks.models import AITask

_S = AITask.Status

TRANSITIONS: dict[AITask.Status, frozenset[AITask.Status]] = {
    # claimed · cancelled by its user
    _S.QUEUED: frozenset({_S.RUNNING, _S.CANCELLED}),
    # claimed again after its lease expired · released by a stopping worker · postponed by a provider failure ·
    # cancelled by its user · finished
    _S.RUNNING: frozenset({_S.RUNNING, _S.QUEUED, _S.WAITING_PROVIDER, _S.CANCELLING, _S.SUCCEEDED, _S.FAILED}),
    # due and claimed · cancelled by its user · its provider was out for too long
    _S.WAITING_PROVIDER: frozenset({_S.RUNNING, _S.CANCELLED, _S.FAILED}),
    # confirmed by the worker, or by the sweep once the lease has expired
    _S.CANCELLING: frozenset({_S.CANCELLED}),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
}
