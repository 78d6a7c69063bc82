DROP TABLE audit_events, participants, agent_runs, sessions, configurations, activations, bindings,
    artifact_versions, artifacts, agents, jobs, webhook_events, rooms, api_keys, tenants;
