"""README's story with a generated client: `python story.py <folder of the client> <base URL> <tenant> <key>`."""

import sys
from io import BytesIO

sys.path.insert(0, sys.argv[1])

from patchbay_client import AuthenticatedClient, models
from patchbay_client.api.agents import create_agent, get_agent, list_agents, update_agent
from patchbay_client.api.bindings import activate_binding, create_binding
from patchbay_client.api.files import get_file, get_file_content, upload_file
from patchbay_client.api.prompts import create_prompt, create_prompt_version
from patchbay_client.api.runtime_configs import create_runtime_config, create_runtime_config_version
from patchbay_client.api.sessions import create_session, list_session_events, stop_session
from patchbay_client.api.tools import create_tool, create_tool_version
from patchbay_client.types import File

BASE, TENANT, KEY = sys.argv[2:]
client = AuthenticatedClient(base_url=BASE, token=KEY, raise_on_unexpected_status=True)


def send(operation, *path, **arguments):
    """Sends a request; a problem that is not expected ends the story."""
    answer = operation.sync_detailed(TENANT, *path, client=client, **arguments)
    if isinstance(answer.parsed, models.Problem):
        raise SystemExit(f"{operation.__name__}: {answer.parsed}")
    return answer


def made(operation, *path, **arguments):
    return send(operation, *path, **arguments).parsed


def an_agent_with_a_prompt_and_a_tool():
    prompt = made(create_prompt, body=models.CreateArtifact(name="reception (Python)"))
    spec = models.PromptSpec(
        template="You answer the phone of {{ company }}.",
        variables=[models.Variable(name="company", required=True)],
    )
    prompt = made(create_prompt_version, prompt.id, body=models.CreatePromptVersion(spec=spec))
    config = made(create_runtime_config, body=models.CreateArtifact(name="echo (Python)"))
    spec = models.EchoRuntimeSpec(kind=models.EchoRuntimeSpecKind.ECHO)
    config = made(create_runtime_config_version, config.id, body=models.CreateRuntimeConfigVersion(spec=spec))
    tool = made(create_tool, body=models.CreateArtifact(name="open page (Python)"))
    spec = models.ClientToolSpec(
        kind=models.ClientToolSpecKind.CLIENT,
        function_name="open_page",
        description="Opens a page.",
        client=models.ClientCall(),
        parameters=models.ClientToolSpecParameters.from_dict({"type": "object", "properties": {"n": {"type": "integer"}}}),
    )
    tool = made(create_tool_version, tool.id, body=models.CreateToolVersion(spec=spec))
    assert isinstance(tool.spec, models.ClientToolSpec), tool
    agent = made(create_agent, body=models.CreateAgent(name="reception (Python)"))
    binding = models.CreateBinding(
        prompt_version_id=prompt.id, runtime_config_version_id=config.id, tool_version_ids=[tool.id]
    )
    binding = made(create_binding, agent.id, body=binding)
    made(activate_binding, agent.id, binding.id)
    return agent


def a_session_with_variables(agent):
    body = models.CreateSession(
        agent_id=agent.id,
        variables=models.CreateSessionVariables.from_dict({"company": "Acme"}),
        metadata=models.CreateSessionMetadata.from_dict({"page": 7}),
        start=True,
    )
    session = made(create_session, body=body, idempotency_key=f"python-{agent.id}")
    assert session.variables["company"] == "Acme" and session.metadata["page"] == 7, session
    events = made(list_session_events, session.id, kind=models.EventKind.SESSION_CREATED)
    assert [type(event) for event in events.data] == [models.SessionStateEvent], events
    ended = made(stop_session, session.id, body=models.StopSession())
    assert ended.end_reason in (models.SessionEndReason.STOPPED, None), ended


def a_file_up_and_down():
    content = "Grüße 🌹\n".encode()
    form = models.UploadFileForm(
        file=File(payload=BytesIO(content), file_name="greetings.txt", mime_type="text/plain"), metadata='{"year": 2026}'
    )
    file = made(upload_file, body=form)
    assert (file.name, file.size_bytes, file.metadata["year"]) == ("greetings.txt", len(content), 2026), file
    assert made(get_file_content, file.id).payload.read() == content
    assert made(get_file, file.id).sha256 == file.sha256


def a_change_of_one_revision(agent):
    etag = send(get_agent, agent.id).headers["etag"]
    assert send(get_agent, agent.id, if_none_match=etag).status_code == 304
    change = models.PatchAgent(description="Answers the phone.")
    assert made(update_agent, agent.id, body=change, if_match=etag).description == change.description
    late = update_agent.sync(TENANT, agent.id, client=client, body=change, if_match=etag)
    assert late.code == models.ErrorCode.PRECONDITION_FAILED, late


def a_wrong_value_is_named():
    problem = create_agent.sync(TENANT, client=client, body=models.CreateAgent(name=""))
    (violation,) = problem.errors
    assert (violation.pointer, violation.code) == ("/name", models.ViolationCode.TOO_SHORT), problem


def every_page():
    for number in range(4):
        made(create_agent, body=models.CreateAgent(name=f"python {number}"))
    found, page = [], made(list_agents, limit=2)
    found += page.data
    while page.next_cursor:
        page = made(list_agents, limit=2, cursor=page.next_cursor)
        found += page.data
    assert len({agent.id for agent in found}) == len(found) >= 5, found


agent = an_agent_with_a_prompt_and_a_tool()
a_session_with_variables(agent)
a_file_up_and_down()
a_change_of_one_revision(agent)
a_wrong_value_is_named()
every_page()
print("· the story works in Python")
