//! The tables, as diesel sees them. The migrations are the truth.

diesel::table! {
    __diesel_schema_migrations (version) {
        version -> Text,
    }
}

diesel::table! {
    tenants (id) {
        id -> Uuid,
        slug -> Text,
        name -> Text,
        status -> Text,
        settings -> Jsonb,
        limits -> Jsonb,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    api_keys (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        secret_hash -> Binary,
        scopes -> Array<Text>,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        parent_key_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    idempotency_keys (tenant_id, caller, operation, key) {
        tenant_id -> Uuid,
        caller -> Text,
        operation -> Text,
        key -> Text,
        fingerprint -> Binary,
        path -> Text,
        status -> Nullable<SmallInt>,
        location -> Nullable<Text>,
        etag -> Nullable<Text>,
        body -> Nullable<Text>,
        settles_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    rooms (name) {
        name -> Text,
        tenant_id -> Uuid,
        session_id -> Uuid,
    }
}

diesel::table! {
    phone_numbers (number) {
        number -> Text,
        id -> Uuid,
        tenant_id -> Uuid,
        assigned_at -> Timestamptz,
    }
}

diesel::table! {
    sip_objects (id) {
        id -> Uuid,
        tenant_id -> Uuid,
        kind -> Text,
        trunk_sid -> Nullable<Text>,
        rule_sid -> Nullable<Text>,
        sync_state -> Text,
        error -> Nullable<Text>,
        attempts -> Integer,
        synced_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    webhook_events (id) {
        id -> Text,
        received_at -> Timestamptz,
        payload -> Jsonb,
        next_try_at -> Timestamptz,
        applied_at -> Nullable<Timestamptz>,
        crashes -> Integer,
    }
}

diesel::table! {
    jobs (kind, subject_id) {
        kind -> Text,
        subject_id -> Uuid,
        tenant_id -> Nullable<Uuid>,
        run_at -> Timestamptz,
        attempts -> Integer,
        generation -> BigInt,
        claimed_until -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
        dead_at -> Nullable<Timestamptz>,
        crashes -> Integer,
    }
}

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

diesel::table! {
    configurations (tenant_id, digest) {
        tenant_id -> Uuid,
        digest -> Text,
        document -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        agent_id -> Uuid,
        binding_id -> Uuid,
        configuration_digest -> Text,
        worker_name -> Text,
        state -> Text,
        end_reason -> Nullable<Text>,
        error_detail -> Nullable<Text>,
        last_error -> Nullable<Text>,
        room_name -> Text,
        room_sid -> Nullable<Text>,
        variables -> Jsonb,
        metadata -> Jsonb,
        rendered_prompt -> Text,
        rendered_greeting -> Nullable<Text>,
        max_duration_seconds -> Integer,
        revision -> BigInt,
        created_at -> Timestamptz,
        starting_at -> Nullable<Timestamptz>,
        dispatched_at -> Nullable<Timestamptz>,
        running_at -> Nullable<Timestamptz>,
        stopping_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        room_missing_since -> Nullable<Timestamptz>,
        room_deleted_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    agent_runs (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        configuration_digest -> Text,
        is_primary -> Bool,
        attempt -> Integer,
        state -> Text,
        dispatch_id -> Nullable<Text>,
        participant_sid -> Nullable<Text>,
        participant_identity -> Nullable<Text>,
        created_at -> Timestamptz,
        dispatched_at -> Nullable<Timestamptz>,
        joined_at -> Nullable<Timestamptz>,
        left_at -> Nullable<Timestamptz>,
        missing_since -> Nullable<Timestamptz>,
        agent_id -> Nullable<Uuid>,
        worker_name -> Nullable<Text>,
        rendered_prompt -> Nullable<Text>,
        rendered_greeting -> Nullable<Text>,
    }
}

diesel::table! {
    participants (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        sid -> Nullable<Text>,
        identity -> Text,
        name -> Text,
        kind -> Text,
        joined_at -> Nullable<Timestamptz>,
        left_at -> Nullable<Timestamptz>,
        disconnect_reason -> Nullable<Text>,
        invited_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    session_events (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        at -> Timestamptz,
        kind -> Text,
        facts -> Jsonb,
    }
}

diesel::table! {
    secrets (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        hosts -> Array<Text>,
        sealing_key -> Text,
        nonce -> Binary,
        sealed -> Binary,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        owner_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    sip_trunks (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        address -> Text,
        transport -> Text,
        numbers -> Array<Text>,
        username -> Nullable<Text>,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    inbound_mappings (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        number -> Text,
        agent_id -> Uuid,
        closed_agent_id -> Nullable<Uuid>,
        worker_name -> Text,
        variables -> Jsonb,
        allowed_addresses -> Array<Text>,
        username -> Nullable<Text>,
        enabled -> Bool,
        hours -> Nullable<Jsonb>,
        headers -> Array<Text>,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    calls (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        agent_id -> Uuid,
        direction -> Text,
        is_primary -> Bool,
        state -> Text,
        reason -> Nullable<Text>,
        hangup_by -> Nullable<Text>,
        sip_status -> Nullable<Integer>,
        detail -> Nullable<Text>,
        from_number -> Nullable<Text>,
        to_number -> Nullable<Text>,
        trunk_id -> Nullable<Uuid>,
        mapping_id -> Nullable<Uuid>,
        identity -> Text,
        sip_call_id -> Nullable<Text>,
        ring_timeout_seconds -> Integer,
        max_duration_seconds -> Integer,
        answer_detection -> Text,
        revision -> BigInt,
        created_at -> Timestamptz,
        dialing_at -> Nullable<Timestamptz>,
        sent_at -> Nullable<Timestamptz>,
        awaited_until -> Nullable<Timestamptz>,
        ringing_at -> Nullable<Timestamptz>,
        answered_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        left_reason -> Nullable<Text>,
        missing_since -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    transcript_turns (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        turn_id -> Text,
        role -> Text,
        text -> Text,
        started_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        interrupted -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    usage_records (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        batch_id -> Text,
        position -> Integer,
        kind -> Text,
        provider -> Text,
        model -> Text,
        input_tokens -> BigInt,
        output_tokens -> BigInt,
        audio_seconds -> Double,
        characters -> BigInt,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    users (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        email -> Text,
        email_lower -> Text,
        display_name -> Text,
        role -> Nullable<Text>,
        external_id -> Nullable<Text>,
        metadata -> Jsonb,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    audit_events (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        at -> Timestamptz,
        actor_kind -> Text,
        actor_id -> Text,
        action -> Text,
        resource_kind -> Text,
        resource_id -> Text,
        before -> Nullable<Jsonb>,
        after -> Nullable<Jsonb>,
        changed -> Array<Text>,
        request_id -> Text,
        address -> Nullable<Text>,
    }
}

diesel::table! {
    objects (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        state -> Text,
        upload_id -> Nullable<Text>,
        sha256 -> Nullable<Binary>,
        size -> BigInt,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    files (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        object_id -> Uuid,
        name -> Text,
        media_type -> Text,
        size -> BigInt,
        sha256 -> Binary,
        metadata -> Jsonb,
        last_generation -> Integer,
        searchable_generation -> Nullable<Integer>,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    ingests (tenant_id, file_id, generation) {
        tenant_id -> Uuid,
        file_id -> Uuid,
        generation -> Integer,
        state -> Text,
        stage -> Nullable<Text>,
        stages -> Jsonb,
        settings -> Text,
        model -> Text,
        pages -> Nullable<Integer>,
        chunks -> Nullable<Integer>,
        error_code -> Nullable<Text>,
        error -> Nullable<Text>,
        attempts -> Integer,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    chunks (tenant_id, file_id, generation, ordinal) {
        tenant_id -> Uuid,
        file_id -> Uuid,
        generation -> Integer,
        ordinal -> Integer,
        page -> Nullable<Integer>,
        headings -> Array<Text>,
        starts_at -> Integer,
        ends_at -> Integer,
        tokens -> Integer,
        model -> Text,
        text -> Text,
    }
}

diesel::table! {
    knowledge_usage (tenant_id, at) {
        tenant_id -> Uuid,
        at -> Timestamptz,
        searches -> BigInt,
        embedding_seconds -> Double,
    }
}

diesel::table! {
    agent_files (tenant_id, agent_id, file_id) {
        tenant_id -> Uuid,
        agent_id -> Uuid,
        file_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(tenants, api_keys);
diesel::allow_tables_to_appear_in_same_query!(webhook_events, rooms);
diesel::allow_tables_to_appear_in_same_query!(sip_objects, sip_trunks, inbound_mappings);
diesel::allow_tables_to_appear_in_same_query!(agent_runs, sessions, configurations);
diesel::allow_tables_to_appear_in_same_query!(
    bindings,
    binding_tools,
    artifact_versions,
    artifacts,
    agents
);
diesel::allow_tables_to_appear_in_same_query!(files, ingests, agent_files);
