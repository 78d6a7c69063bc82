//! Tables of agents, versioned artifacts and the bindings between them.

diesel::table! {
    agents (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        description -> Text,
        worker_name -> Text,
        metadata -> Jsonb,
        active_binding_id -> Nullable<Uuid>,
        last_binding -> Integer,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    artifacts (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        kind -> Text,
        name -> Text,
        description -> Text,
        last_version -> Integer,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    artifact_versions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        artifact_id -> Uuid,
        number -> Integer,
        spec -> Jsonb,
        note -> Text,
        digest -> Text,
        author -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    bindings (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        agent_id -> Uuid,
        number -> Integer,
        prompt_version_id -> Uuid,
        runtime_config_version_id -> Uuid,
        note -> Text,
        author -> Text,
        created_at -> Timestamptz,
        knowledge -> Nullable<Jsonb>,
    }
}

diesel::table! {
    binding_tools (tenant_id, binding_id, tool_version_id) {
        tenant_id -> Uuid,
        binding_id -> Uuid,
        tool_version_id -> Uuid,
    }
}

diesel::table! {
    activations (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        agent_id -> Uuid,
        binding_id -> Uuid,
        binding_number -> Integer,
        author -> Text,
        activated_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    bindings,
    binding_tools,
    artifact_versions,
    artifacts,
    agents
);
