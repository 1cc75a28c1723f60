"""Which state may follow which."""

from ai_tasks.models import AITask

_S = AITask.Status

TRANSITIONS: dict[AITask.Status, frozenset[AITask.Status]] = {
    # claimed · cancelled by its user
    _S.QUEUED: frozenset({_S.RUNNING, _S.CANCELLED}),
    # claimed again after its lease expired · released by a worker that stops · put off by the provider · cancelled by
    # its user · finished
    _S.RUNNING: frozenset({_S.RUNNING, _S.QUEUED, _S.WAITING_PROVIDER, _S.CANCELLING, _S.SUCCEEDED, _S.FAILED}),
    # due and claimed · cancelled by its user
    _S.WAITING_PROVIDER: frozenset({_S.RUNNING, _S.CANCELLED}),
    # confirmed by the worker, or by the sweep once the lease has expired
    _S.CANCELLING: frozenset({_S.CANCELLED}),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
}
