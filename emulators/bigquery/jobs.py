"""Corrections to bqemulator's job endpoints."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

from bqemulator.api.dependencies import AppContext, get_caller, get_context
from bqemulator.api.routes import jobs as routes
from bqemulator.domain.errors import AlreadyExistsError, InvalidQueryError, NotFoundError, PermissionDeniedError
from bqemulator.row_access.identity import CallerIdentity
from fastapi import Depends, Request

_PATH = "/projects/{project_id}/queries"
# These describe the answer, not the job; the rest of a jobs.query body is the query configuration of jobs.insert.
_REQUEST_ONLY = {"kind", "maxResults", "timeoutMs", "dryRun", "formatOptions", "location", "requestId", "labels"}


def apply() -> None:
    """Install every correction of this module into the running process."""
    queries_run_as_jobs()
    job_ids_are_used_once()


def job_ids_are_used_once() -> None:
    """A job id that was used before answers 409; stock the job runs a second time."""

    def once(stock: Any) -> Any:
        async def handle(project_id: str, job_id: str, config: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            ctx = kwargs["ctx"] if "ctx" in kwargs else args[0]
            if ctx.catalog.get_job(project_id, job_id) is not None:
                raise AlreadyExistsError(f"Already Exists: Job {project_id}:US.{job_id}")
            return await stock(project_id, job_id, config, *args, **kwargs)

        return handle

    routes._handle_query_job = once(routes._handle_query_job)
    routes._handle_load_job_with_async_envelope = once(routes._handle_load_job_with_async_envelope)


def queries_run_as_jobs() -> None:
    """`jobs.query` runs as a job of `jobs.insert` does.

    Stock it answers failed SQL with HTTP 200 and no rows, which clients take as an empty result, and ignores
    `defaultDataset`. BigQuery answers 4xx and reads the default dataset.
    """
    stock = routes.query
    for route in list(routes.router.routes):
        if getattr(route, "path", None) == routes.router.prefix + _PATH and "POST" in getattr(route, "methods", ()):
            routes.router.routes.remove(route)

    async def query(
        project_id: str,
        request: Request,
        ctx: Annotated[AppContext, Depends(get_context)],
        caller: Annotated[CallerIdentity, Depends(get_caller)],
    ) -> dict[str, Any]:
        body = await request.json()
        if body.get("dryRun"):
            return await stock(project_id, request, ctx, caller)
        if not body.get("query", "").strip():
            raise InvalidQueryError("Required parameter is missing: query")
        job_id = f"job_{uuid4().hex}"
        config = {"query": {key: value for key, value in body.items() if key not in _REQUEST_ONLY}}
        job = await routes._handle_query_job(
            project_id, job_id, config, dry_run=False, ctx=ctx, caller=caller, now=ctx.clock.now()
        )
        ctx.catalog.upsert_job(job)
        if job.error_result:
            raise _error(job.error_result)
        results = routes.get_query_results(
            project_id, job_id, ctx, maxResults=body.get("maxResults") or 10000, startIndex=0, pageToken=None
        )
        response = results | {"kind": "bigquery#queryResponse"}
        response["jobReference"]["location"] = "US"
        routes._attach_query_metadata(response, job)
        return response

    routes.router.add_api_route(_PATH, query, methods=["POST"])


def _error(result: dict[str, Any]) -> Exception:
    """The exception that the server answers with the HTTP status of `result`'s reason."""
    kinds = {error.bq_reason: error for error in (NotFoundError, AlreadyExistsError, PermissionDeniedError)}
    return kinds.get(result["reason"], InvalidQueryError)(result["message"])
